//! Encodes Anthropic's events: exactly one block open at a time, usage at the start as far as it is known and at the end in full.

use bytes::{BufMut, BytesMut};

use crate::wire::anthropic::usage::write_usage;
use crate::wire::call_ids;
use crate::wire::citation::Citation;
use crate::wire::codec::{Encode, EncodeError, Identity};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::frame::Frames;
use crate::wire::json::{Object, Text, write_number};
use crate::wire::seal::Seal;
use crate::wire::sequence::Sequence;

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    sequence: Sequence,
    writer: Writer,
}

/// Writes events that are in order.
#[derive(Debug)]
struct Writer {
    id: String,
    model: String,
    started: bool,
    /// The index of the open block, or of the next.
    block: u64,
    kind: Kind,
    usage: Usage,
    finish: Finish,
    /// The stop sequence that ended the answer, escaped.
    stop_sequence: Option<String>,
    refused: bool,
}

/// What the open block holds, as far as its deltas differ.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Thinking,
    ToolUse,
    /// It is complete as it is opened.
    Whole,
}

impl Encoder {
    pub fn new(identity: &Identity) -> Self {
        let writer = Writer {
            id: message_id(identity),
            model: identity.model.clone(),
            started: false,
            block: 0,
            kind: Kind::Whole,
            usage: Usage::default(),
            finish: Finish::Stop,
            stop_sequence: None,
            refused: false,
        };
        Self { sequence: Sequence::default(), writer }
    }
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, _: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        let Self { sequence, writer } = self;
        sequence.pass(event, |event| writer.write(event, out));
        Ok(())
    }

    fn held(&self) -> usize {
        self.sequence.held()
    }

    fn finish(&mut self, _: Timestamp, out: &mut Frames) {
        self.writer.start(out);
        self.writer.end(out);
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        out.push(&failure.frame(Dialect::Anthropic));
    }
}

impl Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Frames) {
        match event {
            Event::Open { block, .. } => {
                self.start(out);
                self.open(*block, out);
            }
            Event::Delta { text, .. } => self.delta(*text, out),
            Event::Citation { citation, .. } => self.frame("content_block_delta", out, |frame| {
                frame.object("delta", |delta| {
                    delta.raw("type", "\"citations_delta\"");
                    delta.object("citation", |object| write_citation(citation, object));
                });
            }),
            Event::Signature { sealed, .. } => {
                if let Kind::Thinking = self.kind {
                    self.frame("content_block_delta", out, |delta| {
                        let delta = delta.key("delta");
                        delta.put_slice(b"{\"type\":\"signature_delta\",\"signature\":");
                        sealed.write_quoted(Seal::Signature, delta);
                        delta.put_u8(b'}');
                    });
                }
            }
            Event::Close { .. } => {
                self.frame("content_block_stop", out, |_| {});
                self.block += 1;
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::StopSequence(text) => text.write_into(self.stop_sequence.insert(String::new())),
            Event::Finish(finish) => {
                self.start(out);
                self.finish = *finish;
            }
            Event::Start | Event::Fail(_) | Event::Other { .. } | Event::Aside { .. } => {}
        }
    }

