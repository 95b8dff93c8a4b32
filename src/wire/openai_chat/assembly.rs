//! A whole completion, put together from the chunks of its stream as the server itself would have written it: member by member,
//! whatever the members are, for all choices. Nothing is understood that need not be.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::wire::json::{Field, Object, write_list};
use crate::wire::members::AllMembers;

/// The chunks of a stream so far, joined.
#[derive(Debug, Default)]
pub struct Assembly {
    choices: BTreeMap<u64, Choice>,
    /// The choice of which was spoken last.
    last: u64,
    /// Bytes held, to bound an answer.
    size: usize,
}

/// One choice, and what was told beside it.
#[derive(Debug, Default)]
struct Choice {
    /// Members of the chunks: usage and times of llama.cpp are those of one choice.
    beside: Members,
    /// Members of the choice, but for its deltas and its probabilities.
    own: Members,
    /// Lists of probabilities.
    logprobs: Members,
    /// Members of the message, but for its calls.
    message: Members,
    calls: BTreeMap<u64, Call>,
}

#[derive(Debug, Default)]
struct Call {
    own: Members,
    function: Members,
}

/// Members by name, each as JSON, in the order in which they were told first.
#[derive(Debug, Default)]
struct Members(Vec<(String, String)>);

impl Members {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The place of a member, made if need be.
    fn place(&mut self, name: &str) -> Option<&mut String> {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), String::new()));
        }
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What is told again takes the place of what was told; `null` takes no place. Gives the bytes that are held more.
    fn set(&mut self, name: &str, value: &str) -> usize {
        let Some(place) = self.place(name) else { return 0 };
        if value == "null" && !place.is_empty() {
            return 0;
        }
        let before = place.len();
        value.clone_into(place);
        value.len().saturating_sub(before)
    }

    /// Texts and lists go on where they stopped; anything else is told anew.
    fn join(&mut self, name: &str, value: &str) -> usize {
        let Some(place) = self.place(name) else { return 0 };
        for (open, close) in [('"', '"'), ('[', ']')] {
            let inside = value.strip_prefix(open).and_then(|value| value.strip_suffix(close));
            let (Some(inside), true) = (inside, place.ends_with(close)) else { continue };
            if inside.trim().is_empty() && open == '[' {
                return 0;
            }
            place.pop();
            if open == '[' && !place.trim_end().ends_with('[') {
                place.push(',');
            }
            place.push_str(inside);
            place.push(close);
            return inside.len();
        }
        self.set(name, value)
    }
}

/// What names or numbers a thing: told again, it is the same, and not more of it.
const NAMES: [&str; 4] = ["role", "id", "type", "name"];
/// The order of a server's own members behind the choices.
const ORDER: [&str; 7] = ["created", "model", "system_fingerprint", "object", "usage", "id", "timings"];

impl Assembly {
    /// Adds a chunk. What is no chunk (`[DONE]`, `null`) adds nothing.
    pub fn add(&mut self, data: &[u8]) {
        let Ok(AllMembers(members)) = serde_json::from_slice::<AllMembers<'_>>(data) else { return };
        let choices = members.iter().find(|(name, _)| name == "choices").map(|(_, value)| Field::of(value));
        let choices = choices.and_then(Field::read::<Vec<AllMembers<'_>>>).unwrap_or_default();
        let mut spoken = Vec::with_capacity(1);
        for AllMembers(choice) in &choices {
            self.last = index(choice).unwrap_or(0);
            self.size += self.choices.entry(self.last).or_default().add(choice);
            spoken.push(self.last);
        }
        // What is told without a choice is told of the one before it.
        let told = if spoken.is_empty() { vec![self.last] } else { spoken };
        for choice in told {
            let Choice { beside, .. } = self.choices.entry(choice).or_default();
            for (name, value) in
                members.iter().filter(|(name, _)| !matches!(name.as_ref(), "choices" | PROGRESS))
            {
                self.size += beside.set(name, value.get());
            }
        }
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The whole answer.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size + 256);
        let mut body = Object::new(&mut out);
        write_list(&self.choices, body.key("choices"), |(index, choice), out| choice.write(*index, out));
        let none = Members::default();
        let beside = self.choices.values().next().map_or(&none, |choice| &choice.beside);
        for name in ORDER {
            let value = beside.get(name).map(|value| match (name, value) {
                ("object", value) => Cow::Owned(value.replacen(".chunk", "", 1)),
                (_, value) => Cow::Borrowed(value),
            });
            body.maybe(name, value.as_deref());
        }
        for (name, value) in beside.0.iter().filter(|(name, _)| !ORDER.contains(&name.as_str())) {
            body.raw(name, value);
        }
        body.end();
        out.freeze()
    }
}

