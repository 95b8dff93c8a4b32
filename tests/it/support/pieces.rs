//! What a body is made of: chunks, events, lines, keep-alives.
//!
//! The reading is as strict as the strictest SDK: a blank line that ends no event, a comment inside an event or a blank
//! line in NDJSON fails the test that met it.

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its last chunk, or at its declared length.
    Clean,
    /// The connection ended (FIN or RST) before that, or with a reset where nothing else could have marked the end.
    Aborted,
    /// The connection ended with a FIN, and nothing but that could mark the end (HTTP/1.0).
    Closed,
}

/// The next thing of a streamed body.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Event),
    /// A keep-alive: a comment line with its newline, or one space before an NDJSON line.
    Quiet(Bytes),
    End(Ending),
}

/// One SSE block or one NDJSON line.
#[derive(Debug)]
pub(crate) struct Event {
    /// As it came, blank line or newline included.
    pub(crate) raw: Bytes,
    /// The value of its `event:` field.
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {:?}", self.data))
    }
}

/// One whole HTTP chunk; the last one is empty.
pub(super) fn cut_chunk(buffer: &mut BytesMut) -> Option<Bytes> {
    let line = find(buffer, b"\r\n")?;
    let size = std::str::from_utf8(&buffer[..line]).unwrap();
    let size = usize::from_str_radix(size, 16).expect("a chunk size in hex");
    let whole = line + 2 + size + 2;
    if buffer.len() < whole {
        return None;
    }
    buffer.advance(line + 2);
    let piece = buffer.split_to(size).freeze();
    assert_eq!(&buffer[..2], b"\r\n", "a chunk ends with CRLF");
    buffer.advance(2);
    Some(piece)
}

/// A comment line, or a block with its blank line.
pub(super) fn cut_block(payload: &mut BytesMut) -> Option<Item> {
    let (mut data, mut name) = (None::<String>, None);
    let mut at = 0;
    while let Some(length) = find(&payload[at..], b"\n") {
        let line = std::str::from_utf8(&payload[at..at + length]).expect("a line in UTF-8");
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = if at == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if line.starts_with(':') {
            assert_eq!(at, 0, "a comment inside an event: {payload:?}");
            return Some(Item::Quiet(payload.split_to(length + 1).freeze()));
        }
        if line.is_empty() {
            let data = data.unwrap_or_else(|| panic!("a blank line that ends no event: {payload:?}"));
            return Some(Item::Event(Event { raw: payload.split_to(at + length + 1).freeze(), name, data }));
        }
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                Some(data) => data.extend(["\n", value]),
                None => data = Some(value.to_owned()),
            }
        } else if let Some(value) = line.strip_prefix("event:") {
            name = Some(value.trim_start().to_owned());
        }
        at += length + 1;
    }
    None
}

/// One space, or a line with its newline.
pub(super) fn cut_line(payload: &mut BytesMut) -> Option<Item> {
    if payload.first() == Some(&b' ') {
        return Some(Item::Quiet(payload.split_to(1).freeze()));
    }
    let length = find(payload, b"\n")?;
    let raw = payload.split_to(length + 1).freeze();
    let line = std::str::from_utf8(&raw).expect("a line in UTF-8").trim_end();
    assert!(!line.is_empty(), "a blank line in NDJSON");
    Some(Item::Event(Event { name: None, data: line.to_owned(), raw }))
}

pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