    /// The first event, held back until there is content: by then a backend that counts its input has said so.
    fn start(&mut self, out: &mut Frames) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        begin_frame("message_start", out.buffer());
        out.buffer().put_slice(b",\"message\":");
        let mut message = Object::new(out.buffer());
        write_head(&self.id, &self.model, &mut message);
        message.raw("content", "[]").raw("stop_reason", "null").raw("stop_sequence", "null");
        message.object("usage", |usage| write_usage(&Usage { output: 0, ..self.usage }, usage));
        message.end();
        end_frame(out);
    }

    fn open(&mut self, block: Block<'_>, out: &mut Frames) {
        self.kind = match block {
            // No picture is passed on to this dialect.
            Block::Text | Block::Picture(_) => Kind::Text,
            Block::Refusal => {
                self.refused = true;
                Kind::Text // there is no block for it
            }
            Block::Reasoning => Kind::Thinking,
            Block::Redacted(_) => Kind::Whole,
            Block::ToolCall { .. } => Kind::ToolUse,
        };
        self.frame("content_block_start", out, |frame| {
            frame.object("content_block", |object| match block {
                Block::Text | Block::Refusal | Block::Picture(_) => {
                    object.raw("type", "\"text\"").raw("text", "\"\"");
                }
                Block::Reasoning => {
                    object.raw("type", "\"thinking\"").raw("thinking", "\"\"").raw("signature", "\"\"");
                }
                Block::Redacted(sealed) => {
                    object.raw("type", "\"redacted_thinking\"");
                    sealed.write_quoted(Seal::Redacted, object.key("data"));
                }
                Block::ToolCall { id, name } => {
                    object
                        .raw("type", "\"tool_use\"")
                        .text("id", Text::Plain(&call_ids::lawful(&id.plain())));
                    object.text("name", name).raw("input", "{}");
                }
            });
        });
    }

    fn delta(&self, text: Text<'_>, out: &mut Frames) {
        let delta: &[u8] = match self.kind {
            Kind::Text => b"{\"type\":\"text_delta\",\"text\":",
            Kind::Thinking => b"{\"type\":\"thinking_delta\",\"thinking\":",
            Kind::ToolUse => b"{\"type\":\"input_json_delta\",\"partial_json\":",
            Kind::Whole => return,
        };
        self.frame("content_block_delta", out, |frame| {
            let buffer = frame.key("delta");
            buffer.put_slice(delta);
            text.write_quoted(buffer);
            buffer.put_u8(b'}');
        });
    }

    /// One event about the open block.
    fn frame(&self, kind: &str, out: &mut Frames, write: impl FnOnce(&mut Object<'_>)) {
        begin_frame(kind, out.buffer());
        out.buffer().put_slice(b",\"index\":");
        write_number(self.block, out.buffer());
        write(&mut Object::inside(out.buffer()));
        end_frame(out);
    }

    fn end(&self, out: &mut Frames) {
        begin_frame("message_delta", out.buffer());
        let mut frame = Object::inside(out.buffer());
        frame.object("delta", |delta| {
            write_stop(self.finish, self.refused, self.stop_sequence.as_deref(), delta);
        });
        frame.object("usage", |usage| write_usage(&self.usage, usage));
        end_frame(out);
        out.push(Dialect::Anthropic.terminator());
    }
}

fn begin_frame(kind: &str, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\ndata: {\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_u8(b'"');
}

fn end_frame(out: &mut Frames) {
    out.buffer().put_slice(b"}\n\n");
    out.end();
}

pub(super) fn message_id(identity: &Identity) -> String {
    format!("msg_{}", identity.id)
}

/// What every message begins with.
pub(super) fn write_head(id: &str, model: &str, message: &mut Object<'_>) {
    message.text("id", Text::Plain(id)).raw("type", "\"message\"").raw("role", "\"assistant\"");
    message.text("model", Text::Plain(model));
}

/// Writes a citation. What its vendor would want back is not there: it was another.
pub(super) fn write_citation(citation: &Citation<'_>, object: &mut Object<'_>) {
    object.raw("type", "\"web_search_result_location\"").text("cited_text", citation.quoted);
    object.raw("encrypted_index", "\"\"").text("title", citation.title).text("url", citation.url);
}

/// Writes why an answer ended. A refusal in words counts as one also where the backend called it a natural end.
pub(super) fn write_stop(
    finish: Finish,
    refused: bool,
    stop_sequence: Option<&str>,
    object: &mut Object<'_>,
) {
    let stop_sequence = stop_sequence.filter(|_| finish == Finish::Stop && !refused);
    let reason = match finish {
        Finish::Stop if refused => "refusal",
        Finish::Stop if stop_sequence.is_some() => "stop_sequence",
        Finish::Stop | Finish::Load | Finish::Unload => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal => "refusal",
        Finish::Pause => "pause_turn",
    };
    object.text("stop_reason", Text::Plain(reason));
    match stop_sequence {
        Some(text) => object.text("stop_sequence", Text::Escaped(text)),
        None => object.raw("stop_sequence", "null"),
    };
}

/// An id of a tool call as Anthropic takes them: of `[a-zA-Z0-9_-]`.
pub(super) fn lawful_id(id: &str) -> String {
    let lawful = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    id.chars().map(lawful).collect()
}
