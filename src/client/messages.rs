//! The events of one answer, as they come: Server-Sent Events, or lines of JSON.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource as _};
use futures_util::future::ready;
use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use reqwest::Response;

use crate::client::error::innermost;
use crate::wire::{Framing, Splitter};

/// The longest line.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// So much of a body's beginning is kept, for one that ends without an event.
const BEGINNING: usize = 256;

/// One event. Lines have neither id nor name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The id of the last event that had one; empty if none had.
    pub id: String,
    pub name: String,
    pub data: String,
    /// After how long a reader shall come back, if the event says so.
    pub retry: Option<Duration>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    Message(Message),
    /// The body is complete.
    Ended,
    /// It broke off, with the reason.
    Cut(String),
    /// It is not what its type says.
    Malformed(String),
}

/// An answer that is read event by event.
pub struct Messages {
    source: Source,
    beginning: Arc<Mutex<Vec<u8>>>,
}

enum Source {
    Events(Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<reqwest::Error>>> + Send>>),
    Lines { body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>, splitter: Splitter },
}

impl Messages {
    pub(super) fn new(answer: Response, framing: Framing) -> Self {
        let beginning = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&beginning);
        let body = answer.bytes_stream().inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                let mut kept = kept.lock();
                let room = BEGINNING.saturating_sub(kept.len());
                kept.extend(chunk.iter().take(room));
            }
        });
        let source = match framing {
            Framing::Sse => {
                let mut place = 0;
                let body = body.map(move |chunk| chunk.map(|chunk| without_mark(chunk, &mut place)));
                Source::Events(Box::pin(behind_a_line(body).eventsource()))
            }
            Framing::Ndjson => {
                Source::Lines { body: Box::pin(body), splitter: Splitter::new(Framing::Ndjson, MAX_LINE) }
            }
        };
        Self { source, beginning }
    }

    /// The next event, or how the body ended. Cancel safe.
    pub async fn next(&mut self) -> Next {
        match &mut self.source {
            Source::Events(events) => match events.next().await {
                Some(Ok(Event { event, data, id, retry })) => {
                    Next::Message(Message { id, name: event, data, retry })
                }
                Some(Err(EventStreamError::Transport(error))) => Next::Cut(innermost(&error)),
                Some(Err(error @ (EventStreamError::Utf8(_) | EventStreamError::Parser(_)))) => {
                    Next::Malformed(error.to_string())
                }
                None => Next::Ended,
            },
            Source::Lines { body, splitter } => loop {
                match splitter.next_frame() {
                    Ok(Some(frame)) => break line(&frame.data),
                    Ok(None) => {}
                    Err(error) => break Next::Malformed(error.to_string()),
                }
                match body.next().await {
                    Some(Ok(chunk)) => splitter.push(chunk),
                    Some(Err(error)) => break Next::Cut(innermost(&error)),
                    None => break splitter.finish().map_or(Next::Ended, |frame| line(&frame.data)),
                }
            },
        }
    }

    /// After how long a body shall be asked for again that says nothing else, and that without a blank line.
    pub fn retry(&self) -> Option<Duration> {
        let beginning = self.beginning.lock();
        let text = String::from_utf8_lossy(&beginning);
        let told = text.lines().filter_map(|line| line.strip_prefix("retry:")).next_back();
        told.and_then(|value| value.trim().parse().ok()).map(Duration::from_millis)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

fn line(data: &[u8]) -> Next {
    match std::str::from_utf8(data) {
        Ok(data) => Next::Message(Message { data: data.to_owned(), ..Message::default() }),
        Err(error) => Next::Malformed(error.to_string()),
    }
}

/// A blank line at the beginning means nothing, and eventsource-stream 0.2.3 panics on a byte order mark there: behind a line of
/// its own a second one is what it is, a letter.
pub fn behind_a_line<B: From<&'static [u8]>, E>(
    body: impl Stream<Item = Result<B, E>>,
) -> impl Stream<Item = Result<B, E>> {
    stream::once(ready(Ok(B::from(&b"\n"[..])))).chain(body)
}

/// A byte order mark at the beginning is no part of the stream (WHATWG HTML section 9.2.5).
fn without_mark(chunk: Bytes, place: &mut usize) -> Bytes {
    const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
    let mut chunk = chunk;
    while chunk.first().is_some_and(|byte| MARK.get(*place) == Some(byte)) {
        chunk = chunk.split_off(1);
        *place += 1;
    }
    if !chunk.is_empty() {
        *place = MARK.len();
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_left_out_at_the_beginning_alone() {
        for cut in 0..6 {
            let whole = Bytes::from("\u{feff}a\u{feff}".to_owned());
            let (mut place, mut seen) = (0, Vec::new());
            for part in [whole.slice(..cut), whole.slice(cut..)] {
                seen.extend_from_slice(&without_mark(part, &mut place));
            }
            assert_eq!(seen, "a\u{feff}".as_bytes(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_second_mark_is_a_letter_of_the_first_line() {
        let body = "\u{feff}\u{feff}data: no field\ndata: a\n\n";
        let answer = Response::from(http::Response::new(body));
        let mut messages = Messages::new(answer, Framing::Sse);
        let Next::Message(message) = messages.next().await else { panic!("an event") };
        assert_eq!(message.data, "a");
        assert!(matches!(messages.next().await, Next::Ended));
    }
}
