//! Reads the messages of a chat completions request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, Image};
use crate::wire::request::{Arguments, Dropped, Message, Part, Role, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

#[derive(Deserialize)]
pub(super) struct WireMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Field<'a>,
    #[serde(borrow, default)]
    reasoning_content: Field<'a>,
    #[serde(borrow, default)]
    reasoning: Field<'a>,
    #[serde(borrow, default)]
    thinking_blocks: Field<'a>,
    #[serde(borrow, default)]
    refusal: Field<'a>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<WireToolCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Field<'a>,
    #[serde(borrow, default)]
    audio: Field<'a>,
    #[serde(borrow, default)]
    tool_call_id: Field<'a>,
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    cache_control: Field<'a>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    #[serde(borrow, default)]
    id: Field<'a>,
    #[serde(borrow)]
    function: WireFunction<'a>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    arguments: Field<'a>,
}

#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    refusal: Field<'a>,
    #[serde(borrow, default)]
    image_url: Field<'a>,
    #[serde(borrow, default)]
    file: Field<'a>,
    #[serde(borrow, default)]
    cache_control: Field<'a>,
    #[serde(borrow, default)]
    prompt_cache_breakpoint: Field<'a>,
}

/// Reads one message, and names what of it has no place in the request model.
pub(super) fn message<'a>(wire: WireMessage<'a>, dropped: &mut Dropped) -> Result<Message<'a>, ParseError> {
    let role = match wire.role.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let words = format!("the role `{other}` is not known to the backend of this model");
            return Err(ParseError::new(words, Some("messages")));
        }
    };
    let mut parts = Vec::with_capacity(1); // most messages have one part, and there may be many
    read_reasoning(&wire, &mut parts);
    read_content(wire.content, &mut parts, dropped)?;
    if !wire.function_call.is_absent() || !wire.audio.is_absent() {
        let words =
            "a message holds a `function_call` or `audio`, which the backend of this model cannot be told";
        return Err(ParseError::new(words, Some("messages")));
    }
    if role != Role::Tool && !wire.name.is_absent() {
        dropped.add("messages.name");
    }
    if !wire.cache_control.is_absent() {
        dropped.add("cache_control");
    }
    if let Some(text) = wire.refusal.some_text() {
        parts.push(Part::Text(text));
    }
    for call in wire.tool_calls.unwrap_or_default() {
        let name = call.function.name.some_text();
        let name = name.ok_or_else(|| ParseError::new("a tool call has no name", Some("messages")))?;
        let arguments = Arguments::of(call.function.arguments);
        parts.push(Part::ToolCall(ToolCall { id: call.id.some_text(), name, arguments }));
    }
    if role == Role::Tool {
        let result = ToolResult {
            call_id: wire.tool_call_id.some_text(),
            tool: wire.name.some_text(),
            parts,
            is_error: false,
        };
        parts = vec![Part::ToolResult(result)];
    }
    Ok(Message { role, parts })
}

/// Signed thinking where there is some (as `LiteLLM` hands it out), else the plain text.
fn read_reasoning<'a>(wire: &WireMessage<'a>, parts: &mut Vec<Part<'a>>) {
    #[derive(Deserialize)]
    struct Thinking<'a> {
        #[serde(rename = "thinking", borrow, default)]
        text: Field<'a>,
        #[serde(borrow, default)]
        signature: Field<'a>,
        #[serde(borrow, default)]
        data: Field<'a>,
    }
    let plain = wire.reasoning_content.some_text().or_else(|| wire.reasoning.some_text());
    let blocks = wire.thinking_blocks.read::<Vec<Thinking<'a>>>().unwrap_or_default();
    // In a stream the text of a block comes in the field for reasoning, and its signature alone in the block.
    let signed = blocks.iter().filter(|block| block.signature.some_text().is_some()).count();
    let beside = plain.filter(|_| signed == 1).unwrap_or(Text::Plain(""));
    for block in blocks {
        if let Some(data) = block.data.some_text() {
            parts.push(Part::Redacted(Sealed::read(data, Seal::Redacted)));
        } else if let Some(signature) = block.signature.some_text() {
            let text = block.text.some_text().unwrap_or(beside);
            let sealed = Some(Sealed::read(signature, Seal::Signature));
            parts.push(Part::Reasoning { text, sealed });
        }
    }
    if let Some(text) = plain.filter(|_| parts.is_empty()) {
        parts.push(Part::Reasoning { text, sealed: None });
    }
}

