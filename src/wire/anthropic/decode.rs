//! Decodes Anthropic's events: blocks that open, grow and close, usage that is cumulative.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use crate::wire::anthropic::usage::Counts;
use crate::wire::citation::Citation;
use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::{Failure, read_failure};
use crate::wire::frame::Frame;
use crate::wire::json::{Field, Text};
use crate::wire::seal::{Seal, Sealed};

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    seed: String,
    /// The message's id, escaped.
    id: Option<String>,
    next: u32,
    open: Vec<Open>,
    called: bool,
    finished: bool,
    counts: Counts,
}

/// A block that is open: the backend's index and ours, which differ where it sends blocks that we do not know.
#[derive(Clone, Copy, Debug)]
struct Open {
    theirs: u64,
    index: u32,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    index: Field<'a>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    content_block: Option<ContentBlock<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    usage: Field<'a>,
    #[serde(borrow, default)]
    error: Field<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    thinking: Field<'a>,
    #[serde(borrow, default)]
    signature: Field<'a>,
    #[serde(borrow, default)]
    partial_json: Field<'a>,
    #[serde(borrow, default)]
    citation: Field<'a>,
    #[serde(borrow, default)]
    stop_reason: Field<'a>,
    #[serde(borrow, default)]
    stop_sequence: Field<'a>,
    #[serde(borrow, default)]
    stop_details: Field<'a>,
}

#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    thinking: Field<'a>,
    #[serde(borrow, default)]
    signature: Field<'a>,
    #[serde(borrow, default)]
    data: Field<'a>,
    #[serde(borrow, default)]
    id: Field<'a>,
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    input: Field<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Field<'a>,
    #[serde(borrow, default)]
    usage: Field<'a>,
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
            finished: false,
            counts: Counts::default(),
        }
    }

    fn start(&mut self, message: &Message<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), DecodeError> {
        let id = message.id.raw().unwrap_or_default();
        match &self.id {
            None => {
                self.id = Some(id.to_owned());
                emit(Event::Start);
            }
            Some(known) if known == id => {} // said twice
            Some(_) => return Err(DecodeError::Order("a second answer began in the same stream")),
        }
        if let Some(usage) = self.counts.update(message.usage) {
            emit(Event::Usage(usage));
        }
        Ok(())
    }

    fn open(&mut self, theirs: u64, wire: &ContentBlock<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let index = self.next;
        let (mut made, mut first) = (String::new(), None);
        let block = match wire.kind.as_ref() {
            "text" => {
                first = wire.text.some_text();
                Block::Text
            }
            "thinking" => {
                first = wire.thinking.some_text();
                Block::Reasoning
            }
            "redacted_thinking" => Block::Redacted(Sealed {
                seal: Seal::Redacted,
                data: wire.data.text().unwrap_or(Text::Plain("")),
            }),
            "tool_use" => {
                self.called = true;
                // Some servers put all of it here instead of into deltas.
                first = wire.input.object().filter(|input| !is_empty(input)).map(Text::Plain);
                if wire.id.some_text().is_none() {
                    made = format!("toolu_{}_{index}", self.seed);
                }
                Block::ToolCall {
                    id: wire.id.some_text().unwrap_or(Text::Plain(&made)),
                    name: wire.name.text().unwrap_or(Text::Plain("")),
                }
            }
            _ => {
                emit(Event::Other); // tools that the vendor runs itself
                return;
            }
        };
        self.next += 1;
        self.open.push(Open { theirs, index });
        emit(Event::Open { index, block });
        if let Some(text) = first {
            emit(Event::Delta { index, text });
        }
        if let Some(text) = wire.signature.some_text() {
            emit(Event::Signature { index, sealed: Sealed { seal: Seal::Signature, data: text } });
        }
    }

    fn delta(&self, theirs: u64, delta: &Delta<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(index) = self.open.iter().find(|open| open.theirs == theirs).map(|open| open.index) else {
            return;
        };
        for field in [delta.text, delta.thinking, delta.partial_json] {
            if let Some(text) = field.some_text() {
                emit(Event::Delta { index, text });
            }
        }
        if let Some(citation) = Citation::read(delta.citation) {
            emit(Event::Citation { index, citation });
        }
        if let Some(data) = delta.signature.some_text() {
            emit(Event::Signature { index, sealed: Sealed { seal: Seal::Signature, data } });
        }
    }

    fn close(&mut self, theirs: u64, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(at) = self.open.iter().position(|open| open.theirs == theirs) {
            emit(Event::Close { index: self.open.remove(at).index });
        }
    }

    fn finish(&mut self, reason: &str, details: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        for open in self.open.drain(..) {
            emit(Event::Close { index: open.index });
        }
        let finish = match reason {
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "refusal" => {
                self.explain(details, emit);
                Finish::Refusal
            }
            "pause_turn" => Finish::Pause,
            "tool_use" => Finish::ToolCalls,
            _ if self.called => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        emit(Event::Finish(finish));
    }

    /// Why the model refused, where it says so.
    fn explain(&mut self, details: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        #[derive(Deserialize)]
        struct Details<'a> {
            #[serde(borrow, default)]
            explanation: Field<'a>,
        }
        let details: Option<Details<'_>> = details.read();
        if let Some(text) = details.and_then(|details| details.explanation.some_text()) {
            let index = self.next;
            self.next += 1;
            emit(Event::Open { index, block: Block::Refusal });
            emit(Event::Delta { index, text });
            emit(Event::Close { index });
        }
    }
}

fn is_empty(object: &str) -> bool {
    object.trim_start_matches('{').trim_end_matches('}').trim().is_empty()
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(Flow::More); // some servers cannot help it
        }
        let line: Line<'_> = serde_json::from_slice(&frame.data)?;
        if line.kind == "error" || frame.event.as_deref() == Some(b"error") || !line.error.is_absent() {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        let index = line.index.whole().unwrap_or_default();
        match (line.kind.as_ref(), &line.delta, &line.content_block, &line.message) {
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
                    if let Some(text) = delta.stop_sequence.some_text().filter(|_| !self.finished) {
                        emit(Event::StopSequence(text));
                    }
                    self.finish(&reason, delta.stop_details, emit);
                }
            }
            ("message_stop", ..) => {
                self.finish("", Field::default(), emit);
                return Ok(Flow::Ended);
            }
            _ => {} // pings, and what is new
        }
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        self.finished
    }

    fn last_words(&self, failure: &Failure) -> Bytes {
        failure.frame(Dialect::Anthropic)
    }
}
