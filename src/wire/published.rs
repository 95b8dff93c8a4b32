//! What a back end publishes on a channel: one event, read from the body of a request, and written so that nothing in one of its
//! fields can be taken for another field or another event.

use std::borrow::Cow;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::wire::envelope::ParseError;
use crate::wire::json::Field;
use crate::wire::members::AllMembers;

/// An event as its publisher wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    event: Option<String>,
    /// The publisher's own. The `id:` of the stream is the gateway's, for it says where a reader stands.
    id: Option<String>,
    /// Milliseconds.
    retry: Option<u32>,
    data: String,
}

impl Published {
    /// Reads a JSON body. An object that has `data`, and beside it nothing but `event`, `id` and `retry`, says the fields;
    /// anything else is the data itself, as it was written.
    pub fn of_json(body: &[u8]) -> Result<Self, ParseError> {
        let whole: &RawValue = serde_json::from_slice(body)
            .map_err(|error| ParseError::new(format!("the body is not JSON: {error}"), None))?;
        let members = serde_json::from_str(whole.get()).map(|AllMembers(members)| members);
        let members = members.unwrap_or_default();
        let known = |key: &str| matches!(key, "event" | "id" | "retry" | "data");
        if !members.iter().all(|(key, _)| known(key)) || !members.iter().any(|(key, _)| key == "data") {
            return Ok(Self { data: whole.get().into(), ..Self::default() });
        }
        let fields = members.iter().map(|(key, value)| {
            let field = Field::of(value);
            let text = match key.as_ref() {
                "data" => text_or_json(value)?,
                _ if field.is_absent() => return Ok((key.as_ref(), None)),
                "retry" => Cow::Borrowed(value.get()),
                key => field.string().ok_or_else(|| wrong(key, "must be a string"))?,
            };
            Ok((key.as_ref(), Some(text)))
        });
        Self::of_fields(fields.collect::<Result<Vec<_>, _>>()?)
    }

    /// Reads the pairs of a form.
    pub fn of_form<'a>(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Result<Self, ParseError> {
        let pairs: Vec<_> = pairs.collect();
        if !pairs.iter().any(|(key, _)| key == "data") {
            let words = "the form has no `data`; JSON is sent as `Content-Type: application/json`";
            return Err(ParseError::new(words, Some("data")));
        }
        Self::of_fields(pairs.iter().map(|(key, value)| (key.as_ref(), Some(value.clone()))))
    }

    fn of_fields<'a>(
        fields: impl IntoIterator<Item = (&'a str, Option<Cow<'a, str>>)>,
    ) -> Result<Self, ParseError> {
        let (mut read, mut seen) = (Self::default(), Vec::new());
        for (key, value) in fields {
            if seen.contains(&key) {
                return Err(wrong(key, "stands there twice"));
            }
            seen.push(key);
            let Some(value) = value else { continue };
            match key {
                "data" => read.data = value.into_owned(),
                "event" => read.event = line(key, value)?,
                "id" => read.id = line(key, value)?,
                "retry" => {
                    let retry = value.parse().map_err(|_| wrong(key, "must be a number of milliseconds"))?;
                    read.retry = Some(retry);
                }
                _ => return Err(wrong(key, "is none of `event`, `id`, `retry` and `data`")),
            }
        }
        Ok(read)
    }

    /// Writes the event, without a number.
    pub fn frame(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.data.len() + 64);
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\n"] {
                out.put_slice(part.as_bytes());
            }
        };
        if let Some(event) = &self.event {
            field("event", event);
        }
        if let Some(id) = &self.id {
            field("publisher-id", id);
        }
        if let Some(retry) = self.retry {
            field("retry", itoa::Buffer::new().format(retry));
        }
        // Each of CR, LF and CRLF ends a line for whoever reads (WHATWG HTML section 9.2.5).
        for part in self.data.replace("\r\n", "\n").split(['\r', '\n']) {
            field("data", part);
        }
        out.put_u8(b'\n');
        out.freeze()
    }
}

/// A string stands for its text, anything else for its JSON.
fn text_or_json(value: &RawValue) -> Result<Cow<'_, str>, ParseError> {
    if !value.get().starts_with('"') {
        return Ok(Cow::Borrowed(value.get()));
    }
    let text = serde_json::from_str::<String>(value.get());
    text.map(Cow::Owned).map_err(|_| wrong("data", "is not a string of Unicode"))
}

/// A field of one line. Some readers end lines at more characters than they should, so no control character passes.
fn line(key: &str, value: Cow<'_, str>) -> Result<Option<String>, ParseError> {
    if value.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(wrong(key, "may not hold a line break or another control character"));
    }
    Ok(Some(value.into_owned()).filter(|value| !value.is_empty()))
}

