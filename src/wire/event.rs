//! The one event model between all dialects: an answer is a list of numbered blocks, each opened, filled and closed.
//!
//! Blocks may be open at the same time (parallel tool calls whose fragments interleave); an encoder whose dialect cannot say
//! that puts them one after the other.

use std::time::Duration;

use crate::wire::citation::Citation;
use crate::wire::failure::Failure;
use crate::wire::json::Text;
use crate::wire::seal::Sealed;

/// One thing that happened in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The backend began to answer. At most once.
    Start,
    /// Block `index` begins; indexes count from 0 in the order of opening.
    Open { index: u32, block: Block<'a> },
    /// More of an open block: text, or a piece of the JSON text of a tool call's arguments.
    Delta { index: u32, text: Text<'a> },
    /// A page that the text of an open block leans on.
    Citation { index: u32, citation: Citation<'a> },
    /// What the vendor of an open block of reasoning wants handed back with it.
    Signature { index: u32, sealed: Sealed<'a> },
    /// Block `index` is complete.
    Close { index: u32 },
    /// Tokens so far: cumulative, the last one counts.
    Usage(Usage),
    /// The stop sequence that ended the answer, where the backend names it. Before the finish.
    StopSequence(Text<'a>),
    /// Why the answer ends. Exactly once in an answer that ends well, after every block is closed: the last event but usage.
    Finish(Finish),
    /// The backend gave up.
    Fail(Failure),
    /// Content for which this model has no block (a further choice, a film): passed through where the dialects are the same.
    Other {
        /// What the backend calls it.
        name: &'a str,
        /// The client has to do something before the model can go on.
        awaits_client: bool,
    },
    /// Something beside the content for which this model has no place, by the backend's name for it.
    Aside { name: &'a str },
}

impl Event<'_> {
    /// Does it say something, or that nothing more will be said? Lifecycle and members beside the content do not.
    pub fn is_content(&self) -> bool {
        match self {
            Event::Delta { .. }
            | Event::Open { block: Block::Picture(_), .. }
            | Event::Other { .. }
            | Event::Finish(_) => true,
            Event::Start
            | Event::Open { .. }
            | Event::Aside { .. }
            | Event::Signature { .. }
            | Event::Close { .. }
            | Event::Citation { .. }
            | Event::StopSequence(_)
            | Event::Usage(_)
            | Event::Fail(_) => false,
        }
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    Text,
    /// What the model thought before it answered.
    Reasoning,
    /// Why the model will not answer.
    Refusal,
    /// Reasoning that only its vendor can read; it has no deltas.
    Redacted(Sealed<'a>),
    /// A picture that the model made, as a URL: most hold it themselves (RFC 2397). It has no deltas.
    Picture(Text<'a>),
    /// A call of a tool; its deltas are the JSON text of the arguments, and no delta at all means `{}`.
    ToolCall {
        id: Text<'a>,
        name: Text<'a>,
    },
}

/// Why an answer ended (the neutral column of the stop reasons).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The natural end, or a stop sequence.
    Stop,
    /// The token limit, or a full context.
    Length,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// The model or a filter refused.
    Refusal,
    /// The model paused a long turn and can be asked to go on.
    Pause,
    /// Ollama: the model was loaded, nothing was generated.
    Load,
    /// Ollama: the model was unloaded.
    Unload,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Everything that was read, what came from a cache included.
    pub input: u64,
    /// The part of `input` that was read from a cache.
    pub cache_read: u64,
    /// The part of `input` that was written to a cache.
    pub cache_write: u64,
    /// Everything that was written, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// The same, where a vendor may count what came from a cache beside the input: it does where that is the larger of the two.
    #[must_use]
    pub(super) fn with_cache_inside(self) -> Self {
        let cached = self.cache_read.saturating_add(self.cache_write);
        let apart = if cached > self.input { cached } else { 0 };
        Self { input: self.input.saturating_add(apart), ..self }
    }
}

/// Nanoseconds since 1970: handed in, for nothing here reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn of(since_1970: Duration) -> Self {
        Self(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds from `earlier` to this; 0 if the clock went back.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
