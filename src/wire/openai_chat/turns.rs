//! The messages of a chat completions request: every call has its id, and what tools show, which a `tool` message cannot hold,
//! follows behind their results.

use bytes::{BufMut, BytesMut};

use crate::wire::calls::Calls;
use crate::wire::json::{Object, Text, write_joined, write_list};
use crate::wire::names::Names;
use crate::wire::openai_chat::sealed::{write_details, write_signature};
use crate::wire::request::{Dropped, Message, Part, Role, Style, parts_of, texts};
use crate::wire::turns::{Turn, turns};

/// The longest name of a tool.
pub(super) const NAME_LIMIT: usize = 64;

/// Writes all messages.
pub(super) fn write_messages(
    messages: &[Message<'_>],
    style: Style,
    names: &mut Names,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    let mut writer = Writer { style, calls: Calls::new(parts_of(messages)), names };
    let mut shown: Vec<&Part<'_>> = Vec::new();
    let mut first = true;
    let mut next = |out: &mut BytesMut| {
        if !std::mem::take(&mut first) {
            out.put_u8(b',');
        }
    };
    out.put_u8(b'[');
    let mut turns = turns(messages, dropped).into_iter().peekable();
    while let Some(turn) = turns.next() {
        next(out);
        writer.message(&turn, out);
        for part in &turn.parts {
            if let Part::ToolResult(result) = part {
                shown.extend(
                    result.parts.iter().filter(|part| matches!(part, Part::Image(_) | Part::Document(_))),
                );
            }
        }
        let more_results = turns.peek().is_some_and(|turn| turn.role == Role::Tool);
        if !shown.is_empty() && !more_results {
            next(out);
            let mut object = Object::new(out);
            object.raw("role", "\"user\"");
            write_parts(shown.drain(..), object.key("content"));
            object.end();
        }
    }
    out.put_u8(b']');
}

struct Writer<'n, 'a> {
    style: Style,
    calls: Calls<'a>,
    names: &'n mut Names,
}

impl<'a> Writer<'_, 'a> {
    fn message(&mut self, turn: &Turn<'_, 'a>, out: &mut BytesMut) {
        let mut object = Object::new(out);
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        object.text("role", Text::Plain(role));
        for part in &turn.parts {
            if let Part::ToolResult(result) = part {
                let id = self.calls.close(result);
                object.text("tool_call_id", Text::Plain(&id));
                result.write_text(object.key("content"));
                object.end();
                return; // a result is all that a message of a tool holds
            }
        }
        let between = if turn.role == Role::System { "\\n\\n" } else { "\\n" };
        write_content(&turn.parts, between, object.key("content"));
        self.tool_calls(turn, &mut object);
        write_reasoning(&turn.parts, self.style, &mut object);
        write_details(&turn.parts, &mut object);
        object.end();
    }

    fn tool_calls(&mut self, turn: &Turn<'_, 'a>, object: &mut Object<'_>) {
        let mut calls = turn
            .parts
            .iter()
            .filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None })
            .peekable();
        if calls.peek().is_none() {
            return;
        }
        write_list(calls, object.key("tool_calls"), |call, out| {
            let id = self.calls.open(call);
            let name = self.names.lawful(call.name, NAME_LIMIT);
            let mut object = Object::new(out);
            object.text("id", Text::Plain(&id)).raw("type", "\"function\"");
            object.object("function", |function| {
                function.text("name", Text::Plain(&name));
                call.arguments.write_quoted(function.key("arguments"));
            });
            write_signature(call, &mut object);
            object.end();
        });
    }
}

/// What the model thought, in one field.
fn write_reasoning(parts: &[&Part<'_>], style: Style, object: &mut Object<'_>) {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Reasoning { text, .. } => Some(*text),
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::Redacted(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => None,
    });
    let mut texts = texts.filter(|text| !text.is_empty()).peekable();
    let Some(field) = style.told_reasoning else { return };
    let called = || parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    if texts.peek().is_some() {
        write_joined(texts, "\\n", object.key(field));
    } else if style.reasoned_calls == Some(true) && called() {
        // Moonshot takes an empty text for none at all.
        object.raw(field, "\" \"");
    }
}

/// A string where there is only text, a list of parts where there is more.
fn write_content(parts: &[&Part<'_>], between: &str, out: &mut BytesMut) {
    if parts.iter().any(|part| matches!(part, Part::Image(_) | Part::Document(_))) {
        write_parts(parts.iter().copied(), out);
    } else {
        write_joined(texts(parts.iter().copied()), between, out);
    }
}

fn write_parts<'p>(parts: impl Iterator<Item = &'p Part<'p>>, out: &mut BytesMut) {
    let shown = parts.filter(|part| matches!(part, Part::Text(_) | Part::Image(_) | Part::Document(_)));
    write_list(shown, out, |part, out| {
        let mut object = Object::new(out);
        match part {
            Part::Text(text) => {
                object.raw("type", "\"text\"").text("text", *text);
            }
            Part::Image(image) => {
                object.raw("type", "\"image_url\"");
                object.object("image_url", |inner| image.write_url(inner.key("url")));
            }
            Part::Document(document) => {
                object.raw("type", "\"file\"").object("file", |file| document.write_members(file));
            }
            Part::Reasoning { .. } | Part::Redacted(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
        object.end();
    });
}
