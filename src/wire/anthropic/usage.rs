//! Usage in Anthropic's words: what came from a cache and what was written to one is counted beside the input, not in it.

use serde::Deserialize;

use crate::wire::event::Usage;
use crate::wire::json::{Field, Object};
use crate::wire::members::usage_member;

/// Counts so far. Those of a later event replace those of an earlier one; what it leaves out stays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
}

impl Counts {
    /// Takes over what a usage object says; gives the whole, if it says anything.
    pub(super) fn update(&mut self, usage: Field<'_>) -> Option<Usage> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(rename = "input_tokens", borrow, default)]
            input: Field<'a>,
            #[serde(rename = "cache_read_input_tokens", borrow, default)]
            cache_read: Field<'a>,
            #[serde(rename = "cache_creation_input_tokens", borrow, default)]
            cache_write: Field<'a>,
            #[serde(rename = "output_tokens", borrow, default)]
            output: Field<'a>,
            #[serde(rename = "output_tokens_details", borrow, default)]
            details: Field<'a>,
        }
        #[derive(Deserialize)]
        struct Details<'a> {
            #[serde(rename = "thinking_tokens", borrow, default)]
            reasoning: Field<'a>,
        }
        let wire: Wire<'_> = usage.read()?;
        let set = |count: &mut u64, field: Field<'_>| {
            if let Some(value) = field.whole() {
                *count = value;
            }
        };
        set(&mut self.input, wire.input);
        set(&mut self.cache_read, wire.cache_read);
        set(&mut self.cache_write, wire.cache_write);
        set(&mut self.output, wire.output);
        if let Some(details) = wire.details.read::<Details<'_>>() {
            set(&mut self.reasoning, details.reasoning);
        }
        Some(Usage {
            input: self.input.saturating_add(self.cache_read).saturating_add(self.cache_write),
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            output: self.output,
            reasoning: self.reasoning,
        })
    }
}

/// Writes the members of a usage object.
pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object
        .number(
            "input_tokens",
            usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write),
        )
        .number("cache_creation_input_tokens", usage.cache_write)
        .number("cache_read_input_tokens", usage.cache_read)
        .number("output_tokens", usage.output);
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    Counts::default().update(usage_member(body))
}
