//! What a Responses request says of responses that are kept, and how one that goes on from another is made whole.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::codec::Identity;
use crate::wire::distinct::distinct;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Object, Text};
use crate::wire::members::members;
use crate::wire::openai_responses::response::{Head, Status};

/// What a request wishes to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The response is kept, to be read again and gone on from. So it is unless the request says no.
    pub store: bool,
    /// The work goes on when the client leaves.
    pub background: bool,
    /// The response that this one goes on from.
    pub previous: Option<String>,
}

impl State {
    /// Reads a request body.
    pub fn of(body: &[u8]) -> Result<Self, ParseError> {
        let members = distinct(body, &["store", "background", "previous_response_id", "input"])?;
        let field =
            |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| Field::of(value));
        let state = Self {
            store: field("store").and_then(Field::boolean) != Some(false),
            background: field("background").and_then(Field::boolean) == Some(true),
            previous: field("previous_response_id").and_then(Field::string).map(std::borrow::Cow::into_owned),
        };
        if state.background && !state.store {
            return Err(ParseError::new(
                "`background` needs `store`: there would be nothing to read",
                Some("background"),
            ));
        }
        Ok(state)
    }
}

/// The items of a request's input, as a JSON array.
pub fn input_items(body: &[u8]) -> String {
    let members = members(body).unwrap_or_default();
    let input = members.iter().find(|(key, _)| key == "input").map(|(_, field)| *field).unwrap_or_default();
    match input.text() {
        Some(text) => {
            let mut out = BytesMut::new();
            out.put_u8(b'[');
            let mut message = Object::new(&mut out);
            message.raw("role", "\"user\"").text("content", text);
            message.end();
            out.put_u8(b']');
            String::from_utf8_lossy(&out).into_owned()
        }
        None => input.raw().unwrap_or("[]").to_owned(),
    }
}

/// One JSON array of the items of several.
pub fn joined_items(arrays: &[&str]) -> String {
    let inner = arrays.iter().filter_map(|array| {
        let inside = array.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
        (!inside.is_empty()).then_some(inside)
    });
    format!("[{}]", inner.collect::<Vec<_>>().join(","))
}

/// The request as one that stands for itself: with all of its `input`, and in the foreground.
pub fn stand_alone(body: &[u8], input: &str) -> Result<Bytes, ParseError> {
    let mut out = BytesMut::with_capacity(body.len() + input.len());
    let mut object = Object::new(&mut out);
    for (key, field) in members(body)? {
        match key.as_ref() {
            "input" | "previous_response_id" | "background" => {}
            _ => {
                object.raw(&key, field.raw().unwrap_or("null"));
            }
        }
    }
    object.raw("input", input);
    object.end();
    Ok(out.freeze())
}

/// A response that has not begun.
pub fn queued(identity: &Identity) -> String {
    let mut out = BytesMut::new();
    Head::new(identity).write(Status::Queued, b"", None, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The response that an event of the stream carries.
pub fn response_in(data: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Event {
        response: Box<RawValue>,
    }
    serde_json::from_slice::<Event>(data).ok().map(|event| event.response)
}

/// The number of an event in its stream.
pub fn sequence_number(data: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Event {
        sequence_number: u64,
    }
    serde_json::from_slice::<Event>(data).ok().map(|event| event.sequence_number)
}

/// The id of a response object, and its output.
#[derive(Debug, Deserialize)]
pub struct Outline<'r> {
    pub id: &'r str,
    #[serde(borrow)]
    pub output: &'r RawValue,
}

/// Reads the outline of a response object.
pub fn outline(response: &str) -> Option<Outline<'_>> {
    serde_json::from_str(response).ok()
}

/// The same response with another status; one that was cancelled has no error.
pub fn with_status(response: &str, status: &str) -> String {
    let mut out = BytesMut::with_capacity(response.len() + 16);
    let mut object = Object::new(&mut out);
    for (key, field) in crate::wire::members::all_members(response) {
        if key == "status" {
            object.text("status", Text::Plain(status));
        } else if key == "error" && status == "cancelled" {
            object.raw("error", "null");
        } else {
            object.raw(&key, field);
        }
    }
    object.end();
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_goes_on_is_made_whole() {
        let body =
            br#"{"model":"m","previous_response_id":"resp_1","background":true,"input":"more","x":[1e400]}"#;
        let state = State::of(body).unwrap();
        assert_eq!(state, State { store: true, background: true, previous: Some("resp_1".into()) });
        let own = input_items(body);
        assert_eq!(own, r#"[{"role":"user","content":"more"}]"#);
        let input = joined_items(&[r#"[{"a":1}]"#, "[ ]", &own]);
        let whole = stand_alone(body, &input).unwrap();
        assert_eq!(
            String::from_utf8(whole.to_vec()).unwrap(),
            r#"{"model":"m","x":[1e400],"input":[{"a":1},{"role":"user","content":"more"}]}"#
        );
    }

    #[test]
    fn work_in_the_background_must_be_kept() {
        assert!(State::of(br#"{"background":true,"store":false}"#).is_err());
    }

    #[test]
    fn what_others_may_read_otherwise_is_refused() {
        for body in [
            r#"{"previous_response_id":"a","previous_response_id":"b"}"#,
            r#"{"previous_response_id":"a","Previous_Response_ID":"b"}"#,
            r#"{"store":false,"store":null}"#,
            r#"{"store":false,"\u017ftore":true}"#,
            r#"{"bac\u212aground":true}"#,
            r#"{"input":"a","input":"b"}"#,
        ] {
            assert!(State::of(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_status_is_told_anew_and_nothing_else_changes() {
        let response = r#"{"id":"resp_1","status":"failed","error":null,"x":{"status":1}}"#;
        assert_eq!(
            with_status(response, "cancelled"),
            r#"{"id":"resp_1","status":"cancelled","error":null,"x":{"status":1}}"#
        );
    }
}
