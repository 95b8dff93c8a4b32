//! Encodes Ollama's lines. A tool call is sent whole, so its arguments are gathered until it is complete; durations come from
//! the times at which events came.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::answer::Times;
use crate::wire::codec::{Encode, EncodeError, Identity};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::frame::Frames;
use crate::wire::json::{Object, Text, json_object, write_list};
use crate::wire::media::Image;
use crate::wire::ollama::Shape;

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    shape: Shape,
    model: String,
    started: Timestamp,
    times: Times,
    usage: Option<Usage>,
    finish: Finish,
    blocks: Vec<Open>,
    /// Bytes of arguments that are not whole yet.
    held: usize,
    /// A tool call whose arguments are no object: lawful only if the token limit cut it.
    broken: Option<String>,
}

#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Reasoning,
    /// The arguments stay escaped, as they came, until they are whole.
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    Hidden,
}

impl Encoder {
    pub fn new(identity: &Identity, shape: Shape) -> Self {
        Self {
            shape,
            model: identity.model.clone(),
            started: identity.started,
            times: Times::default(),
            usage: None,
            finish: Finish::Stop,
            blocks: Vec::new(),
            held: 0,
            broken: None,
        }
    }

    fn open(&mut self, index: u32, block: Block<'_>, at: Timestamp, out: &mut Frames) {
        let kind = match block {
            Block::Text | Block::Refusal => Kind::Text, // there is no field for a refusal
            Block::Reasoning => Kind::Reasoning,
            Block::Redacted(_) => Kind::Hidden,
            Block::Picture(url) => {
                self.line(at, out, |_, line| {
                    line.object("message", |message| {
                        message.text("role", Text::Plain("assistant")).raw("content", "\"\"");
                        write_pictures([url], message);
                    });
                });
                Kind::Hidden
            }
            Block::ToolCall { id, name } => Kind::ToolCall {
                id: id.plain().into_owned(),
                name: name.plain().into_owned(),
                arguments: String::new(),
            },
        };
        self.blocks.push(Open { index, kind });
    }

    fn delta(&mut self, index: u32, text: Text<'_>, at: Timestamp, out: &mut Frames) {
        let Some(open) = self.blocks.iter_mut().find(|open| open.index == index) else {
            return;
        };
        match &mut open.kind {
            Kind::Text => self.line(at, out, |shape, line| write_text(shape, text, line)),
            Kind::Reasoning => self.line(at, out, |shape, line| write_thinking(shape, text, line)),
            Kind::ToolCall { arguments, .. } => {
                let before = arguments.len();
                text.write_into(arguments);
                self.held += arguments.len() - before;
            }
            Kind::Hidden => {}
        }
    }

    fn close(&mut self, index: u32, at: Timestamp, out: &mut Frames) {
        let Some(place) = self.blocks.iter().position(|open| open.index == index) else {
            return;
        };
        let Kind::ToolCall { id, name, arguments } = self.blocks.remove(place).kind else {
            return;
        };
        self.held -= arguments.len();
        match json_object(&Text::Escaped(&arguments).plain()) {
            Some(arguments) => {
                self.line(at, out, |shape, line| {
                    write_call(shape, &id, &name, arguments, line);
                });
            }
            None => self.broken = Some(name),
        }
    }

