//! Usage in the words of Responses.

use serde::Deserialize;

use crate::wire::event::Usage;
use crate::wire::json::{Field, Object};

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
        #[serde(borrow, default)]
        cached_tokens: Field<'a>,
        #[serde(borrow, default)]
        reasoning_tokens: Field<'a>,
    }
    let wire: Wire<'_> = usage.read()?;
    let inside: Details<'_> = wire.input_tokens_details.read().unwrap_or_default();
    let outside: Details<'_> = wire.output_tokens_details.read().unwrap_or_default();
    Some(Usage {
        input: wire.input_tokens.whole().unwrap_or(0),
        cache_read: inside.cached_tokens.whole().unwrap_or(0),
        cache_write: 0,
        output: wire.output_tokens.whole().unwrap_or(0),
        reasoning: outside.reasoning_tokens.whole().unwrap_or(0),
    })
}

/// Writes the members of a usage object.
pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object.number("input_tokens", usage.input);
    object.object("input_tokens_details", |details| {
        details.number("cached_tokens", usage.cache_read);
    });
    object.number("output_tokens", usage.output);
    object.object("output_tokens_details", |details| {
        details.number("reasoning_tokens", usage.reasoning);
    });
    object.number("total_tokens", usage.input + usage.output);
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow, default)]
        usage: Field<'a>,
    }
    let whole: Whole<'_> = serde_json::from_slice(body).ok()?;
    usage_of(whole.usage)
}
