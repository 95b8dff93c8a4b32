//! Reads the content blocks of a Messages request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::anthropic::billing::without_billing;
use crate::wire::anthropic::hosted::read_hosted;
use crate::wire::call_arguments::Arguments;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, DocumentSource, Image};
use crate::wire::members::{list, named};
use crate::wire::offer::Offer;
use crate::wire::request::{Dropped, Part, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

struct Block<'a> {
    kind: Cow<'a, str>,
    text: Field<'a>,
    source: Field<'a>,
    title: Field<'a>,
    context: Field<'a>,
    citations: Field<'a>,
    thinking: Field<'a>,
    signature: Field<'a>,
    data: Field<'a>,
    id: Field<'a>,
    name: Field<'a>,
    input: Field<'a>,
    tool_use_id: Field<'a>,
    content: Field<'a>,
    is_error: Field<'a>,
}

impl<'a> Block<'a> {
    /// Reads a block; `unknown` hears of the members that are none of these.
    fn read(
        block: Field<'a>,
        list: &'static str,
        dropped: &mut Dropped,
        unknown: impl FnMut(&str),
    ) -> Result<Self, ParseError> {
        let names = [
            "type",
            "text",
            "source",
            "title",
            "context",
            "citations",
            "thinking",
            "signature",
            "data",
            "id",
            "name",
            "input",
            "tool_use_id",
            "content",
            "is_error",
            "cache_control",
        ];
        let wrong = || ParseError::new(format!("`{list}` must hold blocks that have a type"), Some(list));
        let fields = named(block, names, unknown).ok_or_else(wrong)?;
        let [kind, text, source, title, context, citations, thinking, signature, data, id, name, input, ..] =
            fields;
        let [.., tool_use_id, content, is_error, cache_control] = fields;
        if !cache_control.is_absent() {
            dropped.add("cache_control");
        }
        let kind = kind.string().ok_or_else(wrong)?;
        Ok(Self {
            kind,
            text,
            source,
            title,
            context,
            citations,
            thinking,
            signature,
            data,
            id,
            name,
            input,
            tool_use_id,
            content,
            is_error,
        })
    }
}

/// What is read from blocks beside their parts.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    pub(super) dropped: Dropped,
    pub(super) offer: Offer<'a>,
    /// What the vendor keeps of all messages before: it leaves them out of the prompt then.
    pub(super) summary: Option<Text<'a>>,
}

/// The content of a message: a string, or a list of blocks.
pub(super) fn read_blocks<'a>(
    content: Field<'a>,
    beside: &mut Beside<'a>,
) -> Result<Vec<Part<'a>>, ParseError> {
    read_list(content, "messages", beside)
}

fn read_list<'a>(
    content: Field<'a>,
    name: &'static str,
    beside: &mut Beside<'a>,
) -> Result<Vec<Part<'a>>, ParseError> {
    if let Some(text) = content.text() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] });
    }
    let mut parts = Vec::new();
    for block in list::<Field<'a>>(content, name)? {
        read_block(block, name, &mut parts, beside)?;
    }
    Ok(parts)
}

/// The same where only text is lawful: the system prompt. A line in it that is meant for Anthropic's accounts is left out: other with
/// every request, it would keep a backend from using what it has read already.
pub(super) fn read_texts<'a>(
    content: Field<'a>,
    beside: &mut Beside<'a>,
) -> Result<Vec<Part<'a>>, ParseError> {
    let mut texts = Vec::new();
    for part in read_list(content, "system", beside)? {
        let Part::Text(text) = part else {
            return Err(ParseError::new(
                "`system` must be a string or a list of text blocks",
                Some("system"),
            ));
        };
        texts.extend(without_billing(text).map(Part::Text));
    }
    Ok(texts)
}

