//! What was measured of the streams of one server.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// How many streams failed, by how.
pub type Failures = BTreeMap<String, u64>;

/// Times in microseconds.
#[derive(Debug)]
pub struct Tally {
    pub(super) begun: u64,
    pub(super) done: u64,
    /// Arrivals that found as many streams running as there may be.
    pub(super) skipped: u64,
    pub(super) failures: Failures,
    /// To the first content.
    pub(super) first: Histogram<u64>,
    /// Between two events.
    pub(super) gaps: Histogram<u64>,
    /// Of streams that ended well.
    pub(super) totals: Histogram<u64>,
    pub(super) events: u64,
    /// How many streams told their tokens, and how many these are.
    pub(super) counted: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) elapsed: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        // Three digits up to an hour: these bounds are lawful.
        let histogram = || Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("lawful bounds");
        Self {
            begun: 0,
            done: 0,
            skipped: 0,
            failures: Failures::new(),
            first: histogram(),
            gaps: histogram(),
            totals: histogram(),
            events: 0,
            counted: 0,
            input_tokens: 0,
            output_tokens: 0,
            elapsed: Duration::ZERO,
        }
    }
}

impl Tally {
    /// Streams that failed, by how.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Streams that ended well.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Arrivals for which there was no room.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub(super) fn ended(&self) -> u64 {
        self.done + self.failed()
    }

    /// What still ran when the time was over.
    pub(super) fn unfinished(&self) -> u64 {
        self.begun.saturating_sub(self.ended())
    }

    pub(super) fn skip(&mut self) {
        self.skipped += 1;
    }

    pub(super) fn fail(&mut self, how: String) {
        *self.failures.entry(how).or_default() += 1;
    }

    pub(super) fn close(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }
}

/// Notes a time.
pub(super) fn note(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}