    fn line(&self, at: Timestamp, out: &mut Frames, write: impl FnOnce(Shape, &mut Object<'_>)) {
        let mut line = Object::new(out.buffer());
        write_head(&self.model, at, &mut line);
        write(self.shape, &mut line);
        line.boolean("done", false);
        line.end();
        end_line(out);
    }
}

/// A line that says nothing.
pub fn silent_line(identity: &Identity, shape: Shape, at: Timestamp) -> Bytes {
    let mut frames = Frames::default();
    let encoder = Encoder::new(identity, shape);
    encoder.line(at, &mut frames, |shape, line| write_text(shape, Text::Plain(""), line));
    frames.joined()
}

/// Ends a line. Python's clients split at every line end that Unicode knows, so those inside text are escaped.
fn end_line(out: &mut Frames) {
    const UNSAFE: [(&str, &str); 3] =
        [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    let line = out.unfinished();
    if UNSAFE.iter().any(|(character, _)| memchr::memmem::find(line, character.as_bytes()).is_some()) {
        let mut text = String::from_utf8_lossy(line).into_owned();
        for (character, escaped) in UNSAFE {
            text = text.replace(character, escaped);
        }
        out.rewrite(text.as_bytes());
    }
    out.buffer().put_u8(b'\n');
    out.end();
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        self.times.note(event, at);
        match event {
            Event::Open { index, block } => self.open(*index, *block, at, out),
            Event::Delta { index, text } => self.delta(*index, *text, at, out),
            Event::Close { index } => self.close(*index, at, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.finish = *finish;
                if let Some(name) = self.broken.take().filter(|_| *finish != Finish::Length) {
                    return Err(EncodeError::Arguments { name, wanted: "a JSON object" });
                }
            }
            Event::Start
            | Event::Citation { .. }
            | Event::Signature { .. }
            | Event::StopSequence(_)
            | Event::Fail(_)
            | Event::Other { .. }
            | Event::Aside { .. } => {}
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn finish(&mut self, at: Timestamp, out: &mut Frames) {
        let mut line = Object::new(out.buffer());
        write_head(&self.model, at, &mut line);
        write_text(self.shape, Text::Plain(""), &mut line);
        let end = End { finish: self.finish, usage: self.usage, started: self.started, times: self.times };
        write_end(&end, at, &mut line);
        line.end();
        end_line(out);
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        out.push(&failure.frame(Dialect::OllamaChat));
    }
}

/// `model` and `created_at` (RFC 3339 with nanoseconds).
pub(super) fn write_head(model: &str, at: Timestamp, line: &mut Object<'_>) {
    line.text("model", Text::Plain(model));
    let time = UNIX_EPOCH + Duration::from_nanos(at.0);
    let out = line.key("created_at");
    write!(out, "\"{}\"", humantime::format_rfc3339_nanos(time)).unwrap_or_default(); // the buffer grows
}

fn write_text(shape: Shape, text: Text<'_>, line: &mut Object<'_>) {
    match shape {
        Shape::Chat => line.object("message", |message| {
            message.text("role", Text::Plain("assistant")).text("content", text);
        }),
        Shape::Generate => line.text("response", text),
    };
}

fn write_thinking(shape: Shape, text: Text<'_>, line: &mut Object<'_>) {
    match shape {
        Shape::Chat => line.object("message", |message| {
            message.text("role", Text::Plain("assistant")).raw("content", "\"\"").text("thinking", text);
        }),
        Shape::Generate => line.raw("response", "\"\"").text("thinking", text),
    };
}

fn write_call(shape: Shape, id: &str, name: &str, arguments: &str, line: &mut Object<'_>) {
    let calls = |object: &mut Object<'_>| {
        let out = object.key("tool_calls");
        out.put_u8(b'[');
        write_tool_call(id, name, arguments, out);
        out.put_u8(b']');
    };
    match shape {
        Shape::Chat => {
            line.object("message", |message| {
                message.text("role", Text::Plain("assistant")).raw("content", "\"\"");
                calls(message);
            });
        }
        Shape::Generate => {
            line.raw("response", "\"\"");
            calls(line);
        }
    }
}

/// The bytes of pictures in base64: chat alone has a place for them.
pub(super) fn write_pictures<'p, I: IntoIterator<Item = Text<'p>>>(urls: I, message: &mut Object<'_>) {
    let held = urls.into_iter().filter_map(|url| match Image::of_url(url) {
        Image::Data { base64, .. } => Some(base64),
        Image::Url(_) => None,
    });
    write_list(held, message.key("images"), Text::write_quoted);
}

pub(super) fn write_tool_call(id: &str, name: &str, arguments: &str, out: &mut BytesMut) {
    let mut call = Object::new(out);
    call.text("id", Text::Plain(id)).object("function", |function| {
        function.text("name", Text::Plain(name)).raw("arguments", arguments);
    });
    call.end();
}

/// What the last line tells.
pub(super) struct End {
    pub(super) finish: Finish,
    pub(super) usage: Option<Usage>,
    pub(super) started: Timestamp,
    pub(super) times: Times,
}

/// The members of the last line: why it ended, tokens, and durations in nanoseconds.
pub(super) fn write_end(end: &End, at: Timestamp, line: &mut Object<'_>) {
    let End { finish, usage, started, times } = *end;
    let reason = match finish {
        Finish::Stop | Finish::ToolCalls | Finish::Refusal | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::Load => "load",
        Finish::Unload => "unload",
    };
    let loaded = times.loaded.unwrap_or(at);
    let first = times.first.unwrap_or(at);
    line.boolean("done", true).text("done_reason", Text::Plain(reason));
    line.number("total_duration", at.since(started)).number("load_duration", loaded.since(started));
    if let Some(usage) = usage {
        line.number("prompt_eval_count", usage.input).number("prompt_eval_duration", first.since(loaded));
        line.number("eval_count", usage.output).number("eval_duration", at.since(first));
    }
}
