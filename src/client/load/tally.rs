//! What was measured of the streams of one server.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The streams that failed in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub count: u64,
    /// What there was to say about the first of them; may be empty.
    pub first: String,
}

/// Times in microseconds.
#[derive(Debug)]
pub struct Tally {
    pub(super) begun: u64,
    pub(super) done: u64,
    /// Arrivals that found as many streams running as there may be.
    pub(super) skipped: u64,
    /// By how.
    pub(super) failures: BTreeMap<String, Failures>,
    /// To the first content.
    pub(super) first: Histogram<u64>,
    /// Between two events.
    pub(super) gaps: Histogram<u64>,
    /// Of streams that ended well.
    pub(super) totals: Histogram<u64>,
    /// How fast content came behind the first, in thousandths of events a second, of streams that ended well.
    pub(super) rates: Histogram<u64>,
    /// The streams that were answered, by the version of HTTP.
    pub(super) versions: BTreeMap<&'static str, u64>,
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
            failures: BTreeMap::new(),
            first: histogram(),
            gaps: histogram(),
            totals: histogram(),
            rates: histogram(),
            versions: BTreeMap::new(),
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
    pub fn failures(&self) -> &BTreeMap<String, Failures> {
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
        self.failures.values().map(|failures| failures.count).sum()
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

    pub(super) fn fail(&mut self, how: String, words: String) {
        let failures = self.failures.entry(how).or_insert_with(|| Failures { count: 0, first: words });
        failures.count += 1;
    }

    pub(super) fn close(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }
}

/// Notes how fast so many events came over this time.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and no stream has 2^53 events"
)]
pub(super) fn note_rate(histogram: &mut Histogram<u64>, events: u64, time: Duration) {
    if events > 0 && !time.is_zero() {
        histogram.saturating_record((events as f64 * 1000.0 / time.as_secs_f64()) as u64);
    }
}

/// Notes a time.
pub(super) fn note(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}
