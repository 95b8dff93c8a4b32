//! The items of a response, written: as they begin, and whole.

use bytes::{BufMut, BytesMut};

use crate::wire::answer::{AnswerBlock, KeptSeal};
use crate::wire::citation::KeptCitation;
use crate::wire::json::{Object, Text, json_object, write_list};
use crate::wire::media::Image;
use crate::wire::openai_responses::compaction::write_summary;
use crate::wire::openai_responses::custom::input_of;
use crate::wire::openai_responses::echo::Echo;
use crate::wire::seal::{Seal, Sealed};

/// What kind of item a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Refusal,
    Reasoning,
    FunctionCall,
    CustomCall,
    Picture,
    /// What was asked for is a summary: the text is one, and goes back as a whole.
    Compaction,
}

impl Kind {
    pub(super) fn of(block: &AnswerBlock, echo: &Echo) -> Self {
        match block {
            AnswerBlock::Text { .. } if echo.compacts => Self::Compaction,
            AnswerBlock::Text { .. } => Self::Message,
            AnswerBlock::Refusal(_) => Self::Refusal,
            AnswerBlock::Reasoning { .. } | AnswerBlock::Redacted(_) => Self::Reasoning,
            AnswerBlock::Picture(_) => Self::Picture,
            AnswerBlock::ToolCall { name, .. } if echo.is_custom(name) => Self::CustomCall,
            AnswerBlock::ToolCall { .. } => Self::FunctionCall,
        }
    }

    /// The id of item `number` of the answer `id`.
    pub(super) fn id(self, id: &str, number: u64) -> String {
        let prefix = match self {
            Self::Message | Self::Refusal => "msg",
            Self::Reasoning => "rs",
            Self::FunctionCall => "fc",
            Self::CustomCall => "ctc",
            Self::Picture => "ig",
            Self::Compaction => "cmp",
        };
        format!("{prefix}_{id}_{number}")
    }
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Begun,
    Completed,
    /// The token limit cut it.
    Incomplete,
}

/// Could more of the block have come, had the token limit not been reached?
pub(super) fn may_be_cut(block: &AnswerBlock) -> bool {
    match block {
        AnswerBlock::Text { .. } | AnswerBlock::Refusal(_) | AnswerBlock::Reasoning { sealed: None, .. } => {
            true
        }
        AnswerBlock::Reasoning { sealed: Some(_), .. }
        | AnswerBlock::Redacted(_)
        | AnswerBlock::Picture(_) => false,
        AnswerBlock::ToolCall { .. } => {
            block.is_empty() || json_object(&Text::Escaped(block.escaped()).plain()).is_none()
        }
    }
}

/// Writes an item as it is when it begins, or whole.
pub(super) fn write_item(id: &str, block: &AnswerBlock, stage: Stage, echo: &Echo, out: &mut BytesMut) {
    let kind = Kind::of(block, echo);
    let whole = stage != Stage::Begun;
    let mut item = Object::new(out);
    item.text("id", Text::Plain(id));
    match kind {
        Kind::Message | Kind::Refusal => item.raw("type", "\"message\""),
        Kind::Reasoning => item.raw("type", "\"reasoning\""),
        Kind::FunctionCall => item.raw("type", "\"function_call\""),
        Kind::CustomCall => item.raw("type", "\"custom_tool_call\""),
        Kind::Picture => item.raw("type", "\"image_generation_call\""),
        Kind::Compaction => item.raw("type", "\"compaction\""),
    };
    let status = match stage {
        Stage::Begun => "\"in_progress\"",
        Stage::Completed => "\"completed\"",
        Stage::Incomplete => "\"incomplete\"",
    };
    if kind != Kind::Compaction {
        item.raw("status", status);
    }
    match kind {
        Kind::Message | Kind::Refusal => {
            item.raw("role", "\"assistant\"");
            write_parts(whole, item.key("content"), |out| write_part(kind, block, out));
        }
        Kind::Reasoning => write_reasoning(block, whole, &mut item),
        Kind::FunctionCall | Kind::CustomCall => write_call(block, whole, echo, &mut item),
        Kind::Picture => write_picture(block, whole, &mut item),
        Kind::Compaction => {
            let summary = if whole { block.escaped() } else { "" };
            write_summary(Text::Escaped(summary), item.key("encrypted_content"));
        }
    }
    item.end();
}

