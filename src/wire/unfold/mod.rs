//! A whole answer, told as the stream that it would have been in its own dialect: servers that cannot stream, or not this model,
//! answer so where a stream was asked for. Every member passes as it stands, so that nothing of the answer is lost.

mod chat;
mod messages;
mod responses;

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::wire::dialect::Dialect;
use crate::wire::frame::Frame;
use crate::wire::json::{Field, Object};
use crate::wire::members::AllMembers;

/// The frames of the stream that this whole answer would have been; `None` if it is no whole answer. `bare`: nothing but JSON
/// came. Otherwise it is an event, which may be one of several.
pub fn unfold(dialect: Dialect, data: &Bytes, bare: bool) -> Option<Vec<Frame>> {
    if data.first() != Some(&b'{') {
        return None;
    }
    // A line end between two members would end a line of the event.
    let line = if data.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let spaced = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
        Cow::Owned(data.iter().map(spaced).collect::<Vec<u8>>())
    } else {
        Cow::Borrowed(data.as_ref())
    };
    let AllMembers(members) = serde_json::from_slice(&line).ok()?;
    let answer = Members(members);
    match dialect {
        Dialect::OpenAiChat => chat::unfold(&answer, bare),
        Dialect::OpenAiCompletions if bare => chat::completion(&answer, &line),
        Dialect::Anthropic => messages::unfold(&answer),
        Dialect::OpenAiResponses => responses::unfold(&answer),
        // One line is a stream.
        Dialect::OpenAiCompletions | Dialect::OllamaChat | Dialect::OllamaGenerate => None,
    }
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok().map(|AllMembers(members)| Self(members))
    }

    fn list(value: Field<'a>) -> Vec<&'a RawValue> {
        value.read().unwrap_or_default()
    }

    fn get(&self, key: &str) -> Field<'a> {
        let value = self.0.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
        value.map(Field::of).unwrap_or_default()
    }

    /// Copies all members but some.
    fn copy(&self, but: &[&str], to: &mut Object<'_>) {
        for (key, value) in self.0.iter().filter(|(key, _)| !but.contains(&key.as_ref())) {
            to.raw(key, value.get());
        }
    }

    /// Copies some members.
    fn copy_only(&self, keys: &[&str], to: &mut Object<'_>) {
        for (key, value) in self.0.iter().filter(|(key, _)| keys.contains(&key.as_ref())) {
            to.raw(key, value.get());
        }
    }
}

