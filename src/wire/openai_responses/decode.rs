//! Decodes the events of Responses. What came without deltas is taken from the event that ends it.

use bytes::Bytes;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::{Code, Failure};
use crate::wire::frame::Frame;
use crate::wire::json::Field;
use crate::wire::openai_responses::failed::write_failed;
use crate::wire::openai_responses::items::Items;
use crate::wire::openai_responses::line::{Item, Line, Place};
use crate::wire::openai_responses::usage::usage_of;
use crate::wire::told_failure::read_failure;

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    started: bool,
    /// The response as its first event has it: what a stream that breaks off ends with.
    response: Option<String>,
    /// The sequence number of the next event.
    sequence: u64,
    items: Items,
    /// The number of tokens at which the server ends the answer without saying so.
    limit: Option<u64>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    status: Field<'a>,
    #[serde(borrow, default)]
    incomplete_details: Field<'a>,
    #[serde(borrow, default)]
    usage: Field<'a>,
    #[serde(borrow, default)]
    output: Field<'a>,
}

impl Decoder {
    /// `seed` makes the ids of tool calls that the backend gave none.
    pub fn new(seed: &str) -> Self {
        Self { started: false, response: None, sequence: 0, items: Items::new(seed), limit: None }
    }

    /// llama.cpp calls an answer completed that has come to its limit of tokens: only their number tells.
    pub fn limited(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    fn start(&mut self, response: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if self.response.is_none() {
            self.response = response.object().map(String::from);
        }
        if !std::mem::replace(&mut self.started, true) {
            emit(Event::Start);
        }
    }

    /// Pieces of text, and whole texts; false for any other event.
    fn text(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event<'_>)) -> bool {
        let (what, how) = line.kind.rsplit_once('.').unwrap_or_default();
        let (block, whole) = match what {
            "response.output_text" => (Block::Text, line.text),
            "response.refusal" => (Block::Refusal, line.refusal),
            "response.reasoning_text" | "response.reasoning_summary_text" => (Block::Reasoning, line.text),
            _ => return false,
        };
        let at = self.items.of(line.output_index, line.item_id);
        let place = match what {
            "response.reasoning_summary_text" => Place::summary(at, line.summary_index),
            _ => Place::content(at, line.content_index),
        };
        match how {
            "delta" => self.items.delta(place, block, line.delta, emit),
            _ => self.items.rest(place, block, whole, emit),
        }
        true
    }

    /// Pieces of what a call is given, and all of it; false for any other event.
    fn arguments(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event<'_>)) -> bool {
        let (text, whole) = match &*line.kind {
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                (line.delta, false)
            }
            "response.function_call_arguments.done" => (line.arguments, true),
            "response.custom_tool_call_input.done" => (line.input, true),
            _ => return false,
        };
        let at = self.items.of(line.output_index, line.item_id);
        self.items.arguments(at, text, whole, emit);
        true
    }

    /// What a tool says that the vendor runs itself.
    fn foreign(kind: &str, emit: &mut dyn FnMut(Event<'_>)) {
        let name = kind.split('.').nth(1).unwrap_or_default();
        if name.contains("_call") {
            emit(Event::Other { name, awaits_client: false });
        }
    }

    /// A terminal event: items that nothing was said of before are in it whole.
    fn end(&mut self, response: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let response: Option<Response<'_>> = response.read();
        let Some(response) = response else {
            self.items.end(&[], emit);
            emit(Event::Finish(Finish::Stop));
            return;
        };
        let output: SmallVec<[Item<'_>; 2]> = response.output.read().unwrap_or_default();
        self.items.end(&output, emit);
        let usage = usage_of(response.usage);
        if let Some(usage) = usage {
            emit(Event::Usage(usage));
        }
        let at_limit = usage.zip(self.limit).is_some_and(|(usage, limit)| usage.output >= limit);
        let finish = finish_of(&response, self.items.called());
        let cut = at_limit && matches!(finish, Finish::Stop | Finish::ToolCalls);
        emit(Event::Finish(if cut { Finish::Length } else { finish }));
    }
}

fn finish_of(response: &Response<'_>, called: bool) -> Finish {
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow, default)]
        reason: Field<'a>,
    }
    if response.status.string().as_deref() == Some("incomplete") {
        let details: Option<Details<'_>> = response.incomplete_details.read();
        let reason = details.and_then(|details| details.reason.string());
        return if reason.as_deref() == Some("content_filter") { Finish::Refusal } else { Finish::Length };
    }
    if called { Finish::ToolCalls } else { Finish::Stop }
}

/// What a failed response says of itself.
fn failure_of(response: Field<'_>, frame: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Failed<'a> {
        #[serde(borrow, default)]
        error: Field<'a>,
    }
    let failed: Option<Failed<'_>> = response.read();
    match failed.filter(|failed| !failed.error.is_absent()) {
        Some(_) => read_failure(response.raw().unwrap_or_default().as_bytes()),
        None if response.is_absent() => read_failure(frame),
        None => Failure::new(Code::UpstreamError, "the backend gave the answer up"),
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        if frame.data.trim_ascii() == b"[DONE]" {
            return Ok(Flow::More); // no part of this dialect, but some servers send it behind the end
        }
        let line: Line<'_> = serde_json::from_slice(&frame.data)?;
        if let Some(name) = line.unknown.as_ref().filter(|_| !line.kind.contains("_call.")) {
            emit(Event::Aside { name });
        }
        // What tells an error anew takes the number of the event that told it.
        let fails = matches!(&*line.kind, "error" | "response.failed") || !line.error.is_absent();
        if let Some(number) = line.sequence_number.whole().filter(|_| !fails) {
            self.sequence = number.saturating_add(1);
        }
        if self.text(&line, emit) || self.arguments(&line, emit) {
            return Ok(Flow::More);
        }
        let items = &mut self.items;
        match &*line.kind {
            "response.output_text.annotation.added" => {
                let at = items.of(line.output_index, line.item_id);
                items.cite(Place::content(at, line.content_index), line.annotation, emit);
            }
            "response.output_item.added" => {
                if let Some(item) = &line.item {
                    items.added(line.output_index, item, emit);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = &line.item {
                    items.done(line.output_index, item, emit);
                }
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(line.response, emit);
            }
            "response.completed" | "response.incomplete" => {
                self.end(line.response, emit);
                return Ok(Flow::Ended);
            }
            "response.failed" => {
                self.response = line.response.object().map(String::from).or_else(|| self.response.take());
                emit(Event::Fail(failure_of(line.response, &frame.data)));
                return Ok(Flow::Ended);
            }
            // `response.failed` comes behind it
            "error" => emit(Event::Fail(read_failure(&frame.data))),
            _ if !line.error.is_absent() => {
                emit(Event::Fail(read_failure(&frame.data)));
                return Ok(Flow::Ended);
            }
            kind => Self::foreign(kind, emit),
        }
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        false // an event says that it is the last, and there is no other way to end
    }

    fn end(&mut self, _: &mut dyn FnMut(Event<'_>)) {}

    fn held(&self) -> usize {
        self.items.held()
    }

    fn last_words(&self, failure: &Failure) -> Bytes {
        write_failed(failure, self.sequence, self.response.as_deref())
    }
}
