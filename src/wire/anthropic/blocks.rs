//! Reads the content blocks of a Messages request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, Image};
use crate::wire::members::list;
use crate::wire::request::{Arguments, Dropped, Part, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    source: Field<'a>,
    #[serde(borrow, default)]
    title: Field<'a>,
    #[serde(borrow, default)]
    context: Field<'a>,
    #[serde(borrow, default)]
    citations: Field<'a>,
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
    #[serde(borrow, default)]
    tool_use_id: Field<'a>,
    #[serde(borrow, default)]
    content: Field<'a>,
    #[serde(borrow, default)]
    is_error: Field<'a>,
    #[serde(borrow, default)]
    cache_control: Field<'a>,
}

/// The content of a message: a string, or a list of blocks.
pub(super) fn read_blocks<'a>(
    content: Field<'a>,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, ParseError> {
    read_list(content, "messages", dropped)
}

fn read_list<'a>(
    content: Field<'a>,
    name: &'static str,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, ParseError> {
    if let Some(text) = content.text() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] });
    }
    let mut parts = Vec::new();
    for block in list::<Block<'a>>(content, name)? {
        if !block.cache_control.is_absent() {
            dropped.add("cache_control");
        }
        read_block(&block, &mut parts, dropped)?;
    }
    Ok(parts)
}

/// The same where only text is lawful: the system prompt.
pub(super) fn read_texts<'a>(content: Field<'a>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, ParseError> {
    let parts = read_list(content, "system", dropped)?;
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return Ok(parts);
    }
    Err(ParseError::new("`system` must be a string or a list of text blocks", Some("system")))
}

fn read_block<'a>(
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    let incomplete =
        || ParseError::new(format!("a `{}` block is not complete", block.kind), Some("messages"));
    parts.push(match block.kind.as_ref() {
        "text" => Part::Text(block.text.text().ok_or_else(incomplete)?),
        "image" => Part::Image(read_image(block.source)?),
        "document" => return read_document(block, parts, dropped),
        "search_result" => return read_search_result(block, parts, dropped),
        "thinking" => {
            let sealed = block.signature.some_text().map(|text| Sealed::read(text, Seal::Signature));
            Part::Reasoning { text: block.thinking.text().unwrap_or(Text::Plain("")), sealed }
        }
        "redacted_thinking" => {
            Part::Redacted(Sealed::read(block.data.text().ok_or_else(incomplete)?, Seal::Redacted))
        }
        "tool_use" => Part::ToolCall(ToolCall {
            id: block.id.some_text(),
            name: block.name.some_text().ok_or_else(incomplete)?,
            arguments: Arguments::of(block.input),
        }),
        "tool_result" => Part::ToolResult(ToolResult {
            call_id: block.tool_use_id.some_text(),
            tool: None,
            parts: read_blocks(block.content, dropped)?,
            is_error: block.is_error.boolean() == Some(true),
        }),
        other => return Err(unknown(other)),
    });
    Ok(())
}

fn unknown(kind: &str) -> ParseError {
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
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    #[derive(Deserialize)]
    struct Citations<'a> {
        #[serde(borrow, default)]
        enabled: Field<'a>,
    }
    let wrong = || ParseError::new("the source of a document is not complete", Some("messages"));
    let source: Source<'a> = block.source.read().ok_or_else(wrong)?;
    if block.citations.read::<Citations<'a>>().is_some_and(|wire| wire.enabled.boolean() == Some(true)) {
        dropped.add("citations");
    }
    let told = |field: Field<'a>| field.some_text().map(Part::Text);
    match source.kind.as_ref() {
        "text" => {
            parts.extend([block.title, block.context].into_iter().filter_map(told));
            parts.push(source.data.text().map(Part::Text).ok_or_else(wrong)?);
        }
        "content" if !source.content.is_absent() => {
            parts.extend([block.title, block.context].into_iter().filter_map(told));
            parts.append(&mut read_blocks(source.content, dropped)?);
        }
        "base64" => {
            parts.extend(told(block.context));
            parts.push(Part::Document(Document {
                name: block.title.some_text(),
                media_type: source
                    .media_type
                    .string()
                    .map_or_else(|| "application/pdf".into(), Cow::into_owned),
                base64: source.data.some_text().ok_or_else(wrong)?,
            }));
        }
        other => return Err(unknown(other)),
    }
    Ok(())
}

/// What a search of the client's own found: its title and address, then its text.
fn read_search_result<'a>(
    block: &Block<'a>,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    parts.extend([block.title, block.source].into_iter().filter_map(Field::some_text).map(Part::Text));
    parts.append(&mut read_blocks(block.content, dropped)?);
    Ok(())
}