/// An object as bytes.
fn object(write: impl FnOnce(&mut Object<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    let mut object = Object::new(&mut out);
    write(&mut object);
    object.end();
    out
}

/// Objects in a list.
fn list(key: &mut BytesMut, objects: impl Iterator<Item = BytesMut>) {
    key.put_u8(b'[');
    for (at, object) in objects.enumerate() {
        if at > 0 {
            key.put_u8(b',');
        }
        key.put_slice(&object);
    }
    key.put_u8(b']');
}

/// An event of this data.
fn frame(event: Option<&'static str>, data: &[u8]) -> Frame {
    let mut raw = BytesMut::with_capacity(data.len() + 48);
    if let Some(event) = event {
        raw.put_slice(b"event: ");
        raw.put_slice(event.as_bytes());
        raw.put_u8(b'\n');
    }
    raw.put_slice(b"data: ");
    let from = raw.len();
    raw.put_slice(data);
    raw.put_slice(b"\n\n");
    let raw = raw.freeze();
    let data = raw.slice(from..from + data.len());
    Frame { event: event.map(|event| Bytes::from_static(event.as_bytes())), data, raw }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::codec::{Decode as _, Decoder, Flow};
    use crate::wire::event::Event;

    const DIALECTS: [Dialect; 4] =
        [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::OpenAiCompletions];

    /// A whole answer of these texts.
    fn whole(dialect: Dialect, texts: &[String]) -> Value {
        let part = |text| json!({"type": "output_text", "text": text, "annotations": []});
        match dialect {
            Dialect::OpenAiResponses => {
                json!({"object": "response", "id": "r", "status": "completed", "output": [
                    {"type": "message", "id": "m", "content": texts.iter().map(part).collect::<Vec<_>>()}
                ]})
            }
            Dialect::Anthropic => json!({"type": "message", "id": "m", "stop_reason": "end_turn", "content":
                texts.iter().map(|text| json!({"type": "text", "text": text})).collect::<Vec<_>>()}),
            Dialect::OpenAiCompletions => {
                json!({"choices": [{"text": texts.concat(), "finish_reason": "stop"}]})
            }
            Dialect::OpenAiChat | Dialect::OllamaChat | Dialect::OllamaGenerate => {
                json!({"choices": [{"message": {"content": texts.concat()}, "finish_reason": "stop"}]})
            }
        }
    }

    /// The text that the decoder of a dialect reads of these frames, and how they end.
    fn read(dialect: Dialect, frames: &[Frame]) -> (String, Flow) {
        let (mut decoder, mut text, mut flow) = (Decoder::new(dialect, ""), String::new(), Flow::More);
        for frame in frames {
            flow = decoder
                .decode(frame, &mut |event| {
                    if let Event::Delta { text: piece, .. } = event {
                        text.push_str(&piece.plain());
                    }
                })
                .unwrap();
        }
        (text, flow)
    }

    proptest! {
        #[test]
        fn what_is_unfolded_reads_as_what_was_whole(texts in proptest::collection::vec(".{0,12}", 1..4), pretty: bool) {
            for dialect in DIALECTS {
                let whole = whole(dialect, &texts);
                let data = if pretty { serde_json::to_vec_pretty(&whole) } else { serde_json::to_vec(&whole) };
                let frames = unfold(dialect, &Bytes::from(data.unwrap()), true).unwrap();
                for frame in &frames {
                    let line = frame.raw.strip_suffix(b"\n\n").unwrap();
                    prop_assert!(line.split(|byte| *byte == b'\n').count() <= 2, "{:?}", frame.raw);
                }
                prop_assert_eq!(read(dialect, &frames), (texts.concat(), Flow::Ended));
            }
        }

        #[test]
        fn nothing_that_looks_like_an_answer_panics(
            members in proptest::collection::vec(("choices|content|output|type|object|status|message|error|usage",
                "null|1|\"message\"|\"response\"|\\[\\]|\\[1\\]|\\[\\{\\}\\]|\\[\\{\"message\":\\{\\}\\}\\]|\\{\\}"), 0..6),
            bare: bool,
        ) {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let data = Bytes::from(format!("{{{}}}", members.join(",")));
            for dialect in Dialect::ALL {
                for frame in unfold(dialect, &data, bare).into_iter().flatten() {
                    prop_assert!(frame.is_complete(), "{:?}", frame);
                }
            }
        }
    }

    #[test]
    fn what_is_no_whole_answer_is_left_as_it_is() {
        let left = |dialect, data: &'static str, bare| {
            unfold(dialect, &Bytes::from_static(data.as_bytes()), bare).is_none()
        };
        let delta = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        assert!(left(Dialect::OpenAiChat, delta, true));
        let grows = r#"{"choices":[{"message":{"content":"a"},"finish_reason":null}]}"#;
        assert!(left(Dialect::OpenAiChat, grows, false), "the next chunk may say more");
        assert!(!left(Dialect::OpenAiChat, grows, true));
        assert!(left(Dialect::OpenAiChat, r#"{"error":{"message":"m"},"choices":[{"message":{}}]}"#, true));
        assert!(left(Dialect::Anthropic, r#"{"type":"message_start","message":{"content":[]}}"#, false));
        assert!(left(
            Dialect::OpenAiResponses,
            r#"{"object":"response","status":"queued","output":[]}"#,
            true
        ));
        assert!(left(Dialect::OllamaChat, r#"{"message":{"content":"a"},"done":true}"#, true));
    }
}
