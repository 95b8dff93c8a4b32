//! Encodes chat completion chunks: one id, one model and one time for the whole stream, the role in the first chunk, one finish
//! reason, usage in a chunk of its own and only where it was asked for.

use bytes::{BufMut, BytesMut};

use crate::wire::citation::KeptCitation;
use crate::wire::codec::{Encode, EncodeError, Identity};
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::frame::Frames;
use crate::wire::json::{Object, Text, write_list, write_number};
use crate::wire::openai_chat::whole::{finish_reason, write_usage};
use crate::wire::request::Style;
use crate::wire::seal::{Seal, Sealed};

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    style: Style,
    role_sent: bool,
    usage: Option<Usage>,
    blocks: Vec<Open>,
    tool_calls: u64,
    /// The numbers of what is told in lists over several chunks: openai-python puts those together by them.
    annotations: u64,
    thinking_blocks: u64,
    pictures: u64,
    /// Characters of text so far.
    said: u64,
}

/// A block that is open.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Where it begins, and what it leans on: told when it is known how far it reaches.
    Text {
        from: u64,
        citations: Vec<KeptCitation>,
    },
    Reasoning,
    Refusal,
    ToolCall {
        number: u64,
        has_arguments: bool,
    },
    Hidden,
}

impl Encoder {
    pub fn new(identity: &Identity, style: Style) -> Self {
        let mut head = BytesMut::new();
        head.put_slice(b"data: {\"id\":\"chatcmpl-");
        Text::Plain(&identity.id).write(&mut head);
        head.put_slice(b"\",\"object\":\"chat.completion.chunk\",\"created\":");
        write_number(identity.started.seconds(), &mut head);
        head.put_slice(b",\"model\":");
        Text::Plain(&identity.model).write_quoted(&mut head);
        head.put_slice(b",\"choices\":[");
        Self {
            head: head.to_vec(),
            style,
            role_sent: false,
            usage: None,
            blocks: Vec::new(),
            tool_calls: 0,
            annotations: 0,
            thinking_blocks: 0,
            pictures: 0,
            said: 0,
        }
    }

    /// One chunk whose delta is written by `delta`.
    fn chunk(&mut self, out: &mut Frames, finish: Option<Finish>, delta: impl FnOnce(&mut BytesMut)) {
        if !std::mem::replace(&mut self.role_sent, true) {
            self.begin_chunk(out);
            out.buffer().put_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            self.end_chunk(None, out);
        }
        self.begin_chunk(out);
        delta(out.buffer());
        self.end_chunk(finish, out);
    }

    fn begin_chunk(&self, out: &mut Frames) {
        out.buffer().put_slice(&self.head);
        out.buffer().put_slice(b"{\"index\":0,\"delta\":{");
    }