fn wrong(key: &str, why: &str) -> ParseError {
    let param = ["event", "id", "retry", "data"].into_iter().find(|known| *known == key);
    let shown: String = key.chars().take(100).collect();
    ParseError::new(format!("`{shown}` {why}"), param)
}

#[cfg(test)]
mod tests {
    use eventsource_stream::{Event, EventStream};
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What a reader makes of these bytes.
    fn parse(bytes: &[u8]) -> Vec<Event> {
        let source = stream::iter([Ok::<_, std::convert::Infallible>(bytes.to_vec())]);
        let events: Vec<_> = EventStream::new(source).collect().now_or_never().unwrap();
        events.into_iter().map(Result::unwrap).collect()
    }

    fn read(body: &serde_json::Value) -> Published {
        Published::of_json(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn any_json_is_the_data_as_it_was_written() {
        for body in [
            "1.0",
            "\"a\"",
            "null",
            "[1, 2]",
            r#"{"a": 1e2,"a":2}"#,
            r#"{"data":1,"more":2}"#,
            r#"{"id":"x"}"#,
        ] {
            assert_eq!(Published::of_json(body.as_bytes()).unwrap().frame(), format!("data: {body}\n\n"));
        }
        assert!(Published::of_json(b"{").is_err());
        assert!(Published::of_json(b"\xff").is_err());
    }

    #[test]
    fn an_object_of_fields_says_the_fields() {
        let published = read(&json!({"event": "progress", "id": "7", "retry": 1500, "data": {"done": 3}}));
        let frame = "event: progress\npublisher-id: 7\nretry: 1500\ndata: {\"done\":3}\n\n";
        assert_eq!(published.frame(), frame);
        assert_eq!(read(&json!({"data": "two\nlines", "event": null})).frame(), "data: two\ndata: lines\n\n");
        let form = [("event", "a"), ("data", "x")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(Published::of_form(form.into_iter()).unwrap().frame(), "event: a\ndata: x\n\n");
    }

    #[test]
    fn fields_that_are_not_what_they_should_be_are_named() {
        for (body, param) in [
            (r#"{"data":1,"id":7}"#, Some("id")),
            (r#"{"data":1,"event":"a\nid: 9"}"#, Some("event")),
            (r#"{"data":1,"id":"a\u0000"}"#, Some("id")),
            (r#"{"data":1,"retry":"soon"}"#, Some("retry")),
            (r#"{"data":1,"retry":-1}"#, Some("retry")),
            (r#"{"data":1,"data":2}"#, Some("data")),
            (r#"{"data":"\ud800"}"#, Some("data")),
        ] {
            assert_eq!(Published::of_json(body.as_bytes()).unwrap_err().param, param, "{body}");
        }
        let form = [("dat", "a")].map(|(key, value)| (key.into(), value.into()));
        assert!(Published::of_form(form.into_iter()).is_err());
    }

    /// Text with much of what is dangerous.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\n"),
            Just("\r"),
            Just("\r\n"),
            Just("\0"),
            Just("data: x"),
            Just("id: 9"),
            Just("event: forged"),
            Just(": "),
            Just(" "),
            Just("\u{feff}"),
            Just("\u{2028}"),
            Just("é"),
            Just("retry: 1"),
            Just("x"),
        ];
        prop_oneof![
            proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat()),
            any::<String>()
        ]
    }

    proptest! {
        #[test]
        fn what_is_published_is_what_is_read_and_never_more(
            event in proptest::option::of(text()), id in proptest::option::of(text()),
            retry in proptest::option::of(any::<u32>()), data in text(),
        ) {
            let lawful = |field: &Option<String>| line("event", field.clone().unwrap_or_default().into()).is_ok();
            let body = json!({"event": event, "id": id, "retry": retry, "data": data}).to_string();
            let read = Published::of_json(body.as_bytes());
            prop_assert_eq!(read.is_ok(), lawful(&event) && lawful(&id));
            let Ok(published) = read else { return Ok(()) };
            prop_assert_eq!(&published.data, &data);
            let frame = [b"id: stream.1\n", published.frame().as_ref()].concat();
            let events = parse(&frame);
            prop_assert_eq!(events.len(), 1);
            let name = event.filter(|event| !event.is_empty()).unwrap_or_else(|| "message".into());
            prop_assert_eq!(&events[0].event, &name);
            prop_assert_eq!(&events[0].data, &data.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(&events[0].id, "stream.1");
            prop_assert_eq!(events[0].retry, retry.map(|retry| std::time::Duration::from_millis(retry.into())));
        }
    }
}