fn write_parts(whole: bool, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(b'[');
    if whole {
        write(out);
    }
    out.put_u8(b']');
}

/// The one part of a message or a summary, with the text that the block has.
pub(super) fn write_part(kind: Kind, block: &AnswerBlock, out: &mut BytesMut) {
    let text = Text::Escaped(block.escaped());
    let mut part = Object::new(out);
    match kind {
        Kind::Refusal => part.raw("type", "\"refusal\"").text("refusal", text),
        Kind::Reasoning => part.raw("type", "\"summary_text\"").text("text", text),
        Kind::Message | Kind::FunctionCall | Kind::CustomCall | Kind::Picture | Kind::Compaction => {
            part.raw("type", "\"output_text\"");
            write_list(block.citations(), part.key("annotations"), |kept, out| {
                write_annotation(kept, block, out);
            });
            part.raw("logprobs", "[]").text("text", text)
        }
    };
    part.end();
}

/// What the text of a block leans on.
pub(super) fn write_annotation(kept: &KeptCitation, block: &AnswerBlock, out: &mut BytesMut) {
    let mut annotation = Object::new(out);
    annotation.raw("type", "\"url_citation\"");
    let all = (0, Text::Escaped(block.escaped()).characters());
    kept.citation().write_openai(all, &mut annotation);
    annotation.end();
}

fn write_reasoning(block: &AnswerBlock, whole: bool, item: &mut Object<'_>) {
    let spoken = whole && !block.escaped().is_empty();
    write_parts(spoken, item.key("summary"), |out| write_part(Kind::Reasoning, block, out));
    match sealed(block).filter(|_| whole) {
        Some(sealed) => sealed.write_quoted(Seal::Encrypted, item.key("encrypted_content")),
        None => {
            item.raw("encrypted_content", "null");
        }
    }
}

fn sealed(block: &AnswerBlock) -> Option<Sealed<'_>> {
    match block {
        AnswerBlock::Reasoning { sealed, .. } => sealed.as_ref().map(KeptSeal::sealed),
        AnswerBlock::Redacted(kept) => Some(kept.sealed()),
        AnswerBlock::Text { .. }
        | AnswerBlock::Refusal(_)
        | AnswerBlock::Picture(_)
        | AnswerBlock::ToolCall { .. } => None,
    }
}

/// A picture as the vendor's own tool gives it: its bytes, and what they are.
fn write_picture(block: &AnswerBlock, whole: bool, item: &mut Object<'_>) {
    let AnswerBlock::Picture(url) = block else { return };
    let image = Image::of_url(Text::Escaped(url));
    match (&image, whole) {
        (Image::Data { base64, .. }, true) => {
            let media_type = image.media_type();
            let format = media_type.strip_prefix("image/").unwrap_or(media_type);
            item.text("result", *base64).text("output_format", Text::Plain(format));
        }
        (Image::Data { .. } | Image::Url(_), _) => {
            item.raw("result", "null");
        }
    }
}

fn write_call(block: &AnswerBlock, whole: bool, echo: &Echo, item: &mut Object<'_>) {
    let AnswerBlock::ToolCall { id, name, .. } = block else {
        return;
    };
    let own = echo.own_name(name);
    item.text("call_id", Text::Plain(id)).text("name", Text::Plain(own.name));
    if let Some(namespace) = own.namespace {
        item.text("namespace", Text::Plain(namespace));
    }
    match Kind::of(block, echo) {
        Kind::CustomCall => {
            let input = if whole { input_of(block.escaped()) } else { String::new() };
            item.text("input", Text::Escaped(&input));
        }
        Kind::FunctionCall
        | Kind::Message
        | Kind::Refusal
        | Kind::Reasoning
        | Kind::Picture
        | Kind::Compaction => {
            item.text("arguments", if whole { arguments(block) } else { Text::Plain("") });
        }
    }
}

/// The arguments of a call: none at all are an empty object.
pub(super) fn arguments(block: &AnswerBlock) -> Text<'_> {
    if block.escaped().is_empty() { Text::Plain("{}") } else { Text::Escaped(block.escaped()) }
}
