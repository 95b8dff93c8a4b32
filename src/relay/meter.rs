//! What is counted of a stream while it runs.

use tokio::time::Instant;

use crate::telemetry::{Access, End};
use crate::wire::{Block, Code, Event, Failure, Usage};

/// Counts one answer.
#[derive(Debug)]
pub(super) struct Meter {
    access: Access,
    last: Instant,
    events: u64,
    usage: Option<Usage>,
    letters: u64,
    /// From how many letters on it is asked whether more may follow.
    mark: u64,
    /// More may not follow.
    over: bool,
    /// The record knows that there is content.
    begun: bool,
}

/// How many letters come between two questions.
const MARK: u64 = 1024;

impl Meter {
    /// `begun`: the record knows of content already.
    pub(super) fn new(access: Access, begun: bool) -> Self {
        let (last, mark) = (Instant::now(), MARK);
        Self { access, last, events: 0, usage: None, letters: 0, mark, over: false, begun }
    }

    /// An event of the backend came.
    pub(super) fn event(&mut self, now: Instant) {
        if self.events > 0 {
            self.access.metrics().event_gap(now - self.last);
        }
        self.last = now;
        self.events += 1;
    }

    /// Something was said: text, a thought, a piece of a tool call, or what has no name here.
    pub(super) fn content(&mut self, event: &Event<'_>) {
        self.letters += match event {
            Event::Delta { text, .. } => text.characters(),
            Event::Other { .. } | Event::Open { block: Block::Picture(_), .. } => 1,
            Event::Start
            | Event::Open { .. }
            | Event::Citation { .. }
            | Event::Signature { .. }
            | Event::Close { .. }
            | Event::Usage(_)
            | Event::StopSequence(_)
            | Event::Finish(_)
            | Event::Fail(_)
            | Event::Aside { .. } => 0,
        };
        if !self.begun && self.letters > 0 {
            self.begun = true;
            self.access.first_content();
        }
        if self.letters >= self.mark {
            self.mark = self.letters + MARK;
            self.over |= !self.access.letters(self.letters);
        }
    }

    /// How much was said.
    pub(super) fn said(&self) -> u64 {
        self.letters
    }

    /// What of the answer its client could not be told, by the backend's names for it.
    pub(super) fn left_out(&self, names: &[String]) {
        if !names.is_empty() {
            self.access.metrics().left_out(names.len());
            let request_id = self.access.request_id();
            tracing::info!(request_id, names = names.join(", "), "left out of an answer in another API");
        }
    }

    /// Has the answer used up what its caller may use?
    pub(super) fn over(&self) -> Option<Failure> {
        let words = "the tokens that this API key may use today are used up";
        self.over.then(|| Failure::new(Code::RateLimited, words))
    }

    /// Usage so far; the last counts.
    pub(super) fn usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// The last usage that was told.
    pub(super) fn last_usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What was counted goes into the record.
    pub(super) fn finish(&self) {
        if let Some(usage) = self.usage {
            self.access.tokens(usage.input, usage.output);
        }
        let _goes_on = self.access.letters(self.letters); // it is over
        self.access.events(self.events);
    }

    /// The same, and how it ended.
    pub(super) fn ended(&self, end: End) {
        self.finish();
        self.access.ended(end);
    }
}
