//! A message of Anthropic's as its events.

use bytes::BytesMut;

use crate::wire::frame::Frame;
use crate::wire::json::{Object, Text};
use crate::wire::unfold::{Members, frame, object};

pub(super) fn unfold(answer: &Members<'_>) -> Option<Vec<Frame>> {
    if answer.get("type").string().as_deref() != Some("message")
        || !answer.get("content").raw()?.starts_with('[')
    {
        return None;
    }
    let mut frames = vec![event("message_start", |event| {
        event.object("message", |message| {
            answer.copy(&["content", "stop_reason", "stop_sequence"], message);
            message.raw("content", "[]").raw("stop_reason", "null").raw("stop_sequence", "null");
        });
    })];
    for (block, at) in Members::list(answer.get("content")).into_iter().zip(0..) {
        block_of(&Members::of(block)?, at, &mut frames);
    }
    frames.push(event("message_delta", |event| {
        event.object("delta", |delta| {
            delta.raw("stop_reason", answer.get("stop_reason").raw().unwrap_or("\"end_turn\""));
            delta.raw("stop_sequence", answer.get("stop_sequence").raw().unwrap_or("null"));
            answer.copy_only(&["stop_details", "container"], delta);
        });
        answer.copy_only(&["usage", "context_management"], event);
    }));
    frames.push(event("message_stop", |_| {}));
    Some(frames)
}

/// The members of a block that come in pieces, what stands for those that must be in its beginning, and the texts among them with
/// the name of their pieces.
struct Growth(
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

fn block_of(block: &Members<'_>, at: u64, frames: &mut Vec<Frame>) {
    let kind = block.get("type").string().unwrap_or_default();
    let Growth(grows, empty, delta) = match kind.as_ref() {
        "text" => Growth(&["text", "citations"], &[("text", "\"\"")], &[("text", "text_delta")]),
        "thinking" => Growth(
            &["thinking", "signature"],
            &[("thinking", "\"\""), ("signature", "\"\"")],
            &[("thinking", "thinking_delta"), ("signature", "signature_delta")],
        ),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => Growth(&["input"], &[("input", "{}")], &[]),
        _ => Growth(&[], &[], &[]),
    };
    frames.push(event("content_block_start", |event| {
        event.number("index", at).object("content_block", |start| {
            block.copy(grows, start);
            for (key, value) in empty {
                start.raw(key, value);
            }
        });
    }));
    for (key, name) in delta {
        let text = block.get(key);
        if text.some_text().is_some() {
            frames.push(piece(at, name, |delta| {
                delta.raw(key, text.raw().unwrap_or("\"\""));
            }));
        }
    }
    if grows.contains(&"citations") {
        for citation in Members::list(block.get("citations")) {
            frames.push(piece(at, "citations_delta", |delta| {
                delta.raw("citation", citation.get());
            }));
        }
    }
    if grows.contains(&"input") {
        frames.push(piece(at, "input_json_delta", |delta| {
            delta.text("partial_json", Text::Plain(block.get("input").raw().unwrap_or("{}")));
        }));
    }
    frames.push(event("content_block_stop", |event| {
        event.number("index", at);
    }));
}

fn piece(at: u64, name: &str, write: impl FnOnce(&mut Object<'_>)) -> Frame {
    event("content_block_delta", |event| {
        event.number("index", at).object("delta", |delta| {
            delta.text("type", Text::Plain(name));
            write(delta);
        });
    })
}

fn event(name: &'static str, write: impl FnOnce(&mut Object<'_>)) -> Frame {
    let data: BytesMut = object(|event| {
        event.text("type", Text::Plain(name));
        write(event);
    });
    frame(Some(name), &data)
}
