//! The chunk of usage, for a client that did not ask for it: what else stands in it (llama.cpp: `timings`) is the client's.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::wire::dialect::Dialect;
use crate::wire::json::Object;
use crate::wire::members::AllMembers;

/// What every chunk has, and what Groq tells of usage.
const USUAL: [&str; 10] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "provider",
    "obfuscation",
    "x_groq",
    "x_request_id",
];

/// The event that is left of a chunk without its usage; `None` if nothing is. Its list of choices is empty, which naive clients do
/// not expect unless they asked for usage: one that says nothing takes its place.
pub fn beside_usage(dialect: Dialect, data: &[u8]) -> Option<Bytes> {
    let AllMembers(members) = serde_json::from_slice(data).ok()?;
    let is_more = |key: &str, value: &str| {
        !USUAL.contains(&key) && !matches!(key, "usage" | "choices") && !matches!(value, "null" | "{}" | "[]")
    };
    if !members.iter().any(|(key, value)| is_more(key, value.get())) {
        return None;
    }
    let nothing = if dialect == Dialect::OpenAiCompletions {
        "[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":null}]"
    } else {
        "[{\"index\":0,\"delta\":{},\"finish_reason\":null}]"
    };
    let mut out = BytesMut::with_capacity(data.len() + 64);
    out.put_slice(b"data: ");
    let mut chunk = Object::new(&mut out);
    for (key, value) in members.iter().filter(|(key, _)| key != "usage") {
        chunk.raw(key, if key == "choices" { nothing } else { value.get() });
    }
    chunk.end();
    out.put_slice(b"\n\n");
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_the_usage_is_left() {
        let left = |data: &str| beside_usage(Dialect::OpenAiChat, data.as_bytes());
        assert_eq!(
            left(
                r#"{"id":"c","object":"x","choices":[],"usage":{"prompt_tokens":1},"system_fingerprint":"b1"}"#
            ),
            None
        );
        assert_eq!(left(r#"{"choices":[],"usage":{},"timings":null,"citations":[]}"#), None);
        assert_eq!(
            left(r#"{"choices":[],"id":"c","usage":{"a":1},"timings":{"predicted_ms":1.50}}"#).unwrap(),
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"id\":\"c\",\"timings\":{\"predicted_ms\":1.50}}\n\n"
        );
        assert!(left(r#"{"choices":[],"usage":{},"vendor_cost":0.25}"#).is_some());
    }
}