fn read_content<'a>(
    content: Field<'a>,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    let wrong = || ParseError::new("`content` must be a string or a list of parts", Some("messages"));
    match content.text() {
        Some(text) if text.is_empty() => {}
        Some(text) => parts.push(Part::Text(text)),
        None if content.is_absent() => {}
        None => {
            for part in content.read::<Vec<WirePart<'a>>>().ok_or_else(wrong)? {
                parts.push(read_part(&part, dropped)?);
            }
        }
    }
    Ok(())
}

fn read_part<'a>(part: &WirePart<'a>, dropped: &mut Dropped) -> Result<Part<'a>, ParseError> {
    let incomplete = || ParseError::new(format!("a `{}` part is not complete", part.kind), Some("messages"));
    let hints =
        [("cache_control", part.cache_control), ("prompt_cache_breakpoint", part.prompt_cache_breakpoint)];
    for (name, _) in hints.into_iter().filter(|(_, hint)| !hint.is_absent()) {
        dropped.add(name);
    }
    match part.kind.as_ref() {
        "text" => part.text.text().map(Part::Text).ok_or_else(incomplete),
        "refusal" => part.refusal.text().map(Part::Text).ok_or_else(incomplete),
        "image_url" => {
            #[derive(Deserialize)]
            struct ImageUrl<'a> {
                #[serde(borrow, default)]
                url: Field<'a>,
                #[serde(borrow, default)]
                detail: Field<'a>,
            }
            let url = match part.image_url.text() {
                Some(url) => Some(url), // some clients leave the object out
                None => part.image_url.read::<ImageUrl<'a>>().and_then(|image| {
                    if !image.detail.is_absent() {
                        dropped.add("messages.content.image_url.detail");
                    }
                    image.url.text()
                }),
            };
            url.map(Image::of_url).map(Part::Image).ok_or_else(incomplete)
        }
        "file" => {
            #[derive(Deserialize)]
            struct File<'a> {
                #[serde(borrow, default)]
                file_data: Field<'a>,
                #[serde(borrow, default)]
                filename: Field<'a>,
            }
            let file: File<'a> = part.file.read().ok_or_else(incomplete)?;
            let data = file.file_data.text().and_then(|url| Document::of_url(url, file.filename.some_text()));
            data.map(Part::Document).ok_or_else(incomplete)
        }
        other => Err(ParseError::new(
            format!("a `{other}` part cannot be carried to the backend of this model"),
            Some("messages"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(message: &str) -> Vec<(String, bool)> {
        let message =
            super::message(serde_json::from_str(message).unwrap(), &mut Dropped::default()).unwrap();
        let thoughts = message.parts.iter().filter_map(|part| {
            let Part::Reasoning { text, sealed } = part else { return None };
            Some((text.plain().into_owned(), sealed.is_some()))
        });
        thoughts.collect()
    }

    #[test]
    fn a_signature_alone_belongs_to_the_reasoning_beside_it() {
        let seen = thought(
            r#"{"role":"assistant","reasoning_content":"Hm.","thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}]}"#,
        );
        assert_eq!(seen, [("Hm.".to_owned(), true)]);
        let own = r#"{"role":"assistant","reasoning_content":"Hm.Ah.","thinking_blocks":[{"thinking":"Hm.","signature":"s"},{"thinking":"Ah.","signature":"t"}]}"#;
        assert_eq!(thought(own), [("Hm.".to_owned(), true), ("Ah.".to_owned(), true)]);
    }
}
