//! What was received of one answer, and when. All times count from when the request was sent.

use std::time::Duration;

use http::{HeaderMap, Version};

/// One answer as it came in.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) head: Option<Head>,
    pub(super) events: Vec<Arrival>,
    /// When the last bytes came, comments included.
    pub(super) last_bytes: Duration,
    /// Members of gzip that the body was made of.
    pub(super) members: usize,
    /// Did an event say that the answer failed?
    pub(super) error: bool,
    pub(super) end: End,
    pub(super) ended: Duration,
    /// Why it is no stream, in the words of who refused.
    pub(super) reason: Option<String>,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) at: Duration,
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) stamp: Option<Stamp>,
    /// Bytes of the body that had come over the wire by then.
    pub(super) received: usize,
}

/// What the built-in model says in place of a word: which one it is, and when it was to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) number: usize,
    pub(super) due: Duration,
}

/// How the answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Broken(String),
    /// It had not ended when there was no more time.
    TimedOut,
    /// The doctor had seen enough.
    Left,
    Unreachable(Failure),
}

/// Why no answer came, and what to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) hint: &'static str,
}

/// A backlog is written in one go.
const AT_ONCE: Duration = Duration::from_millis(15);
/// So many events behind it show how they come.
const FOLLOW: usize = 8;

impl Trace {
    /// Nothing came.
    pub(super) fn nothing(end: End, ended: Duration) -> Self {
        Self {
            head: None,
            events: Vec::new(),
            last_bytes: Duration::ZERO,
            members: 0,
            error: false,
            end,
            ended,
            reason: None,
        }
    }

    /// Is it an answer, and none that brings events?
    pub(super) fn is_no_stream(&self) -> bool {
        self.status() == Some(200)
            && self.end == End::Whole
            && self.events.is_empty()
            && !self.says_it_streams()
    }

    /// Does its head say that events come?
    pub(super) fn says_it_streams(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        ["event-stream", "ndjson", "jsonl"].iter().any(|stream| kind.contains(stream))
    }

    pub(super) fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status)
    }

    /// A header of the answer, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.headers.get(name)?.to_str().ok()
    }

    /// What is read of a stream that was recorded begins with all that there was by then: the same without that.
    pub(super) fn without_backlog(&self) -> Self {
        let mut trace = self.clone();
        let first = trace.events.first().map_or(Duration::ZERO, |event| event.at);
        let backlog = trace.events.iter().take_while(|event| event.at < first + AT_ONCE).count();
        // Where nothing follows, somebody kept it.
        if trace.events.len() >= backlog + FOLLOW {
            trace.events.drain(..backlog.saturating_sub(1));
        }
        trace
    }

    /// The events that carry a stamp.
    pub(super) fn stamped(&self) -> Vec<(Arrival, Stamp)> {
        self.events.iter().filter_map(|event| Some((*event, event.stamp?))).collect()
    }

    /// Has it ended before all that was asked for had come?
    pub(super) fn is_cut(&self, expected: usize) -> bool {
        matches!(self.end, End::Broken(_) | End::Whole) && self.stamped().len() < expected
    }

    /// Silence before the end: since the last bytes, or since the request where none came.
    pub(super) fn silent(&self) -> Duration {
        let head = self.head.as_ref().map_or(Duration::ZERO, |head| head.at);
        self.ended.saturating_sub(self.last_bytes.max(head))
    }
}

impl Stamp {
    /// The stamp in the text of an event, `[number@milliseconds]`, in whatever JSON it stands.
    pub(super) fn find(text: &str) -> Option<Self> {
        text.split('[').skip(1).find_map(|rest| {
            let (stamp, _) = rest.split_once(']')?;
            let (number, due) = stamp.split_once('@')?;
            Some(Self { number: number.parse().ok()?, due: Duration::from_millis(due.parse().ok()?) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_any_json() {
        let event = r#"{"choices":[{"index":0,"delta":{"content":"[12@1080]abc "}}],"x":["a@b"]}"#;
        assert_eq!(Stamp::find(event), Some(Stamp { number: 12, due: Duration::from_millis(1080) }));
        assert_eq!(Stamp::find(r#"{"choices":[],"text":"[1]","more":"[a@b]"}"#), None);
        assert_eq!(Stamp::find("[999999999999999999999999@1]"), None);
    }
}
