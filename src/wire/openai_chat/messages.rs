//! Reads the messages of a chat completions request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::call_arguments::Arguments;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, Image};
use crate::wire::members::named;
use crate::wire::request::{Dropped, Message, Part, Role, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

struct WireMessage<'a> {
    role: Cow<'a, str>,
    content: Field<'a>,
    reasoning_content: Field<'a>,
    reasoning: Field<'a>,
    thinking_blocks: Field<'a>,
    refusal: Field<'a>,
    tool_calls: Field<'a>,
    function_call: Field<'a>,
    tool_call_id: Field<'a>,
    name: Field<'a>,
}

fn wrong(why: impl Into<String>) -> ParseError {
    ParseError::new(why, Some("messages"))
}

impl<'a> WireMessage<'a> {
    fn read(message: Field<'a>, dropped: &mut Dropped) -> Result<Self, ParseError> {
        let names = [
            "role",
            "content",
            "reasoning_content",
            "reasoning",
            "thinking_blocks",
            "refusal",
            "tool_calls",
            "function_call",
            "tool_call_id",
            "name",
            "cache_control",
        ];
        let fields = named(message, names, |other| dropped.add(format!("messages.{other}")));
        let fields = fields.ok_or_else(|| wrong("`messages` must hold objects"))?;
        let [
            role,
            content,
            reasoning_content,
            reasoning,
            thinking_blocks,
            refusal,
            tool_calls,
            function_call,
            tool_call_id,
            name,
            cache_control,
        ] = fields;
        if !cache_control.is_absent() {
            dropped.add("cache_control");
        }
        let role = role.string().ok_or_else(|| wrong("one of the `messages` has no `role`"))?;
        Ok(Self {
            role,
            content,
            reasoning_content,
            reasoning,
            thinking_blocks,
            refusal,
            tool_calls,
            function_call,
            tool_call_id,
            name,
        })
    }
}

/// Reads one message, and names what of it has no place in the request model.
pub(super) fn message<'a>(message: Field<'a>, dropped: &mut Dropped) -> Result<Message<'a>, ParseError> {
    let wire = WireMessage::read(message, dropped)?;
    let role = match wire.role.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        other => return Err(wrong(format!("the role `{other}` is not known to the backend of this model"))),
    };
    let mut parts = Vec::with_capacity(1); // most messages have one part, and there may be many
    read_reasoning(&wire, &mut parts);
    read_content(wire.content, role, &mut parts, dropped)?;
    if role != Role::Tool && !wire.name.is_absent() {
        dropped.add("messages.name");
    }
    if let Some(text) = wire.refusal.some_text() {
        parts.push(Part::Text(text));
    }
    let calls: Option<Vec<Field<'a>>> = wire.tool_calls.read();
    if calls.is_none() && !wire.tool_calls.is_absent() {
        return Err(wrong("`tool_calls` in `messages` must be a list"));
    }
    for call in calls.unwrap_or_default() {
        parts.push(read_call(call, dropped)?);
    }
    if !wire.function_call.is_absent() {
        parts.push(called(None, wire.function_call, dropped)?);
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

fn read_call<'a>(call: Field<'a>, dropped: &mut Dropped) -> Result<Part<'a>, ParseError> {
    let names = ["id", "function", "custom", "type", "index"];
    let fields = named(call, names, |other| dropped.add(format!("messages.tool_calls.{other}")));
    let [id, function, custom, ..] =
        fields.ok_or_else(|| wrong("`tool_calls` in `messages` must hold objects"))?;
    if custom.is_absent() {
        return called(id.some_text(), function, dropped);
    }
    let fields = named(custom, ["name", "input"], |_| {});
    let [name, input] = fields.ok_or_else(|| wrong("a custom tool call in `messages` is no object"))?;
    let name = name.some_text().ok_or_else(|| wrong("a tool call has no name"))?;
    let arguments = Arguments::Input(input.text().unwrap_or(Text::Plain("")));
    Ok(Part::ToolCall(ToolCall { id: id.some_text(), name, arguments }))
}