/// How far the server is with the prompt: nothing of the answer.
const PROGRESS: &str = "prompt_progress";

impl Choice {
    fn add(&mut self, members: &[(Cow<'_, str>, &RawValue)]) -> usize {
        let mut size = 0;
        for (name, value) in members {
            size += match (name.as_ref(), Field::of(value)) {
                ("index", _) => 0,
                ("delta", delta) => delta.read().map_or(0, |AllMembers(delta)| self.delta(&delta)),
                ("text", _) => self.own.join("text", value.get()),
                ("logprobs", told) => told.read().map_or(0, |AllMembers(told)| {
                    told.iter().map(|(name, value)| self.logprobs.join(name, value.get())).sum()
                }),
                (name, _) => self.own.set(name, value.get()),
            };
        }
        size
    }

    fn delta(&mut self, members: &[(Cow<'_, str>, &RawValue)]) -> usize {
        let mut size = 0;
        for (name, value) in members {
            size += match (name.as_ref(), Field::of(value)) {
                ("tool_calls", calls) => {
                    let calls: Vec<AllMembers<'_>> = calls.read().unwrap_or_default();
                    calls.iter().map(|AllMembers(call)| self.call(call)).sum()
                }
                (name, _) if NAMES.contains(&name) => self.message.set(name, value.get()),
                (name, _) => self.message.join(name, value.get()),
            };
        }
        size
    }

    fn call(&mut self, members: &[(Cow<'_, str>, &RawValue)]) -> usize {
        let at = index(members).unwrap_or_else(|| self.calls.keys().last().map_or(0, |last| last + 1));
        let Call { own, function } = self.calls.entry(at).or_default();
        let mut size = 0;
        for (name, value) in members.iter().filter(|(name, _)| name != "index") {
            if name != "function" {
                size += own.set(name, value.get());
                continue;
            }
            let AllMembers(inner) = Field::of(value).read().unwrap_or_default();
            for (name, value) in inner {
                size += match name.as_ref() {
                    name if NAMES.contains(&name) => function.set(name, value.get()),
                    name => function.join(name, value.get()),
                };
            }
        }
        size
    }

    fn write(&self, index: u64, out: &mut BytesMut) {
        let mut choice = Object::new(out);
        if let Some(text) = self.own.get("text") {
            // A legacy completion.
            choice.raw("text", text).number("index", index);
            self.write_logprobs(choice.key("logprobs"));
            choice.raw("finish_reason", self.own.get("finish_reason").unwrap_or("null"));
        } else {
            choice.raw("finish_reason", self.own.get("finish_reason").unwrap_or("null"));
            choice.number("index", index);
            self.write_message(choice.key("message"));
            if !self.logprobs.0.is_empty() {
                self.write_logprobs(choice.key("logprobs"));
            }
        }
        let told = ["text", "finish_reason"];
        for (name, value) in self.own.0.iter().filter(|(name, _)| !told.contains(&name.as_str())) {
            choice.raw(name, value);
        }
        choice.end();
    }

    fn write_logprobs(&self, out: &mut BytesMut) {
        if self.logprobs.0.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            self.logprobs.write(out);
        }
    }

    fn write_message(&self, out: &mut BytesMut) {
        let mut message = Object::new(out);
        message.raw("role", self.message.get("role").unwrap_or("\"assistant\""));
        let said = self.message.get("content").filter(|said| *said != "null");
        message.raw("content", said.unwrap_or("\"\""));
        for (name, value) in self.message.0.iter().filter(|(name, _)| name != "role" && name != "content") {
            message.raw(name, value);
        }
        if !self.calls.is_empty() {
            write_list(self.calls.values(), message.key("tool_calls"), Call::write);
        }
        message.end();
    }
}

impl Call {
    fn write(&self, out: &mut BytesMut) {
        let mut call = Object::new(out);
        call.raw("type", self.own.get("type").unwrap_or("\"function\""));
        self.function.write(call.key("function"));
        for (name, value) in self.own.0.iter().filter(|(name, _)| name != "type") {
            call.raw(name, value);
        }
        call.end();
    }
}

impl Members {
    fn write(&self, out: &mut BytesMut) {
        let mut object = Object::new(out);
        for (name, value) in &self.0 {
            object.raw(name, value);
        }
        object.end();
    }
}

fn index(members: &[(Cow<'_, str>, &RawValue)]) -> Option<u64> {
    members.iter().find(|(name, _)| name == "index").and_then(|(_, value)| Field::of(value).whole())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(chunks: &[&str]) -> Value {
        let mut assembly = Assembly::default();
        for chunk in chunks {
            assembly.add(chunk.as_bytes());
        }
        serde_json::from_slice(&assembly.write()).unwrap()
    }

    #[test]
    fn whatever_comes_is_put_together_as_json() {
        let odd = [
            r#"{"choices":[{"delta":{"content":"a\\\""}},{"index":3,"text":"x"}],"x":[1]}"#,
            r#"{"choices":[{"delta":{"content":null,"parts":[]}},{"index":3,"text":"\u00e9"}],"x":null}"#,
            r#"{"choices":[{"delta":{"content":"b","parts":[[1] ]},"logprobs":{"content":[ ],"n":1}}]}"#,
            r#"{"choices":[{"delta":{"parts":["]"],"tool_calls":[{"id":"i","function":{"name":"f"}},{}]},"logprobs":{"content":[2]}}]}"#,
            r#"{"choices":[{"delta":[7],"logprobs":{"content":[3]}},7]}"#,
            r#"{"choices":7,"usage":{"n":1}}"#,
            "null",
            "[DONE]",
            r#"{"choices":[],"usage":{"n":2},"prompt_progress":{}}"#,
        ];
        let whole = written(&odd);
        let first = &whole["choices"][0];
        assert_eq!(first["message"]["content"], "a\\\"b");
        assert_eq!(first["message"]["parts"], json!([[1], "]"]));
        assert_eq!(first["logprobs"], json!({"content": [2], "n": 1}));
        let named = |call: &Value| call["function"]["name"] == "f";
        let calls = first["message"]["tool_calls"].as_array().unwrap();
        assert!(calls.len() == 2 && named(&calls[0]) && !named(&calls[1]), "{calls:?}");
        assert_eq!(whole["choices"][1]["text"], "x\u{e9}");
        assert_eq!((&whole["x"], whole.get("prompt_progress")), (&json!([1]), None));
        assert_eq!(written(&[]), json!({"choices": []}));
    }

    #[test]
    fn what_is_held_is_counted() {
        let mut assembly = Assembly::default();
        for size in 1..=64_usize {
            assembly.add(br#"{"choices":[{"index":0,"delta":{"content":"0123456789abcdef"}}],"id":"c"}"#);
            assert!(assembly.size() >= size * 16, "{size}");
        }
        assert!(assembly.size() < 64 * 32);
    }
}