    fn end_chunk(&self, finish: Option<Finish>, out: &mut Frames) {
        let buffer = out.buffer();
        buffer.put_slice(b"},\"finish_reason\":");
        match finish {
            Some(finish) => Text::Plain(finish_reason(finish)).write_quoted(buffer),
            None => buffer.put_slice(b"null"),
        }
        buffer.put_slice(if self.style.usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" });
        out.end();
    }

    fn open(&mut self, index: u32, block: Block<'_>, out: &mut Frames) {
        let kind = match block {
            Block::Text => Kind::Text { from: self.said, citations: Vec::new() },
            Block::Reasoning => Kind::Reasoning,
            Block::Refusal => Kind::Refusal,
            Block::Redacted(sealed) => {
                self.thinking_block("redacted_thinking", sealed, out);
                Kind::Hidden
            }
            Block::Picture(url) => {
                let at = self.pictures;
                self.pictures += 1;
                self.chunk(out, None, |out| {
                    out.put_slice(b"\"images\":[");
                    write_picture(url, Some(at), out);
                    out.put_u8(b']');
                });
                Kind::Hidden
            }
            Block::ToolCall { id, name } => {
                let number = self.tool_calls;
                self.tool_calls += 1;
                self.chunk(out, None, |out| {
                    out.put_slice(b"\"tool_calls\":[{\"index\":");
                    write_number(number, out);
                    out.put_slice(b",\"id\":");
                    id.write_quoted(out);
                    out.put_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                    name.write_quoted(out);
                    out.put_slice(b",\"arguments\":\"\"}}]");
                });
                Kind::ToolCall { number, has_arguments: false }
            }
        };
        self.blocks.push(Open { index, kind });
    }

    /// What a vendor wants back with its reasoning, where clients look for it that know of such things.
    fn thinking_block(&mut self, kind: &str, sealed: Sealed<'_>, out: &mut Frames) {
        let at = self.thinking_blocks;
        self.thinking_blocks += 1;
        self.chunk(out, None, |out| {
            out.put_slice(b"\"thinking_blocks\":[");
            let mut block = Object::new(out);
            block.number("index", at);
            write_sealed(kind, sealed, Text::Plain(""), &mut block);
            block.end();
            out.put_u8(b']');
        });
    }

    fn delta(&mut self, index: u32, text: Text<'_>, out: &mut Frames) {
        let Some(open) = self.blocks.iter_mut().find(|open| open.index == index) else {
            return;
        };
        let field = match &mut open.kind {
            Kind::Text { .. } => {
                self.said += text.characters();
                "content"
            }
            Kind::Reasoning => self.style.reasoning_field,
            Kind::Refusal => "refusal",
            Kind::ToolCall { number, has_arguments } => {
                *has_arguments = true;
                let number = *number;
                return self.chunk(out, None, |out| write_arguments(number, text, out));
            }
            Kind::Hidden => return,
        };
        self.chunk(out, None, |out| {
            Text::Plain(field).write_quoted(out);
            out.put_u8(b':');
            text.write_quoted(out);
        });
    }

    fn close(&mut self, index: u32, out: &mut Frames) {
        let Some(at) = self.blocks.iter().position(|open| open.index == index) else {
            return;
        };
        match self.blocks.swap_remove(at).kind {
            // An empty string is no JSON, and clients parse what they are given.
            Kind::ToolCall { number, has_arguments: false } => {
                self.chunk(out, None, |out| write_arguments(number, Text::Plain("{}"), out));
            }
            Kind::Text { from, citations } if !citations.is_empty() => {
                let span = (from, self.said);
                let numbered = citations.iter().zip(self.annotations..);
                self.annotations += citations.len() as u64;
                self.chunk(out, None, |out| {
                    out.put_slice(b"\"annotations\":");
                    write_list(numbered, out, |(kept, at), out| write_annotation(kept, span, Some(at), out));
                });
            }
            Kind::ToolCall { .. } | Kind::Text { .. } | Kind::Reasoning | Kind::Refusal | Kind::Hidden => {}
        }
    }
}

/// What characters `span` of the text lean on.
pub(super) fn write_annotation(kept: &KeptCitation, span: (u64, u64), at: Option<u64>, out: &mut BytesMut) {
    let mut annotation = Object::new(out);
    if let Some(at) = at {
        annotation.number("index", at);
    }
    annotation.raw("type", "\"url_citation\"");
    annotation.object("url_citation", |inner| kept.citation().write_openai(span, inner));
    annotation.end();
}

/// A picture as `OpenRouter` and gateways before Gemini hand it on: this dialect has no word of its own for it.
pub(super) fn write_picture(url: Text<'_>, at: Option<u64>, out: &mut BytesMut) {
    let mut picture = Object::new(out);
    if let Some(at) = at {
        picture.number("index", at);
    }
    picture.raw("type", "\"image_url\"").object("image_url", |inner| {
        inner.text("url", url);
    });
    picture.end();
}

fn write_arguments(number: u64, text: Text<'_>, out: &mut BytesMut) {
    out.put_slice(b"\"tool_calls\":[{\"index\":");
    write_number(number, out);
    out.put_slice(b",\"function\":{\"arguments\":");
    text.write_quoted(out);
    out.put_slice(b"}}]");
}

/// The members of a thinking block.
pub(super) fn write_sealed(kind: &str, sealed: Sealed<'_>, text: Text<'_>, block: &mut Object<'_>) {
    block.text("type", Text::Plain(kind));
    if kind == "thinking" {
        block.text("thinking", text);
        sealed.write_quoted(Seal::Signature, block.key("signature"));
    } else {
        sealed.write_quoted(Seal::Redacted, block.key("data"));
    }
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, _: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        match event {
            Event::Open { index, block } => self.open(*index, *block, out),
            Event::Delta { index, text } => self.delta(*index, *text, out),
            Event::Close { index } => self.close(*index, out),
            Event::Citation { index, citation } => {
                let open = self.blocks.iter_mut().find(|open| open.index == *index);
                if let Some(Open { kind: Kind::Text { citations, .. }, .. }) = open {
                    citations.push(KeptCitation::new(citation));
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.chunk(out, Some(*finish), |_| {}),
            Event::Signature { sealed, .. } => {
                self.thinking_block("thinking", *sealed, out);
            }
            Event::Start
            | Event::StopSequence(_)
            | Event::Fail(_)
            | Event::Other { .. }
            | Event::Aside { .. } => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: Timestamp, out: &mut Frames) {
        if let Some(usage) = self.usage.filter(|_| self.style.usage) {
            let buffer = out.buffer();
            buffer.put_slice(&self.head);
            buffer.put_slice(b"],\"usage\":");
            let mut object = Object::new(buffer);
            write_usage(&usage, &mut object);
            object.end();
            buffer.put_slice(b"}\n\n");
            out.end();
        }
        out.push(Dialect::OpenAiChat.terminator());
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        out.push(&failure.frame(Dialect::OpenAiChat));
    }
}
