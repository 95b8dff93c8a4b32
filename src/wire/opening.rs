//! How a conversation begins: what every one of its requests has in common, in whatever dialect.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::members::all_members;

/// The instructions of a request and its messages up to the first of the user, as they are written there.
pub fn opening(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return String::new() };
    let mut opening = String::new();
    let members = all_members(text);
    for wanted in ["system", "instructions", "prompt", "messages", "input"] {
        for (_, value) in members.iter().filter(|(name, _)| name == wanted) {
            match serde_json::from_str::<Vec<&RawValue>>(value) {
                Ok(messages) => add_messages(&mut opening, &messages),
                Err(_) => opening.push_str(value),
            }
            opening.push('\n');
        }
    }
    opening
}

fn add_messages(opening: &mut String, messages: &[&RawValue]) {
    #[derive(Default, Deserialize)]
    struct Message<'a> {
        #[serde(borrow, default)]
        role: std::borrow::Cow<'a, str>,
    }
    for message in messages {
        opening.push_str(message.get());
        let Message { role } = serde_json::from_str(message.get()).unwrap_or_default();
        if role == "user" {
            return;
        }
    }
}
