//! Anything is published: what is taken is one event for whoever reads it, with the fields that were written, and what follows it
//! stays what it is.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use streamgate::wire::{Framing, Published, Splitter};
use streamgate_fuzz::events::events;

/// Stands behind every event.
const NEXT: &str = "id: stream.2\ndata: next\n\n";

/// What a reader is to see.
#[derive(Debug, PartialEq)]
struct Seen {
    event: String,
    data: String,
    retry: Option<Duration>,
}

fuzz_target!(|body: &[u8]| {
    if let Ok(published) = Published::of_json(body) {
        check(&published.frame(), of_json(body));
    }
    let pairs = || form_urlencoded::parse(body);
    if let Ok(published) = Published::of_form(pairs()) {
        let of = |name: &str| pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        check(&published.frame(), Some(seen(of("event"), of("data"), of("retry"))));
    }
});

fn check(frame: &[u8], wanted: Option<Seen>) {
    let body = [b"id: stream.1\n", frame, NEXT.as_bytes()].concat();
    let read = events(&body);
    let [one, next] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!((one.id.as_str(), next.id.as_str(), next.data.as_str()), ("stream.1", "stream.2", "next"));
    let told = Seen { event: one.event.clone(), data: one.data.clone(), retry: one.retry };
    if let Some(wanted) = wanted {
        assert_eq!(told, wanted);
    }
    let mut splitter = Splitter::new(Framing::Sse, usize::MAX);
    splitter.push(Bytes::from(body));
    let frame = splitter.next_frame().expect("it is not too large").expect("an event");
    assert_eq!(frame.data, told.data);
    assert_eq!(frame.event.as_deref().unwrap_or(b"message"), told.event.as_bytes());
    let frame = splitter.next_frame().expect("it is not too large").expect("another");
    assert_eq!((frame.data.as_ref(), frame.event), (&b"next"[..], None));
    assert_eq!(splitter.next_frame(), Ok(None));
}

fn seen(event: Option<String>, data: Option<String>, retry: Option<String>) -> Seen {
    Seen {
        event: event.filter(|event| !event.is_empty()).unwrap_or_else(|| "message".into()),
        data: data.unwrap_or_default().replace("\r\n", "\n").replace('\r', "\n"),
        retry: retry.map(|retry| Duration::from_millis(retry.parse().expect("a number"))),
    }
}

/// `None` where the text of a value matters, which is not told by `Value`.
fn of_json(body: &[u8]) -> Option<Seen> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    if fields.keys().any(|key| !["event", "id", "retry", "data"].contains(&key.as_str())) {
        return None;
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(String::from);
    let retry = fields.get("retry").and_then(Value::as_u64).map(|retry| retry.to_string());
    Some(seen(text("event"), Some(text("data")?), retry))
}
