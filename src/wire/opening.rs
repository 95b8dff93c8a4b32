//! How a conversation begins: what every one of its requests has in common, in whatever dialect.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::anthropic::without_billing;
use crate::wire::json::{Field, Text};
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
                Err(_) => add_text(&mut opening, value),
            }
            opening.push('\n');
        }
    }
    opening
}

/// A text without the line for Anthropic's accounts, which is another with every request.
fn add_text(opening: &mut String, value: &str) {
    let text = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(Text::Escaped);
    match text.map(without_billing) {
        Some(Some(Text::Escaped(text) | Text::Plain(text))) => opening.push_str(text),
        Some(None) => {}
        None => opening.push_str(value),
    }
}

fn add_messages(opening: &mut String, messages: &[&RawValue]) {
    #[derive(Default, Deserialize)]
    struct Message<'a> {
        #[serde(borrow, default)]
        role: Field<'a>,
        #[serde(borrow, default)]
        text: Field<'a>,
    }
    for message in messages {
        let Message { role, text } = serde_json::from_str(message.get()).unwrap_or_default();
        match text.raw() {
            // A block of a system prompt is told by its text alone.
            Some(text) if role.is_absent() => add_text(opening, text),
            _ => opening.push_str(message.get()),
        }
        if role.string().as_deref() == Some("user") {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_billed_is_no_part_of_how_a_conversation_begins() {
        let line = |cch: &str| format!("x-anthropic-billing-header: cc_version=2.1; cch={cch};");
        let user = r#""messages":[{"role":"user","content":"Hi"}]"#;
        let bodies = |cch: &str| {
            [
                format!(
                    r#"{{"system":[{{"type":"text","text":"{}"}},{{"type":"text","text":"Be brief."}}],{user}}}"#,
                    line(cch)
                ),
                format!(r#"{{"system":"{}\nBe brief.",{user}}}"#, line(cch)),
                format!(r#"{{"system":"{}",{user}}}"#, line(cch)),
            ]
        };
        for (one, other) in bodies("3fa09").iter().zip(&bodies("77b1c")) {
            assert_eq!(opening(one.as_bytes()), opening(other.as_bytes()));
            assert!(opening(one.as_bytes()).contains("Hi") && !opening(one.as_bytes()).contains("cch="));
        }
        let [one, ..] = bodies("3fa09");
        assert_ne!(opening(one.as_bytes()), opening(one.replace("brief", "kind").as_bytes()));
    }
}
