//! Reads the input items of a Responses request into messages: what an assistant said, thought and called in a row is one.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, Image};
use crate::wire::members::list;
use crate::wire::request::{Arguments, Dropped, Message, Part, Role, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    role: Field<'a>,
    #[serde(borrow, default)]
    content: Field<'a>,
    #[serde(borrow, default)]
    call_id: Field<'a>,
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    arguments: Field<'a>,
    #[serde(borrow, default)]
    input: Field<'a>,
    #[serde(borrow, default)]
    output: Field<'a>,
    #[serde(borrow, default)]
    summary: Field<'a>,
    #[serde(borrow, default)]
    encrypted_content: Field<'a>,
}

#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    refusal: Field<'a>,
    #[serde(borrow, default)]
    image_url: Field<'a>,
    #[serde(borrow, default)]
    detail: Field<'a>,
    #[serde(borrow, default)]
    file_data: Field<'a>,
    #[serde(borrow, default)]
    filename: Field<'a>,
    #[serde(borrow, default)]
    prompt_cache_breakpoint: Field<'a>,
}

/// Reads `input`: a string, or a list of items.
pub(super) fn read_input<'a>(
    input: Field<'a>,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    if let Some(text) = input.text() {
        messages.push(Message { role: Role::User, parts: vec![Part::Text(text)] });
        return Ok(());
    }
    for item in list::<Item<'a>>(input, "input")? {
        read_item(&item, messages, dropped)?;
    }
    Ok(())
}

fn read_item<'a>(
    item: &Item<'a>,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    match item.kind.as_ref() {
        "" | "message" => {
            let role = match item.role.string().as_deref() {
                Some("system" | "developer") => Role::System,
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                _ => return Err(wrong("a message has no role that is known")),
            };
            let parts = read_content(item.content, dropped)?;
            push(messages, role, parts);
        }
        "reasoning" => push(messages, Role::Assistant, read_reasoning(item)),
        "function_call" => {
            let arguments = Arguments::of(item.arguments);
            push(messages, Role::Assistant, vec![call(item, arguments)?]);
        }
        "custom_tool_call" => {
            let arguments = Arguments::Input(item.input.text().unwrap_or(Text::Plain("")));
            push(messages, Role::Assistant, vec![call(item, arguments)?]);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let result = ToolResult {
                call_id: item.call_id.some_text(),
                tool: None,
                parts: read_content(item.output, dropped)?,
                is_error: false,
            };
            messages.push(Message { role: Role::Tool, parts: vec![Part::ToolResult(result)] });
        }
        "item_reference" => {
            return Err(wrong(
                "an `item_reference` cannot be followed, for nothing is stored: send `store: false` and the items themselves",
            ));
        }
        other => {
            return Err(wrong(&format!("a `{other}` item cannot be carried to the backend of this model")));
        }
    }
    Ok(())
}

fn wrong(why: &str) -> ParseError {
    ParseError::new(why, Some("input"))
}

fn push<'a>(messages: &mut Vec<Message<'a>>, role: Role, mut parts: Vec<Part<'a>>) {
    match messages.last_mut() {
        Some(last) if role == Role::Assistant && last.role == role => last.parts.append(&mut parts),
        _ => messages.push(Message { role, parts }),
    }
}

fn call<'a>(item: &Item<'a>, arguments: Arguments<'a>) -> Result<Part<'a>, ParseError> {
    let name = item.name.some_text().ok_or_else(|| wrong("a tool call has no name"))?;
    Ok(Part::ToolCall(ToolCall { id: item.call_id.some_text(), name, arguments }))
}

/// The raw reasoning where there is some, else its summary; what is sealed goes with the last part.
fn read_reasoning<'a>(item: &Item<'a>) -> Vec<Part<'a>> {
    let sealed = item.encrypted_content.some_text().map(|data| Sealed::read(data, Seal::Encrypted));
    let texts = |field: Field<'a>| -> Vec<Text<'a>> {
        let parts: Vec<WirePart<'a>> = field.read().unwrap_or_default();
        parts.iter().filter_map(|part| part.text.some_text()).collect()
    };
    let raw = texts(item.content);
    let texts = if raw.is_empty() { texts(item.summary) } else { raw };
    if let Some(sealed) = sealed.filter(|sealed| texts.is_empty() && sealed.seal != Seal::Signature) {
        return vec![Part::Redacted(sealed)];
    }
    let mut parts: Vec<Part<'a>> =
        texts.into_iter().map(|text| Part::Reasoning { text, sealed: None }).collect();
    if let Some(new) = sealed {
        if parts.is_empty() {
            parts.push(Part::Reasoning { text: Text::Plain(""), sealed: None });
        }
        if let Some(Part::Reasoning { sealed, .. }) = parts.last_mut() {
            *sealed = Some(new);
        }
    }
    parts
}

fn read_content<'a>(content: Field<'a>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, ParseError> {
    match content.text() {
        Some(text) if text.is_empty() => Ok(Vec::new()),
        Some(text) => Ok(vec![Part::Text(text)]),
        None => list::<WirePart<'a>>(content, "input")?.iter().map(|part| read_part(part, dropped)).collect(),
    }
}

fn read_part<'a>(part: &WirePart<'a>, dropped: &mut Dropped) -> Result<Part<'a>, ParseError> {
    let incomplete = || wrong(&format!("a `{}` part is not complete", part.kind));
    if !part.prompt_cache_breakpoint.is_absent() {
        dropped.add("prompt_cache_breakpoint");
    }
    match part.kind.as_ref() {
        "input_text" | "output_text" | "text" => part.text.text().map(Part::Text).ok_or_else(incomplete),
        "refusal" => part.refusal.text().map(Part::Text).ok_or_else(incomplete),
        "input_image" => {
            if !part.detail.is_absent() && part.detail.string().as_deref() != Some("auto") {
                dropped.add("input.content.detail");
            }
            part.image_url.some_text().map(Image::of_url).map(Part::Image).ok_or_else(incomplete)
        }
        "input_file" => {
            let data = part.file_data.text().and_then(|url| Document::of_url(url, part.filename.some_text()));
            data.map(Part::Document).ok_or_else(incomplete)
        }
        other => Err(wrong(&format!("a `{other}` part cannot be carried to the backend of this model"))),
    }
}
