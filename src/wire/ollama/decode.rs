//! Decodes the lines of `/api/chat` and `/api/generate`: thinking, text and whole tool calls, all of which may share a line.

use bytes::Bytes;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::wire::codec::{Decode, DecodeError, Flow};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::failure::Failure;
use crate::wire::frame::Frame;
use crate::wire::json::{Field, Text};
use crate::wire::lenient::lenient;
use crate::wire::media::{Image, data_url};
use crate::wire::ollama::whole::usage_of;
use crate::wire::told_failure::read_failure;

/// What was seen of the stream so far.
#[derive(Debug)]
pub struct Decoder {
    seed: String,
    started: bool,
    next: u32,
    open: Option<(Kind, u32)>,
    called: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
}

lenient! {
    /// One line; `/api/generate` has its text at the top.
    struct Line<'a> {
        message: Option<Message<'a>>, response, thinking, tool_calls, done, done_reason, prompt_eval_count, eval_count, error,
    } often ["model", "created_at"] without [
        "total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "context",
        "remote_model", "remote_host", "logprobs",
    ]
}

lenient! {
    struct Message<'a> { content, thinking, tool_calls, images } without ["role", "tool_name", "logprobs"]
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Field<'a>,
    #[serde(borrow, default)]
    function: Function<'a>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    arguments: Field<'a>,
}

impl Decoder {
    pub fn new(seed: &str) -> Self {
        Self { seed: seed.into(), started: false, next: 0, open: None, called: false }
    }

    fn say(&mut self, kind: Kind, text: Option<Text<'_>>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(text) = text else { return };
        let index = match self.open {
            Some((open, index)) if open == kind => index,
            _ => {
                self.close(emit);
                let index = self.take_index();
                self.open = Some((kind, index));
                let block = match kind {
                    Kind::Text => Block::Text,
                    Kind::Reasoning => Block::Reasoning,
                };
                emit(Event::Open { index, block });
                index
            }
        };
        emit(Event::Delta { index, text });
    }

    /// A picture that the model made: its bytes in base64.
    fn picture(&mut self, base64: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(base64) = base64.some_text() else { return };
        self.close(emit);
        let index = self.take_index();
        let url = data_url(&Image::Data { media_type: None, base64 });
        emit(Event::Open { index, block: Block::Picture(Text::Escaped(&url)) });
        emit(Event::Close { index });
    }

    /// Tool calls come whole; older servers give them no id.
    fn call(&mut self, calls: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        for call in calls.read::<SmallVec<[Call<'_>; 1]>>().unwrap_or_default() {
            let Some(name) = call.function.name.some_text() else {
                emit(Event::Other { name: "a tool call without a name", awaits_client: true });
                continue;
            };
            self.close(emit);
            self.called = true;
            let index = self.take_index();
            let made;
            let id = match call.id.some_text() {
                Some(id) => id,
                None => {
                    made = format!("call_{}_{index}", self.seed);
                    Text::Plain(&made)
                }
            };
            emit(Event::Open { index, block: Block::ToolCall { id, name } });
            let arguments = call.function.arguments;
            if let Some(text) = arguments.object().map(Text::Plain).or_else(|| arguments.some_text()) {
                emit(Event::Delta { index, text });
            }
            emit(Event::Close { index });
        }
    }

    fn finish(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.close(emit);
        if let Some(usage) = usage_of(line) {
            emit(Event::Usage(usage));
        }
        emit(Event::Finish(match line.done_reason.string().as_deref() {
            Some("length") => Finish::Length,
            Some("load") => Finish::Load,
            Some("unload") => Finish::Unload,
            _ if self.called => Finish::ToolCalls, // Ollama says `stop` then
            // Servers of before 2024 give no reason, and those of today none when it is the reader who has left: `done` is an
            // end without one too.
            _ => Finish::Stop,
        }));
    }

    fn close(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some((_, index)) = self.open.take() {
            emit(Event::Close { index });
        }
    }

    fn take_index(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        let line: Line<'_> = serde_json::from_slice(&frame.data)?;
        if !line.error.is_absent() {
            emit(Event::Fail(read_failure(&frame.data)));
            return Ok(Flow::Ended);
        }
        if !std::mem::replace(&mut self.started, true) {
            emit(Event::Start);
        }
        if let Some(message) = &line.message {
            self.say(Kind::Reasoning, message.thinking.some_text(), emit);
            self.say(Kind::Text, message.content.some_text(), emit);
            for picture in message.images.read::<Vec<Field<'_>>>().unwrap_or_default() {
                self.picture(picture, emit);
            }
            self.call(message.tool_calls, emit);
            if let Some(name) = &message.unknown {
                emit(Event::Other { name, awaits_client: false });
            }
        }
        if let Some(name) = &line.unknown {
            emit(Event::Aside { name });
        }
        self.say(Kind::Reasoning, line.thinking.some_text(), emit);
        self.say(Kind::Text, line.response.some_text(), emit);
        self.call(line.tool_calls, emit);
        if line.done.boolean() == Some(true) {
            self.finish(&line, emit);
            return Ok(Flow::Ended);
        }
        Ok(Flow::More)
    }

    fn complete(&self) -> bool {
        false // the line with `done` is the terminator, and there is no other
    }

    fn end(&mut self, _: &mut dyn FnMut(Event<'_>)) {}

    fn last_words(&self, failure: &Failure) -> Bytes {
        failure.frame(Dialect::OllamaChat)
    }
}
