//! Reads the input items of a Responses request into messages: what an assistant said, thought and called in a row is one.

use std::borrow::Cow;

use crate::wire::call_arguments::Arguments;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::{Document, Image};
use crate::wire::members::{list, named};
use crate::wire::openai_responses::compaction::is_trigger;
use crate::wire::openai_responses::hosted::{ask_for_summary, read_hosted};
use crate::wire::request::{Dropped, Message, Part, Request, Role, ToolCall, ToolResult};
use crate::wire::seal::{Seal, Sealed};

/// An item, without what means nothing outside of OpenAI.
struct Item<'a> {
    kind: Cow<'a, str>,
    role: Field<'a>,
    content: Field<'a>,
    call_id: Field<'a>,
    name: Field<'a>,
    arguments: Field<'a>,
    input: Field<'a>,
    output: Field<'a>,
    summary: Field<'a>,
    encrypted_content: Field<'a>,
}

impl<'a> Item<'a> {
    /// Reads an item; `unknown` hears of the members that are none of these.
    fn read(item: Field<'a>, unknown: impl FnMut(&str)) -> Result<Self, ParseError> {
        let names = [
            "type",
            "role",
            "content",
            "call_id",
            "name",
            "arguments",
            "input",
            "output",
            "summary",
            "encrypted_content",
            "id",
            "status",
        ];
        let fields = named(item, names, unknown).ok_or_else(|| wrong("`input` must hold objects"))?;
        let [kind, role, content, call_id, name, arguments, input, output, summary, encrypted_content, ..] =
            fields;
        let kind = kind.some_text().map_or(Cow::Borrowed("message"), Text::plain);
        Ok(Self { kind, role, content, call_id, name, arguments, input, output, summary, encrypted_content })
    }
}

/// Reads `input`: a string, or a list of items.
pub(super) fn read_input<'a>(input: Field<'a>, request: &mut Request<'a>) -> Result<(), ParseError> {
    if let Some(text) = input.text() {
        request.messages.push(Message { role: Role::User, parts: vec![Part::Text(text)] });
        return Ok(());
    }
    let items = list::<Field<'a>>(input, "input")?;
    let asks_for_summary = items.last().is_some_and(|item| is_trigger(*item));
    for item in items {
        read_item(item, request)?;
    }
    if asks_for_summary {
        ask_for_summary(request);
    }
    Ok(())
}

fn read_item<'a>(field: Field<'a>, request: &mut Request<'a>) -> Result<(), ParseError> {
    let mut unknown = Vec::new();
    let item = Item::read(field, |other| unknown.push(format!("input.{other}")))?;
    let (messages, dropped) = (&mut request.messages, &mut request.dropped);
    match item.kind.as_ref() {
        "message" => {
            let role = match item.role.string().as_deref() {
                Some("system" | "developer") => Role::System,
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                _ => return Err(wrong("a message has no role that is known")),
            };
            let parts = read_content(item.content, role, dropped)?;
            push(messages, role, parts);
        }
        "reasoning" => push(messages, Role::Assistant, read_reasoning(&item)),
        "function_call" => {
            let arguments = Arguments::of(item.arguments);
            push(messages, Role::Assistant, vec![call(&item, arguments)?]);
        }
        "custom_tool_call" => {
            let arguments = Arguments::Input(item.input.text().unwrap_or(Text::Plain("")));
            push(messages, Role::Assistant, vec![call(&item, arguments)?]);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let parts = read_content(item.output, Role::Tool, dropped)?;
            messages.push(result(item.call_id, parts));
        }
        "item_reference" => {
            return Err(wrong(
                "an `item_reference` cannot be followed, for nothing is stored: send `store: false` and the items themselves",
            ));
        }
        _ => return read_hosted(field, &item.kind, request),
    }
    for name in unknown {
        dropped.add(name);
    }
    Ok(())
}

fn wrong(why: &str) -> ParseError {
    ParseError::new(why, Some("input"))
}

