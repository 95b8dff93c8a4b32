//! The messages of an `/api/chat` request: one string each, images beside it, arguments as objects, and the name of the tool with
//! each of its results.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use crate::wire::call_ids;
use crate::wire::json::{Object, Text, write_joined, write_list};
use crate::wire::media::Image;
use crate::wire::request::{Dropped, Message, Part, Refused, Role, ToolCall, ToolResult};
use crate::wire::turns::{Turn, turns};

/// Writes all messages.
pub(super) fn write_messages(
    messages: &[Message<'_>],
    dropped: &mut Dropped,
    out: &mut BytesMut,
) -> Result<(), Refused> {
    let mut shown = Vec::new();
    let mut tools = HashMap::new();
    let mut first = true;
    out.put_u8(b'[');
    let mut turns = turns(messages, dropped).into_iter().peekable();
    while let Some(turn) = turns.next() {
        if !std::mem::take(&mut first) {
            out.put_u8(b',');
        }
        write_message(&turn, &mut tools, &mut shown, out)?;
        let more_results = turns.peek().is_some_and(|turn| turn.role == Role::Tool);
        if !shown.is_empty() && !more_results {
            // Templates show the images of users only.
            out.put_slice(b",{\"role\":\"user\",\"content\":\"\",\"images\":");
            write_list(shown.drain(..), out, Text::write_quoted);
            out.put_u8(b'}');
        }
    }
    out.put_u8(b']');
    Ok(())
}

/// The tool that each call named, by the call's id: the last such call before a result, for ids may be used again.
type Tools<'a> = HashMap<Cow<'a, str>, Text<'a>>;

/// What a message holds besides its text.
#[derive(Default)]
struct Beside<'p, 'a> {
    thinking: Vec<Text<'a>>,
    images: Vec<Text<'a>>,
    calls: Vec<&'p ToolCall<'a>>,
}

fn write_message<'a>(
    turn: &Turn<'_, 'a>,
    tools: &mut Tools<'a>,
    shown: &mut Vec<Text<'a>>,
    out: &mut BytesMut,
) -> Result<(), Refused> {
    let mut object = Object::new(out);
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    object.text("role", Text::Plain(role));
    let mut beside = Beside::default();
    let mut said = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text(text) => said.push(*text),
            Part::Reasoning { text, .. } => beside.thinking.push(*text),
            Part::Redacted(_) => {}
            Part::Image(image) => beside.images.push(data(image)?),
            Part::Document(_) => return Err(document()),
            Part::ToolCall(call) => {
                tools.extend(call.id.map(|id| (id.plain(), call.name)));
                beside.calls.push(call);
            }
            Part::ToolResult(result) => {
                return write_result(result, tools, shown, object);
            }
        }
    }
    let between = if turn.role == Role::System { "\\n\\n" } else { "\\n" };
    write_joined(said, between, object.key("content"));
    let Beside { thinking, images, calls } = beside;
    if thinking.iter().any(|text| !text.is_empty()) {
        write_joined(thinking, "\\n", object.key("thinking"));
    }
    if !images.is_empty() {
        write_list(images, object.key("images"), Text::write_quoted);
    }
    if !calls.is_empty() {
        write_list(calls, object.key("tool_calls"), |call, out| {
            let mut inner = Object::new(out);
            if let Some(id) = call.id {
                inner.text("id", Text::Plain(&call_ids::own(id.plain())));
            }
            inner.object("function", |function| {
                function.text("name", call.name).raw("arguments", &call.arguments.json());
            });
            inner.end();
        });
    }
    object.end();
    Ok(())
}

fn write_result<'a>(
    result: &ToolResult<'a>,
    tools: &Tools<'a>,
    shown: &mut Vec<Text<'a>>,
    mut object: Object<'_>,
) -> Result<(), Refused> {
    for part in &result.parts {
        match part {
            Part::Image(image) => shown.push(data(image)?),
            Part::Document(_) => return Err(document()),
            Part::Text(_)
            | Part::Reasoning { .. }
            | Part::Redacted(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_) => {}
        }
    }
    result.write_text(object.key("content"));
    if let Some(name) = result.tool.or_else(|| tools.get(&result.call_id?.plain()).copied()) {
        object.text("tool_name", name);
    }
    if let Some(id) = result.call_id {
        object.text("tool_call_id", Text::Plain(&call_ids::own(id.plain())));
    }
    object.end();
    Ok(())
}

fn data<'a>(image: &Image<'a>) -> Result<Text<'a>, Refused> {
    match image {
        Image::Data { base64, .. } => Ok(*base64),
        Image::Url(_) => Err(Refused::new(
            "messages",
            "hold an image by URL, which the backend of this model cannot take: send the image as a data URL",
        )),
    }
}

fn document() -> Refused {
    Refused::new("messages", "hold a document, which the backend of this model cannot take")
}