fn read_block<'a>(
    field: Field<'a>,
    list: &'static str,
    parts: &mut Vec<Part<'a>>,
    beside: &mut Beside<'a>,
) -> Result<(), ParseError> {
    let mut unknown = Vec::new();
    let block = Block::read(field, list, &mut beside.dropped, |other| {
        unknown.push(format!("messages.content.{other}"));
    })?;
    let incomplete =
        || ParseError::new(format!("a `{}` block is not complete", block.kind), Some("messages"));
    match block.kind.as_ref() {
        "text" => parts.push(Part::Text(block.text.text().ok_or_else(incomplete)?)),
        "image" => parts.push(Part::Image(read_image(block.source)?)),
        "document" => read_document(&block, parts, beside)?,
        "search_result" => read_search_result(&block, parts, beside)?,
        "thinking" => {
            let sealed = block.signature.some_text().map(|text| Sealed::read(text, Seal::Signature));
            parts.push(Part::Reasoning { text: block.thinking.text().unwrap_or(Text::Plain("")), sealed });
        }
        "redacted_thinking" => {
            let data = block.data.text().ok_or_else(incomplete)?;
            parts.push(Part::Redacted(Sealed::read(data, Seal::Redacted)));
        }
        "tool_use" => parts.push(Part::ToolCall(ToolCall {
            id: block.id.some_text(),
            name: block.name.some_text().ok_or_else(incomplete)?,
            arguments: Arguments::of(block.input),
        })),
        "tool_result" => parts.push(Part::ToolResult(ToolResult {
            call_id: block.tool_use_id.some_text(),
            tool: None,
            parts: read_blocks(block.content, beside)?,
            is_error: block.is_error.boolean() == Some(true),
        })),
        kind => return read_hosted(field, kind, parts, beside),
    }
    for name in unknown {
        beside.dropped.add(name);
    }
    Ok(())
}

pub(super) fn unknown(kind: &str) -> ParseError {
    ParseError::new(
        format!("a `{kind}` block cannot be carried to the backend of this model"),
        Some("messages"),
    )
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    media_type: Field<'a>,
    #[serde(borrow, default)]
    data: Field<'a>,
    #[serde(borrow, default)]
    url: Field<'a>,
    #[serde(borrow, default)]
    content: Field<'a>,
}

fn read_image(source: Field<'_>) -> Result<Image<'_>, ParseError> {
    let wrong = || ParseError::new("the source of an image is not complete", Some("messages"));
    let source: Source<'_> = source.read().ok_or_else(wrong)?;
    match source.kind.as_ref() {
        "base64" => Ok(Image::Data {
            media_type: source.media_type.string().map(Cow::into_owned),
            base64: source.data.some_text().ok_or_else(wrong)?,
        }),
        "url" => source.url.some_text().map(Image::Url).ok_or_else(wrong),
        other => Err(unknown(other)),
    }
}

/// A document that is text is told as text: its title and what is said about it, then its words.
fn read_document<'a>(
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
    beside: &mut Beside<'a>,
) -> Result<(), ParseError> {
    #[derive(Deserialize)]
    struct Citations<'a> {
        #[serde(borrow, default)]
        enabled: Field<'a>,
    }
    let wrong = || ParseError::new("the source of a document is not complete", Some("messages"));
    let source: Source<'a> = block.source.read().ok_or_else(wrong)?;
    if block.citations.read::<Citations<'a>>().is_some_and(|wire| wire.enabled.boolean() == Some(true)) {
        beside.dropped.add("citations");
    }
    let told = |field: Field<'a>| field.some_text().map(Part::Text);
    match source.kind.as_ref() {
        "text" => {
            parts.extend([block.title, block.context].into_iter().filter_map(told));
            parts.push(source.data.text().map(Part::Text).ok_or_else(wrong)?);
        }
        "content" if !source.content.is_absent() => {
            parts.extend([block.title, block.context].into_iter().filter_map(told));
            parts.append(&mut read_blocks(source.content, beside)?);
        }
        "base64" => {
            parts.extend(told(block.context));
            let media_type = source.media_type.string();
            let source = DocumentSource::Data {
                media_type: media_type.map_or_else(|| "application/pdf".into(), Cow::into_owned),
                base64: source.data.some_text().ok_or_else(wrong)?,
            };
            parts.push(Part::Document(Document { name: block.title.some_text(), source }));
        }
        "url" => {
            parts.extend(told(block.context));
            let source = DocumentSource::Url(source.url.some_text().ok_or_else(wrong)?);
            parts.push(Part::Document(Document { name: block.title.some_text(), source }));
        }
        other => return Err(unknown(other)),
    }
    Ok(())
}

/// What a search of the client's own found: its title and address, then its text.
fn read_search_result<'a>(
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
    beside: &mut Beside<'a>,
) -> Result<(), ParseError> {
    parts.extend([block.title, block.source].into_iter().filter_map(Field::some_text).map(Part::Text));
    parts.append(&mut read_blocks(block.content, beside)?);
    Ok(())
}