pub(super) fn push<'a>(messages: &mut Vec<Message<'a>>, role: Role, mut parts: Vec<Part<'a>>) {
    match messages.last_mut() {
        Some(last) if role == Role::Assistant && last.role == role => last.parts.append(&mut parts),
        _ => messages.push(Message { role, parts }),
    }
}

pub(super) fn result<'a>(call_id: Field<'a>, parts: Vec<Part<'a>>) -> Message<'a> {
    let result = ToolResult { call_id: call_id.some_text(), tool: None, parts, is_error: false };
    Message { role: Role::Tool, parts: vec![Part::ToolResult(result)] }
}

fn call<'a>(item: &Item<'a>, arguments: Arguments<'a>) -> Result<Part<'a>, ParseError> {
    let name = item.name.some_text().ok_or_else(|| wrong("a tool call has no name"))?;
    Ok(Part::ToolCall(ToolCall { id: item.call_id.some_text(), name, arguments }))
}

/// The raw reasoning where there is some, else its summary; what is sealed goes with the last part.
fn read_reasoning<'a>(item: &Item<'a>) -> Vec<Part<'a>> {
    let sealed = item.encrypted_content.some_text().map(|data| Sealed::read(data, Seal::Encrypted));
    let texts = |field: Field<'a>| -> Vec<Text<'a>> {
        let parts: Vec<Field<'a>> = field.read().unwrap_or_default();
        let text = |part| named(part, ["text"], |_| {}).and_then(|[text]| text.some_text());
        parts.into_iter().filter_map(text).collect()
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

fn read_content<'a>(
    content: Field<'a>,
    role: Role,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, ParseError> {
    if let Some(text) = content.text() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] });
    }
    let mut parts = Vec::new();
    for part in list::<Field<'a>>(content, "input")? {
        parts.extend(read_part(part, role, dropped)?);
    }
    Ok(parts)
}

/// Reads a part; `None` of what OpenAI's own answer left in the history.
fn read_part<'a>(part: Field<'a>, role: Role, dropped: &mut Dropped) -> Result<Option<Part<'a>>, ParseError> {
    let names = [
        "type",
        "text",
        "refusal",
        "image_url",
        "detail",
        "file_data",
        "file_url",
        "filename",
        "prompt_cache_breakpoint",
        // what an answer says about itself
        "annotations",
        "logprobs",
    ];
    let mut unknown = Vec::new();
    let fields = named(part, names, |other| unknown.push(format!("input.content.{other}")));
    let [kind, text, refusal, image_url, detail, data, url, filename, breakpoint, ..] =
        fields.ok_or_else(|| wrong("the `content` of a message must hold objects"))?;
    let kind = kind.string().unwrap_or_default();
    let incomplete = || wrong(&format!("a `{kind}` part is not complete"));
    if !breakpoint.is_absent() {
        dropped.add("prompt_cache_breakpoint");
    }
    let read = match kind.as_ref() {
        "input_text" | "output_text" | "text" => text.text().map(Part::Text).ok_or_else(incomplete)?,
        "refusal" => refusal.text().map(Part::Text).ok_or_else(incomplete)?,
        "input_image" => {
            if !detail.is_absent() && detail.string().as_deref() != Some("auto") {
                dropped.add("input.content.detail");
            }
            image_url.some_text().map(Image::of_url).map(Part::Image).ok_or_else(incomplete)?
        }
        "input_file" => {
            let source = data.some_text().or_else(|| url.some_text());
            let document = source.and_then(|url| Document::of_url(url, filename.some_text()));
            document.map(Part::Document).ok_or_else(incomplete)?
        }
        other if role == Role::Assistant => {
            dropped.add(format!("input.content.{other}"));
            return Ok(None);
        }
        other => {
            return Err(wrong(&format!("a `{other}` part cannot be carried to the backend of this model")));
        }
    };
    for name in unknown {
        dropped.add(name);
    }
    Ok(Some(read))
}
