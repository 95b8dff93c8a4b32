//! How late things were behind a hop: told for every run, and held to a limit by the middle one.

use std::fmt;
use std::time::Duration;

/// Times of one kind behind one hop.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort();
    }

    pub(super) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    fn worst(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let (median, worst) = (milliseconds(self.median()), milliseconds(self.worst()));
        write!(f, "median {median:.1} ms, worst {worst:.1} ms of {}", self.0.len())
    }
}
