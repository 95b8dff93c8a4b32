//! What a request for a recorded stream says: how its reader wants it, and from where.

use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, Method};

use crate::api::cursor::{Cursor, Seen};
use crate::edge::{Parameter, Query, Refusal};
use crate::journal::{Record, Viewer};
use crate::wire::Code;

/// The longest poll.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// What a request for a stream says.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) method: Method,
    pub(super) wants: Wants,
    pub(super) cursor: Option<Cursor>,
    starting_after: Option<u64>,
    /// How long a poll may take.
    pub(super) wait: Duration,
    pub(super) viewer: Option<Viewer>,
    /// Where llama.cpp's readers begin, in bytes.
    pub(super) from: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Events,
    /// The lines of an Ollama stream, as they are.
    Lines,
    Json,
    Whatever,
}

impl Look {
    pub(super) fn new(method: &Method, query: &Query, headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wants = [
            ("text/event-stream", Wants::Events),
            ("application/x-ndjson", Wants::Lines),
            ("application/json", Wants::Json),
        ];
        let wants = wants
            .into_iter()
            .find(|(media, _)| accept.contains(media))
            .map_or(Wants::Whatever, |(_, wants)| wants);
        let viewer = query.get(Parameter::Viewer).filter(|viewer| !viewer.is_empty());
        let exclusive = matches!(query.get(Parameter::Exclusive), Some("1" | "true"));
        let viewer = viewer.map(|viewer| Viewer::new(viewer.chars().take(128).collect(), exclusive));
        let cursor = || Cursor::parse(query.get(Parameter::LastEventId)?);
        Self {
            method: method.clone(),
            wants,
            cursor: Cursor::of_header(headers).or_else(cursor),
            starting_after: query.number(Parameter::StartingAfter),
            wait: query.get(Parameter::Wait).map(wait).unwrap_or_default(),
            viewer,
            from: query.number(Parameter::From).unwrap_or_default(),
        }
    }

    /// What was seen of this stream.
    pub(super) fn seen(&self, record: &Record) -> Result<Seen, Refusal> {
        match &self.cursor {
            Some(cursor) if cursor.stream != record.meta().id => {
                Err(Refusal::new(Code::InvalidRequest, "the cursor belongs to another stream"))
            }
            Some(cursor) => Ok(cursor.seen),
            None => Ok(self.starting_after.map_or(Seen::NOTHING, Seen::Frame)),
        }
    }

    /// Is it one of those, and told to come back? An error status would end it for ever.
    pub(super) fn must_wait(&self, refusal: &Refusal) -> bool {
        self.comes_back() && refusal.failure.status() == 503
    }

    /// Is it a browser that comes back by itself until it is told 204? It asks for nothing but events.
    pub(super) fn comes_back(&self) -> bool {
        self.wants == Wants::Events && self.method == Method::GET
    }
}

/// How long a poll may take: `25s`, or seconds alone. What is no time is none.
fn wait(value: &str) -> Duration {
    let seconds = || value.parse().ok().map(Duration::from_secs);
    humantime::parse_duration(value).ok().or_else(seconds).unwrap_or_default().min(MAX_WAIT)
}
