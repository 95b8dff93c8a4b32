//! The events of the benchmark: the script that a request asks for by its model name, the event as the origin writes it,
//! and the mark by which the load client finds it again behind any framing and any translation.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

/// What the origin does on one stream. It travels as the model name, the one part of a request that every door hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// So many events, one in every interval.
    Paced { interval: Duration, events: u64 },
    /// So many events, as fast as the socket takes them.
    Burst { events: u64 },
    /// One event, then silence until the peer leaves.
    Idle,
}

impl Script {
    /// How many events the stream carries, if it ends at all.
    pub(crate) fn events(self) -> Option<u64> {
        match self {
            Self::Paced { events, .. } | Self::Burst { events } => Some(events),
            Self::Idle => None,
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paced { interval, events } => write!(f, "paced-{}-{events}", interval.as_micros()),
            Self::Burst { events } => write!(f, "burst-{events}"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

impl FromStr for Script {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.split('-').collect();
        Ok(match *parts.as_slice() {
            ["paced", micros, events] => {
                Self::Paced { interval: Duration::from_micros(micros.parse()?), events: events.parse()? }
            }
            ["burst", events] => Self::Burst { events: events.parse()? },
            ["idle"] => Self::Idle,
            _ => bail!("no script is called {name}"),
        })
    }
}

/// One content event as a chunk of HTTP/1.1, made once a stream: only the stamp changes from event to event.
#[derive(Debug)]
pub(crate) struct Event {
    chunk: Vec<u8>,
    stamp_at: usize,
}

impl Event {
    pub(crate) fn new() -> Result<Self> {
        let (before, after) = CONTENT.split_once(MARK as char).context("the template holds the mark")?;
        let text = EVENT_BYTES.saturating_sub(before.len() + 1 + DIGITS + after.len());
        let data = format!("{before}{}{:0DIGITS$}{}{after}", MARK as char, 0, " word".repeat(text / 5));
        let chunk = chunk(&data);
        let stamp_at = memchr::memchr(MARK, &chunk).context("the chunk holds the mark")? + 1;
        Ok(Self { chunk, stamp_at })
    }

    /// The bytes to write now, stamped with the time of this call.
    pub(crate) fn stamped(&mut self) -> &[u8] {
        let mut rest = now();
        if let Some(digits) = self.chunk.get_mut(self.stamp_at..self.stamp_at + DIGITS) {
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &self.chunk
    }
}

/// Calls `on_event` for each mark in `bytes`, with its stamp where that is whole (a proxy that cuts its chunks by size may
/// put a chunk head into it), and returns how many bytes are done with: the rest may be the start of a stamp.
pub(crate) fn scan(bytes: &[u8], mut on_event: impl FnMut(Option<u64>)) -> usize {
    for at in memchr::memchr_iter(MARK, bytes) {
        let Some(digits) = bytes.get(at + 1..at + 1 + DIGITS) else {
            return at;
        };
        on_event(std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()));
    }
    bytes.len()
}

/// Nanoseconds of the wall clock. It is the one clock that two processes can compare without unsafe code or one more
/// crate; nothing may step it during a run.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// `data` as one chunk of HTTP/1.1.
pub(crate) fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// The size of one content event: what model servers send for one token, most of it envelope.
const EVENT_BYTES: usize = 250;
/// Stands before each stamp, and nowhere else in an answer.
const MARK: u8 = b'@';
/// Nanoseconds since 1970 have 19 digits until the year 2286.
const DIGITS: usize = 19;

const CONTENT: &str = concat!(
    r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench","#,
    r#""choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
    "\n\n"
);
