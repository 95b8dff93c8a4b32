//! Usage in the words of Responses.

use serde::Deserialize;

use crate::wire::event::Usage;
use crate::wire::json::{Field, Object};
use crate::wire::members::usage_member;

/// A usage object; `None` if there is none.
pub(super) fn usage_of(usage: Field<'_>) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        input_tokens: Field<'a>,
        #[serde(borrow, default)]
        input_tokens_details: Field<'a>,
        #[serde(borrow, default)]
        output_tokens: Field<'a>,
        #[serde(borrow, default)]
        output_tokens_details: Field<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Details<'a> {
        #[serde(rename = "cached_tokens", borrow, default)]
        cached: Field<'a>,
        #[serde(rename = "cache_write_tokens", borrow, default)]
        cache_write: Field<'a>,
        #[serde(rename = "reasoning_tokens", borrow, default)]
        reasoning: Field<'a>,
    }
    let wire: Wire<'_> = usage.read()?;
    let inside: Details<'_> = wire.input_tokens_details.read().unwrap_or_default();
    let outside: Details<'_> = wire.output_tokens_details.read().unwrap_or_default();
    let usage = Usage {
        input: wire.input_tokens.whole().unwrap_or(0),
        cache_read: inside.cached.whole().unwrap_or(0),
        cache_write: inside.cache_write.whole().unwrap_or(0),
        output: wire.output_tokens.whole().unwrap_or(0),
        reasoning: outside.reasoning.whole().unwrap_or(0),
    };
    Some(usage.with_cache_inside())
}

/// Writes the members of a usage object.
pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object.number("input_tokens", usage.input);
    object.object("input_tokens_details", |details| {
        details.number("cached_tokens", usage.cache_read);
        if usage.cache_write > 0 {
            details.number("cache_write_tokens", usage.cache_write);
        }
    });
    object.number("output_tokens", usage.output);
    object.object("output_tokens_details", |details| {
        details.number("reasoning_tokens", usage.reasoning);
    });
    object.number("total_tokens", usage.input.saturating_add(usage.output));
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    usage_of(usage_member(body))
}
