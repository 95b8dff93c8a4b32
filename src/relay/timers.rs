//! The timers of a running stream. They are looked at when they fire, not set anew with every event: that would cost more than
//! the event.

use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::wire::{Code, Failure};

/// The limits of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two events of the backend.
    pub idle_timeout: Duration,
    /// From the request to the end of the answer.
    pub max_duration: Duration,
    pub on_disconnect: OnDisconnect,
}

/// What becomes of the backend's work when the client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    Cancel,
    /// Read on for so long, to learn the usage.
    Drain(Duration),
    /// Go on for so long, for a reader to come back. A stream that is not recorded is cancelled.
    Continue(Duration),
}

impl<'de> Deserialize<'de> for OnDisconnect {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let time = |kind: &str| text.strip_prefix(kind).and_then(|time| humantime::parse_duration(time).ok());
        if text == "cancel" {
            return Ok(Self::Cancel);
        }
        let timed = time("drain:").map(Self::Drain).or_else(|| time("continue:").map(Self::Continue));
        timed.ok_or_else(|| {
            D::Error::custom("expected \"cancel\", \"drain:TIME\" or \"continue:TIME\", as in \"drain:10s\"")
        })
    }
}

/// How many tasks an event passes from the socket to its stream, at most.
const TURNS: usize = 3;

/// The running timers.
#[derive(Debug)]
pub(super) struct Timers {
    limits: Limits,
    end: Instant,
    last_event: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Timers {
    pub(super) fn new(started: Instant, limits: Limits) -> Self {
        let end = started + limits.max_duration;
        Self { limits, end, last_event: Instant::now(), sleep: Box::pin(sleep_until(end)) }
    }

    /// Waits for the end of the longest time a stream may take. Cancel safe.
    pub(super) async fn max_duration(&mut self) -> Failure {
        if self.sleep.deadline() != self.end {
            self.sleep.as_mut().reset(self.end);
        }
        self.sleep.as_mut().await;
        too_long()
    }

    /// An event came; gives how long it was to wait for.
    pub(super) fn event(&mut self, at: Instant) -> Duration {
        let before = std::mem::replace(&mut self.last_event, at);
        at.saturating_duration_since(before)
    }

    /// Waits until the backend has been silent for too long, or the stream has lasted too long. Cancel safe.
    pub(super) async fn expired(&mut self) -> Failure {
        loop {
            let due = self.end.min(self.last_event + self.limits.idle_timeout);
            // Later than it is set is put right when it fires; earlier must be put right now.
            if due < self.sleep.deadline() {
                self.sleep.as_mut().reset(due);
            }
            self.sleep.as_mut().await;
            let now = Instant::now();
            if now >= self.end {
                return too_long();
            }
            if now >= self.last_event + self.limits.idle_timeout {
                // If the process was stopped for a while, what the backend has sent meanwhile is still on its way here.
                for _ in 0..TURNS {
                    yield_now().await;
                }
                return Failure::new(Code::UpstreamStalled, "the backend has sent nothing for too long");
            }
            self.sleep.as_mut().reset(self.end.min(self.last_event + self.limits.idle_timeout));
        }
    }
}

fn too_long() -> Failure {
    Failure::new(Code::MaxDuration, "the answer took longer than a stream may last")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timers(idle: u64, max: u64) -> Timers {
        let limits = Limits {
            idle_timeout: Duration::from_secs(idle),
            max_duration: Duration::from_secs(max),
            on_disconnect: OnDisconnect::Cancel,
        };
        Timers::new(Instant::now(), limits)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_event() {
        let began = Instant::now();
        let mut timers = timers(10, 60);
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_secs(8), timers.expired()).await;
            assert!(waited.is_err());
            timers.event(Instant::now());
        }
        assert_eq!(timers.expired().await.code, Code::UpstreamStalled);
        assert_eq!(began.elapsed().as_secs(), 34);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_counts_from_the_request() {
        let began = Instant::now();
        let mut timers = timers(10, 25);
        while tokio::time::timeout(Duration::from_secs(8), timers.expired()).await.is_err() {
            timers.event(Instant::now());
        }
        assert_eq!(began.elapsed().as_secs(), 25);
    }
}
