//! Decodes Anthropic's events: blocks that open, grow and close, usage that is cumulative. Servers leave out indexes, starts and
//! ends: what comes finds its block all the same. The answer ends at its last event, not at the reason for it.

use bytes::Bytes;

use crate::wire::anthropic::line::{ContentBlock, Delta, Line, Message};
use crate::wire::anthropic::open::{Kind, Open};
use crate::wire::anthropic::reason::Reason;
use crate::wire::anthropic::usage::Counts;
use crate::wire::call_arguments::is_empty;
use crate::wire::citation::Citation;
use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::Failure;
use crate::wire::frame::Frame;
use crate::wire::json::Text;
use crate::wire::seal::{Seal, Sealed};
use crate::wire::sources::Sources;
use crate::wire::told_failure::read_failure;

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    seed: String,
    /// The message's id, escaped.
    id: Option<String>,
    next: u32,
    /// The blocks that are not closed, in the order of opening.
    open: Vec<Open>,
    called: bool,
    reason: Option<Reason>,
    over: bool,
    counts: Counts,
    sources: Sources,
    /// A text that is kept open while there are pages to be told at its end.
    last_text: Option<u32>,
}

impl Decoder {
    /// `seed` makes the ids of tool calls that the backend gave none.
    pub fn new(seed: &str) -> Self {
        Self {
            seed: seed.into(),
            id: None,
            next: 0,
            open: Vec::new(),
            called: false,
            reason: None,
            over: false,
            counts: Counts::default(),
            sources: Sources::default(),
            last_text: None,
        }
    }

