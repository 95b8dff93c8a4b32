//! What anybody writes into a path, a query and the headers of a request for a recorded stream.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use streamgate::api::fuzzing::{cursor, look, wishes};
use streamgate::edge::fuzzing::percent_decode;

const NAMES: [HeaderName; 6] = [
    HeaderName::from_static("accept"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-conversation-id"),
    HeaderName::from_static("x-on-conflict"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("prefer"),
];

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    decoded(&first);
    lawful(cursor(&first));
    let target = format!("/v1/streams/x?{first}");
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some((name, value)) = line.split_first() else { continue };
        let name = &NAMES[usize::from(*name) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name.clone(), value);
        }
    }
    if let Some(looked) = target.parse::<Uri>().ok().and_then(|uri| look(&uri, &headers)) {
        lawful(looked.cursor);
        assert!(looked.wait <= Duration::from_secs(60));
        assert!(looked.viewer.is_none_or(|viewer| (1..=128).contains(&viewer.id.chars().count())));
    }
    match wishes(&headers) {
        Ok(wished) => {
            lawful(wished.cursor);
            for name in [wished.conversation, wished.key].into_iter().flatten() {
                assert!((1..=256).contains(&name.len()) && name.is_ascii() && name.trim() == name);
            }
        }
        Err(status) => assert_eq!(status, 400),
    }
});

/// A cursor is written as it is read, and can be an `id:` and a header.
fn lawful(written: Option<String>) {
    let Some(written) = written else { return };
    assert_eq!(cursor(&written).as_deref(), Some(written.as_str()));
    assert!(written.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.'));
    assert!(written.len() <= 26 + 1 + 20);
}

/// What is encoded is decoded, and what has no escape is what it is.
fn decoded(text: &str) {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(percent_decode(&encoded), text);
    let plain = text.replace('%', "");
    assert_eq!(percent_decode(&plain), plain);
    assert!(percent_decode(text).len() <= text.len() * 3);
}
