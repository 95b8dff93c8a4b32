//! The receiver: sends one request and notes when what came of its answer.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use eventsource_stream::{Event, EventStreamError, Eventsource as _};
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout};

use crate::client::{behind_a_line, hint};
use crate::doctor::decode::Decoding;
use crate::doctor::refusal::reason;
use crate::doctor::trace::{Arrival, End, Failure, Head, Stamp, Trace};
use crate::wire::{Framing, Splitter};

/// How long an answer is listened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) framing: Framing,
    pub(super) limit: Duration,
    /// Leaves behind so many events.
    pub(super) leave_after: usize,
}

/// The answer to this request. Cancel safe: the connection is closed.
pub(super) async fn receive(request: RequestBuilder, terms: Terms) -> Trace {
    let mut trace = Trace::nothing(End::TimedOut, Duration::ZERO);
    let clock = Clock { began: Instant::now(), last: Rc::default(), members: Rc::default() };
    let listened = timeout(terms.limit, listen(request, terms, clock.clone(), &mut trace)).await;
    trace.end = listened.unwrap_or(End::TimedOut);
    trace.ended = clock.began.elapsed();
    trace.last_bytes = clock.last.get().0;
    trace.members = clock.members.get();
    trace
}

/// When the last bytes came, and how many there were in all: seen below the reader of events, which keeps comments to itself.
#[derive(Clone, Debug)]
struct Clock {
    began: Instant,
    last: Rc<Cell<(Duration, usize)>>,
    /// Members of gzip.
    members: Rc<Cell<usize>>,
}

async fn listen(request: RequestBuilder, terms: Terms, clock: Clock, trace: &mut Trace) -> End {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return unanswered(&error),
    };
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let mut decoding = Decoding::new(text(CONTENT_ENCODING));
    let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let lines = ["ndjson", "jsonl"].iter().any(|lines| kind.contains(lines));
    let framing = if lines { Framing::Ndjson } else { terms.framing };
    trace.head = Some(Head {
        at: clock.began.elapsed(),
        status: response.status().as_u16(),
        version: response.version(),
        headers: response.headers().clone(),
    });
    if !response.status().is_success() {
        trace.reason = refused(response, &kind).await;
        return End::Whole;
    }
    let seen = clock.clone();
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| words(&error))?;
        let (_, before) = seen.last.get();
        seen.last.set((seen.began.elapsed(), before + chunk.len()));
        let plain = decoding.decode(&chunk);
        seen.members.set(decoding.members());
        plain.map_err(|error| error.to_string())
    });
    let mut events = Events::new(Box::pin(bytes), framing);
    let mut stamps = 0;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(words) => return End::Broken(words),
        };
        let (at, received) = clock.last.get();
        // The last events of some dialects repeat the whole text.
        let stamp = Stamp::find(&event).filter(|stamp| stamp.number == stamps);
        stamps += usize::from(stamp.is_some());
        trace.error |= event.contains(ERROR);
        trace.events.push(Arrival { at, stamp, received });
        if trace.events.len() >= terms.leave_after {
            return End::Left;
        }
    }
    End::Whole
}

/// What an error in a stream has in every dialect.
const ERROR: &str = "\"error\":";

/// Why a request was not answered: who is not there, or speaks another protocol, can be told from one who hangs up.
fn unanswered(error: &reqwest::Error) -> End {
    match hint(error) {
        Some(hint) => End::Unreachable(Failure { why: words(error), hint }),
        None => End::Broken(words(error)),
    }
}

/// Why it was refused, from as much of the body as comes.
async fn refused(mut response: Response, kind: &str) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < LONGEST_REASON
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    reason(kind, &body)
}

const LONGEST_REASON: usize = 64 * 1024;

/// The events of a body, in either framing.
pub(super) enum Events<S> {
    Sse(Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<String>>>>>),
    Lines { bytes: S, splitter: Splitter, open: bool },
}

/// One event is no larger than this, in bytes.
const LIMIT: usize = 4 << 20;

impl<S: Stream<Item = Result<Vec<u8>, String>> + Unpin + 'static> Events<S> {
    pub(super) fn new(bytes: S, framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Box::pin(behind_a_line(bytes).eventsource())),
            Framing::Ndjson => Self::Lines { bytes, splitter: Splitter::new(framing, LIMIT), open: true },
        }
    }

    /// The data of the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<String, String>> {
        match self {
            Self::Sse(events) => {
                Some(events.next().await?.map(|event| event.data).map_err(|error| match error {
                    EventStreamError::Transport(words) => words,
                    EventStreamError::Utf8(_) => "bytes that are no UTF-8".to_owned(),
                    EventStreamError::Parser(_) => "bytes that are no event stream".to_owned(),
                }))
            }
            Self::Lines { bytes, splitter, open } => loop {
                match splitter.next_frame() {
                    Ok(Some(frame)) => return Some(Ok(String::from_utf8_lossy(&frame.data).into_owned())),
                    Ok(None) if !*open => return None,
                    Ok(None) => {}
                    Err(error) => return Some(Err(error.to_string())),
                }
                match bytes.next().await {
                    Some(Ok(chunk)) => splitter.push(chunk.into()),
                    Some(Err(words)) => return Some(Err(words)),
                    None => *open = false,
                }
            },
        }
    }
}

/// An error of the client with what is behind it, and without the address, which the report names already.
pub(super) fn words(error: &reqwest::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut words = String::new();
    while let Some(error) = source {
        words = error.to_string();
        source = error.source();
    }
    if words.is_empty() { "the connection failed".to_owned() } else { words }
}