    fn start(&mut self, message: &Message<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let id = message.id.raw().unwrap_or_default();
        if let Some(name) = &message.unknown {
            emit(Event::Aside { name });
        }
        match &self.id {
            None => {
                self.id = Some(id.to_owned());
                emit(Event::Start);
            }
            Some(known) if known == id => {
                if let Some(usage) = self.counts.update(message.usage) {
                    emit(Event::Usage(usage));
                }
                return Ok(()); // said twice
            }
            Some(_) => return Err(DecodeError::Order("a second answer began in the same stream")),
        }
        if let Some(usage) = self.counts.update(message.usage) {
            emit(Event::Usage(usage));
        }
        // What a program called stands there whole.
        if message.content.raw().is_some_and(|raw| raw.len() > "[]".len()) {
            for block in message.content.read::<Vec<ContentBlock<'_>>>().unwrap_or_default() {
                self.open(None, &block, emit);
                self.close(None, emit);
            }
        }
        if let Some(reason) = message.stop_reason.string() {
            Reason::learn(&mut self.reason, &reason, (message.stop_sequence, message.stop_details), emit);
        }
        Ok(())
    }

    fn open(&mut self, theirs: Option<u64>, wire: &ContentBlock<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_known(theirs, emit); // its end was left out
        let mut first = None;
        let (kind, block) = match &*wire.kind {
            "text" => {
                first = wire.text.some_text();
                (Kind::Text, Block::Text)
            }
            "thinking" => {
                first = wire.thinking.some_text();
                (Kind::Reasoning, Block::Reasoning)
            }
            "redacted_thinking" => {
                let data = wire.data.text().unwrap_or(Text::Plain(""));
                (Kind::Redacted, Block::Redacted(Sealed { seal: Seal::Redacted, data }))
            }
            "tool_use" => return self.call(theirs, wire, emit),
            other => return self.foreign(theirs, other, wire),
        };
        if let Some(name) = &wire.unknown {
            emit(Event::Aside { name });
        }
        let index = self.push(theirs, kind, block, emit);
        if let Some(text) = first {
            emit(Event::Delta { index, text });
        }
        if let Some(text) = wire.signature.some_text() {
            emit(Event::Signature { index, sealed: Sealed { seal: Seal::Signature, data: text } });
        }
    }

    fn push(
        &mut self,
        theirs: Option<u64>,
        kind: Kind,
        block: Block<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> u32 {
        self.close_last_text(emit);
        let index = self.next;
        self.next += 1;
        self.open.push(Open { theirs, index, kind });
        emit(Event::Open { index, block });
        index
    }

    fn call(&mut self, theirs: Option<u64>, wire: &ContentBlock<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.called = true;
        let Some(name) = wire.name.some_text() else {
            emit(Event::Other { name: "a tool call without a name", awaits_client: true });
            return self.foreign(theirs, "tool_use", wire);
        };
        if let Some(name) = &wire.unknown {
            emit(Event::Aside { name });
        }
        let made;
        let id = match wire.id.some_text() {
            Some(id) => id,
            None => {
                made = format!("toolu_{}_{}", self.seed, self.next);
                Text::Plain(&made)
            }
        };
        let index = self.push(theirs, Kind::Call, Block::ToolCall { id, name }, emit);
        // Some servers put all of it here, in place of deltas or before them: what is said twice is found by who reads it.
        let input = wire.input.object().filter(|input| !is_empty(input)).map(Text::Plain);
        if let Some(text) = input.or_else(|| wire.input.some_text()) {
            emit(Event::Delta { index, text });
        }
    }

    /// A block of a tool that the vendor runs itself. It counts as content when more than its beginning has come.
    fn foreign(&mut self, theirs: Option<u64>, name: &str, wire: &ContentBlock<'_>) {
        if name == "web_search_tool_result" {
            self.sources.add_all(wire.content);
        }
        self.open.push(Open { theirs, index: 0, kind: Kind::Foreign { name: Some(name.to_owned()) } });
    }

    /// The block that something without an index, or with one, belongs to.
    fn find(&self, theirs: Option<u64>) -> Option<usize> {
        match theirs {
            Some(_) => {
                let fits = |known| self.open.iter().rposition(|open| open.theirs == known);
                fits(theirs).or_else(|| fits(None))
            }
            None => self.open.len().checked_sub(1),
        }
    }

    fn delta(&mut self, theirs: Option<u64>, delta: &Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let known = self.find(theirs).and_then(|at| self.open.get_mut(at));
        if let Some(Open { kind: Kind::Foreign { name }, .. }) = known {
            if let Some(name) = name.take() {
                emit(Event::Other { name: &name, awaits_client: false });
            }
            return;
        }
        if let Some(name) = &delta.unknown {
            emit(Event::Aside { name });
        }
        for (field, kind) in [(delta.text, Kind::Text), (delta.thinking, Kind::Reasoning)] {
            if let Some(text) = field.some_text() {
                let index = self.fitting(theirs, kind, emit);
                emit(Event::Delta { index, text });
            }
        }
        let Some(at) = self.find(theirs) else {
            if delta.partial_json.some_text().is_some() {
                emit(Event::Other { name: "a tool call without a name", awaits_client: true });
            }
            return;
        };
        let Some(Open { index, kind, .. }) = self.open.get(at) else { return };
        let index = *index;
        let reasoning = kind.is_same(&Kind::Reasoning);
        if let (Some(text), Kind::Call) = (delta.partial_json.some_text(), kind) {
            emit(Event::Delta { index, text });
        }
        if let Some(citation) = Citation::read(delta.citation) {
            self.sources.cited(citation.url);
            emit(Event::Citation { index, citation });
        }
        if let Some(data) = delta.signature.some_text().filter(|_| reasoning) {
            emit(Event::Signature { index, sealed: Sealed { seal: Seal::Signature, data } });
        }
    }

    /// The open block for a text of this kind; a new one if its start was left out.
    fn fitting(&mut self, theirs: Option<u64>, kind: Kind, emit: &mut dyn FnMut(Event<'_>)) -> u32 {
        let open = self.find(theirs).and_then(|at| self.open.get(at));
        if let Some(open) = open.filter(|open| open.kind.is_same(&kind)) {
            return open.index;
        }
        self.close_known(theirs, emit);
        let block = if kind.is_same(&Kind::Text) { Block::Text } else { Block::Reasoning };
        self.push(theirs, kind, block, emit)
    }

    fn close(&mut self, theirs: Option<u64>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(at) = self.find(theirs) {
            self.close_at(at, emit);
        }
    }

    fn close_at(&mut self, at: usize, emit: &mut dyn FnMut(Event<'_>)) {
        let Open { index, kind, .. } = self.open.remove(at);
        match kind {
            Kind::Foreign { name } => {
                if let Some(name) = name {
                    emit(Event::Other { name: &name, awaits_client: false });
                }
                return;
            }
            Kind::Text if !self.sources.is_empty() => {
                self.close_last_text(emit);
                self.last_text = Some(index);
                return;
            }
            Kind::Text | Kind::Reasoning | Kind::Redacted | Kind::Call => {}
        }
        emit(Event::Close { index });
    }

    /// Closes the block of this index, if there is one.
    fn close_known(&mut self, theirs: Option<u64>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(at) = self.open.iter().rposition(|open| theirs.is_some() && open.theirs == theirs) {
            self.close_at(at, emit);
        }
    }

    fn close_last_text(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(index) = self.last_text.take() {
            emit(Event::Close { index });
        }
    }

    /// Why the model refused, where it says so.
    fn explain(&mut self, text: &str, emit: &mut dyn FnMut(Event<'_>)) {
        let index = self.next;
        self.next += 1;
        emit(Event::Open { index, block: Block::Refusal });
        emit(Event::Delta { index, text: Text::Escaped(text) });
        emit(Event::Close { index });
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(Flow::More); // some servers cannot help it
        }
        let line: Line<'_> = serde_json::from_slice(&frame.data)?;
        if &*line.kind == "error" || frame.event.as_deref() == Some(b"error") || !line.error.is_absent() {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        let index = line.index.whole();
        if let Some(name) = line.unknown.as_ref().filter(|_| &*line.kind != "message") {
            emit(Event::Aside { name });
        }
        match (&*line.kind, &line.delta, &line.content_block, &line.message) {
            ("content_block_delta", Some(delta), ..) => self.delta(index, delta, emit),
            ("content_block_start", _, Some(block), _) => self.open(index, block, emit),
            ("content_block_stop", ..) => self.close(index, emit),
            ("message_start", _, _, Some(message)) => self.start(message, emit)?,
            ("message_delta", delta, ..) => {
                if let Some(usage) = self.counts.update(line.usage) {
                    emit(Event::Usage(usage));
                }
                if let Some(delta) = delta
                    && let Some(reason) = delta.stop_reason.string()
                {
                    Reason::learn(&mut self.reason, &reason, (delta.stop_sequence, delta.stop_details), emit);
                }
                if let Some(name) = delta.as_ref().and_then(|delta| delta.unknown.as_ref()) {
                    emit(Event::Aside { name });
                }
            }
            ("message", ..) => {
                // All of it, where a stream was asked for.
                self.start(&serde_json::from_slice(&frame.data)?, emit)?;
                self.end(emit);
                return Ok(Flow::Ended);
            }
            ("message_stop", ..) => {
                self.end(emit);
                return Ok(Flow::Ended);
            }
            _ => {} // pings, and what is new
        }
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        self.over || self.reason.is_some()
    }

    fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        while !self.open.is_empty() {
            self.close_at(0, emit);
        }
        if let Some(index) = self.last_text.take() {
            self.sources.tell(index, emit);
            emit(Event::Close { index });
        }
        let reason = self.reason.take();
        self.over = true;
        let finish = match &reason {
            Some(reason) => reason.finish(self.called, emit),
            None if self.called => Finish::ToolCalls,
            None => Finish::Stop,
        };
        if let Some(Reason { stopped_by, explanation, .. }) = &reason {
            if let Some(text) = explanation.as_ref().filter(|_| finish == Finish::Refusal) {
                self.explain(text, emit);
            }
            if let Some(text) = stopped_by {
                emit(Event::StopSequence(Text::Escaped(text)));
            }
        }
        emit(Event::Finish(finish));
    }

    fn held(&self) -> usize {
        self.sources.held()
    }

    fn last_words(&self, failure: &Failure) -> Bytes {
        failure.frame(Dialect::Anthropic)
    }
}
