//! An answer as its bytes came: the head, the chunks, the events, and how the body ended.

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::client::Client;
use super::pieces::{Ending, Event, Item, cut_block, cut_chunk, cut_line};
use super::within;

/// An answer whose head was read. Dropping it closes the connection.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The bytes of the body that came in the same read as the head.
    pub(crate) early: Bytes,
    /// The HTTP chunks that came, each as it was written.
    pub(crate) pieces: Vec<Bytes>,
    client: Client,
    body: Body,
    payload: BytesMut,
}

impl Answer {
    pub(super) fn new(status: u16, headers: Vec<(String, String)>, client: Client) -> Self {
        let (early, payload, pieces) = (Bytes::copy_from_slice(&client.buffer), BytesMut::new(), Vec::new());
        let mut answer = Self { status, headers, body: Body::Nothing, client, early, payload, pieces };
        answer.body = answer.framing();
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The next event, comment or end.
    pub(crate) async fn next_item(&mut self) -> Item {
        within("the next event of a stream", self.read_item()).await
    }

    /// The next event; keep-alives before it are skipped.
    pub(crate) async fn next_event(&mut self) -> Event {
        loop {
            match self.next_item().await {
                Item::Event(event) => return event,
                Item::Quiet(_) => {}
                Item::End(ending) => panic!("the stream ended ({ending:?}) where an event was awaited"),
            }
        }
    }

    /// Everything up to the end: the events, and how it ended.
    pub(crate) async fn events(&mut self) -> (Vec<Event>, Ending) {
        let mut events = Vec::new();
        loop {
            match self.next_item().await {
                Item::Event(event) => events.push(event),
                Item::Quiet(_) => {}
                Item::End(ending) => return (events, ending),
            }
        }
    }

    /// What is left of the body, as bytes.
    pub(crate) async fn rest(&mut self) -> (Bytes, Ending) {
        let ending = within("the end of a body", async {
            loop {
                if let Some(ending) = self.read_more().await {
                    return ending;
                }
            }
        })
        .await;
        (self.payload.split().freeze(), ending)
    }

    /// The whole body, which must have ended cleanly.
    pub(crate) async fn text(&mut self) -> String {
        let (body, ending) = self.rest().await;
        let body = String::from_utf8(body.to_vec()).expect("a body in UTF-8");
        assert_ne!(ending, Ending::Aborted, "the body was broken off: {body}");
        body
    }

    pub(crate) async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("status {}, {error} in {text:?}", self.status))
    }

    /// The connection, for the next request; the body must have been read.
    pub(crate) fn reuse(self) -> Client {
        assert!(
            matches!(self.body, Body::Nothing | Body::Done(Ending::Clean)),
            "the body was not read to its end"
        );
        assert_ne!(self.header("connection"), Some("close"), "the connection is not kept");
        self.client
    }

    /// Goes away with a RST in the middle of the answer.
    pub(crate) fn reset(self) {
        self.client.reset();
    }

    fn framing(&self) -> Body {
        if self.client.bodyless || self.status == 204 || self.status == 304 {
            return Body::Nothing;
        }
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Body::Chunked;
        }
        match self.header("content-length") {
            Some(length) => Body::Length(length.parse().expect("a content-length that is a number")),
            None => Body::UntilClose,
        }
    }

    async fn read_item(&mut self) -> Item {
        loop {
            let item = match self.header("content-type") {
                Some("text/event-stream") => cut_block(&mut self.payload),
                Some("application/x-ndjson") => cut_line(&mut self.payload),
                other => panic!("status {}, content-type {other:?}: not a stream", self.status),
            };
            if let Some(item) = item {
                return item;
            }
            if let Some(ending) = self.read_more().await {
                let left = &self.payload;
                assert!(
                    ending == Ending::Aborted || left.is_empty(),
                    "the body ends inside an event: {left:?}"
                );
                return Item::End(ending);
            }
        }
    }

    /// Moves what is there, or else what comes next, into the payload; tells the end.
    async fn read_more(&mut self) -> Option<Ending> {
        loop {
            let moved = self.take_ready();
            if let Body::Done(ending) = self.body
                && !moved
            {
                return Some(ending);
            }
            if matches!(self.body, Body::Nothing) {
                return Some(Ending::Clean);
            }
            if moved {
                return None;
            }
            let read = self.client.stream.read_buf(&mut self.client.buffer).await;
            if !matches!(read, Ok(1..)) {
                let closed = matches!(self.body, Body::UntilClose) && read.is_ok();
                self.body = Body::Done(if closed { Ending::Closed } else { Ending::Aborted });
            }
        }
    }

    /// Decodes what has arrived; true if that gave payload.
    fn take_ready(&mut self) -> bool {
        let before = self.payload.len();
        let buffer = &mut self.client.buffer;
        match self.body {
            Body::Nothing | Body::Done(_) => {}
            Body::UntilClose => self.payload.unsplit(buffer.split()),
            Body::Length(left) => {
                let part = buffer.split_to(left.min(buffer.len()));
                self.body = if part.len() == left {
                    Body::Done(Ending::Clean)
                } else {
                    Body::Length(left - part.len())
                };
                self.payload.unsplit(part);
            }
            Body::Chunked => {
                while let Some(piece) = cut_chunk(buffer) {
                    if piece.is_empty() {
                        self.body = Body::Done(Ending::Clean);
                        break;
                    }
                    self.payload.extend_from_slice(&piece);
                    self.pieces.push(piece);
                }
            }
        }
        self.payload.len() > before
    }
}

enum Body {
    Nothing,
    Chunked,
    Length(usize),
    UntilClose,
    Done(Ending),
}
