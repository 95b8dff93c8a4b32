//! What servers of chat completions signed or encrypted of their reasoning, written back into a history as they had it.

use crate::wire::call_ids;
use crate::wire::json::{Object, Text, write_list};
use crate::wire::members::all_members;
use crate::wire::request::{Part, ToolCall};
use crate::wire::seal::{Seal, Sealed};

/// Google's signature of a call, which the id holds that the client was told.
pub(super) fn write_signature(call: &ToolCall<'_>, object: &mut Object<'_>) {
    if let Some(data) = call.id.and_then(|id| call_ids::signature(&id.plain())) {
        object.object("extra_content", |extra| {
            extra.object("google", |google| {
                google.text("thought_signature", Text::Plain(&data));
            });
        });
    }
}

/// `OpenRouter`'s entries, each with its text again.
pub(super) fn write_details(parts: &[&Part<'_>], message: &mut Object<'_>) {
    let details = parts.iter().filter_map(|part| match part {
        Part::Reasoning { text, sealed: Some(Sealed { seal: Seal::Detail, data }) } => {
            Some((*text, data.plain()))
        }
        Part::Redacted(Sealed { seal: Seal::Detail, data }) => Some((Text::Plain(""), data.plain())),
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::Reasoning { .. }
        | Part::Redacted(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => None,
    });
    // It may have been changed on its way.
    let whole =
        |detail: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(detail).is_ok();
    let mut details = details.filter(|(_, detail)| whole(detail)).peekable();
    if details.peek().is_none() {
        return;
    }
    write_list(details, message.key("reasoning_details"), |(text, detail), out| {
        let mut entry = Object::new(out);
        for (key, value) in all_members(&detail) {
            entry.raw(&key, value);
        }
        if !text.is_empty() {
            entry.text("text", text);
        }
        entry.end();
    });
}
