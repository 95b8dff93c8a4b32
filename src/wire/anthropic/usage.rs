//! Usage in Anthropic's words: what came from a cache and what was written to one is counted beside the input, not in it.

use serde::Deserialize;

use crate::wire::event::Usage;
use crate::wire::json::{Field, Object};
use crate::wire::members::{named, usage_member};

/// Counts so far. Those of a later event replace those of an earlier one; what it leaves out stays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    /// What was read and written to sum up what came before: not in the totals, but paid for.
    compaction: (u64, u64),
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
            #[serde(borrow, default)]
            iterations: Field<'a>,
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
        if !wire.iterations.is_absent() {
            self.compaction = compaction_in(wire.iterations);
        }
        let (summed_up, summary) = self.compaction;
        let input = self.input.saturating_add(self.cache_read).saturating_add(self.cache_write);
        Some(Usage {
            input: input.saturating_add(summed_up),
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            output: self.output.saturating_add(summary),
            reasoning: self.reasoning,
        })
    }
}

/// What the passes of a model took that summed up what came before.
fn compaction_in(iterations: Field<'_>) -> (u64, u64) {
    let names =
        ["type", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"];
    let passes = iterations.read::<Vec<Field<'_>>>().unwrap_or_default();
    let passes = passes.into_iter().filter_map(|pass| named(pass, names, |_| {}));
    let compactions = passes.filter(|[kind, ..]| kind.string().as_deref() == Some("compaction"));
    compactions.fold((0, 0), |(read, written), [_, input, cache_read, cache_write, output]| {
        let count = |field: Field<'_>| field.whole().unwrap_or(0);
        let all = [input, cache_read, cache_write].into_iter().map(count).fold(read, u64::saturating_add);
        (all, written.saturating_add(count(output)))
    })
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
    if usage.reasoning > 0 {
        object.object("output_tokens_details", |details| {
            details.number("thinking_tokens", usage.reasoning);
        });
    }
}

/// The usage of a whole answer, for the meter; `None` if it has none.
pub fn read_usage(body: &[u8]) -> Option<Usage> {
    Counts::default().update(usage_member(body))
}