fn called<'a>(
    id: Option<Text<'a>>,
    function: Field<'a>,
    dropped: &mut Dropped,
) -> Result<Part<'a>, ParseError> {
    let unknown = |other: &str| dropped.add(format!("messages.tool_calls.function.{other}"));
    let fields = named(function, ["name", "arguments"], unknown);
    let [name, arguments] = fields.ok_or_else(|| wrong("a tool call has no `function`"))?;
    let name = name.some_text().ok_or_else(|| wrong("a tool call has no name"))?;
    Ok(Part::ToolCall(ToolCall { id, name, arguments: Arguments::of(arguments) }))
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
    role: Role,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), ParseError> {
    if let Some(text) = content.text() {
        parts.extend(Some(text).filter(|text| !text.is_empty()).map(Part::Text));
        return Ok(());
    }
    if content.is_absent() {
        return Ok(());
    }
    let wrong_content = || wrong("`content` must be a string or a list of parts");
    for part in content.read::<Vec<Field<'a>>>().ok_or_else(wrong_content)? {
        if let Some(part) = read_part(part, role, dropped)? {
            parts.push(part);
        }
    }
    Ok(())
}

/// Reads a part; `None` of what another vendor's answer left in the history.
fn read_part<'a>(part: Field<'a>, role: Role, dropped: &mut Dropped) -> Result<Option<Part<'a>>, ParseError> {
    let names = [
        "type",
        "text",
        "refusal",
        "image_url",
        "file",
        "cache_control",
        "prompt_cache_breakpoint",
        "annotations",
    ];
    let mut unknown = Vec::new();
    let fields = named(part, names, |other| unknown.push(format!("messages.content.{other}")));
    let wrong_part = || wrong("a part of `content` has no `type`");
    let [kind, text, refusal, image_url, file, cache_control, breakpoint, _] =
        fields.ok_or_else(wrong_part)?;
    let kind = kind.string().ok_or_else(wrong_part)?;
    let incomplete = || wrong(format!("a `{kind}` part is not complete"));
    let hints = [("cache_control", cache_control), ("prompt_cache_breakpoint", breakpoint)];
    for (name, _) in hints.into_iter().filter(|(_, hint)| !hint.is_absent()) {
        dropped.add(name);
    }
    let read = match kind.as_ref() {
        "text" | "input_text" | "output_text" => text.text().map(Part::Text).ok_or_else(incomplete)?,
        "refusal" => refusal.text().map(Part::Text).ok_or_else(incomplete)?,
        "image_url" => Part::Image(read_image(image_url, dropped).ok_or_else(incomplete)?),
        "file" => Part::Document(read_file(file, dropped).ok_or_else(incomplete)?),
        other if role == Role::Assistant => {
            dropped.add(format!("messages.content.{other}"));
            return Ok(None);
        }
        other => {
            return Err(wrong(format!("a `{other}` part cannot be carried to the backend of this model")));
        }
    };
    for name in unknown {
        dropped.add(name);
    }
    Ok(Some(read))
}

fn read_image<'a>(image: Field<'a>, dropped: &mut Dropped) -> Option<Image<'a>> {
    if let Some(url) = image.text() {
        return Some(Image::of_url(url)); // some clients leave the object out
    }
    let unknown = |other: &str| dropped.add(format!("messages.content.image_url.{other}"));
    let [url] = named(image, ["url"], unknown)?;
    url.text().map(Image::of_url)
}

fn read_file<'a>(file: Field<'a>, dropped: &mut Dropped) -> Option<Document<'a>> {
    let unknown = |other: &str| dropped.add(format!("messages.content.file.{other}"));
    let [data, name] = named(file, ["file_data", "filename"], unknown)?;
    Document::of_url(data.text()?, name.some_text())
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
