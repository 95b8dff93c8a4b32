//! The ways in which a path is tried: each brings out what another kind of hop does.

use std::fmt;
use std::time::Duration;

/// One way to ask for a stream, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// POST over HTTP/1.1, no coding accepted.
    Plain,
    /// `Accept-Encoding: gzip`, as every browser says.
    Gzip,
    /// Over HTTP/2.
    Http2,
    /// GET of a recorded stream, as an `EventSource` does.
    Get,
    /// Nothing to say at first: the head and a comment must come before the first event.
    Early,
    /// A silence in the middle.
    Silence(Duration),
    /// Larger events, to tell a buffer of bytes from a timer.
    Padded,
    /// No silence, for as long as another answer lived that was cut.
    Lasting(Duration),
    /// Breaks off behind its first events, with an error: does that come out as it is?
    Cut,
}

/// How many events, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    pub(super) events: usize,
    pub(super) pace: Duration,
    /// How long nothing is said in [`Variant::Early`]: longer than the gateway's `commit_after`.
    pub(super) early: Duration,
}

/// Bytes that every event of [`Variant::Padded`] is longer.
const PAD: usize = 1000;
/// Events of [`Variant::Cut`].
const BEFORE_CUT: usize = 6;
/// What the gateway waits between the error and the break.
const LINGER: Duration = Duration::from_millis(300);

impl Variant {
    /// The events that are asked for.
    pub(super) fn events(self, cadence: Cadence) -> usize {
        match self {
            Self::Plain | Self::Gzip | Self::Http2 | Self::Get | Self::Padded => cadence.events,
            Self::Early => 3,
            Self::Silence(_) => 4,
            Self::Cut => BEFORE_CUT,
            Self::Lasting(time) => {
                usize::try_from(time.as_millis() / cadence.pace.as_millis().max(1)).unwrap_or(usize::MAX) + 2
            }
        }
    }

    /// How the built-in model is asked for them.
    pub(super) fn model(self, model: &str, cadence: Cadence) -> String {
        let (words, pace) = (self.events(cadence), cadence.pace.as_millis());
        let base = format!("{model}:stamps,words={words},pace={pace}ms");
        match self {
            Self::Plain | Self::Gzip | Self::Http2 | Self::Get | Self::Lasting(_) => base,
            Self::Early => format!("{base},silence={}ms", cadence.early.as_millis()),
            Self::Padded => format!("{base},pad={PAD}"),
            Self::Silence(time) => format!("{base},after=2,pause={}ms", time.as_millis()),
            // One word more is promised than comes.
            Self::Cut => format!("{model}:stamps,words={},pace={pace}ms,after={words},cut", words + 1),
        }
    }

    /// How long the answer takes where nothing holds it up.
    pub(super) fn length(self, cadence: Cadence) -> Duration {
        let words = cadence.pace * u32::try_from(self.events(cadence)).unwrap_or(u32::MAX);
        words
            + match self {
                Self::Early => cadence.early,
                Self::Silence(time) => time,
                Self::Cut => LINGER,
                Self::Plain | Self::Gzip | Self::Http2 | Self::Get | Self::Padded | Self::Lasting(_) => {
                    Duration::ZERO
                }
            }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Gzip => f.write_str("gzip"),
            Self::Http2 => f.write_str("http2"),
            Self::Get => f.write_str("get"),
            Self::Early => f.write_str("early"),
            Self::Padded => f.write_str("padded"),
            Self::Silence(time) => write!(f, "silence {}s", time.as_secs_f64()),
            Self::Lasting(time) => write!(f, "busy {:.1}s", time.as_secs_f64()),
            Self::Cut => f.write_str("cut"),
        }
    }
}
