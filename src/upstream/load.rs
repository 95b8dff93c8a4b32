//! How fast a backend has been of late, and how often it failed: a peak-EWMA of the time to first token, as Finagle's, and an
//! EWMA of errors. Both fade while nothing is heard, so that a bad minute does not count for ever.

use std::time::Duration;

use tokio::time::Instant;

/// How fast what was measured fades.
const FADING: Duration = Duration::from_secs(10);
/// What one more request adds to the EWMA of errors.
const STEP: f64 = 0.2;

#[derive(Debug)]
pub(super) struct Load {
    ttft: Option<(f64, Instant)>,
    /// From 0 to 1.
    errors: f64,
    errors_at: Instant,
}

/// What a backend is known for, to be weighed against others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Speed {
    /// Seconds to the first token, if it was measured.
    pub(super) ttft: Option<f64>,
    /// How fresh that is, from 1 to 0.
    pub(super) freshness: f64,
    /// The share of requests that failed, from 0 to 1.
    pub(super) errors: f64,
}

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self { ttft: None, errors: 0.0, errors_at: now }
    }

    /// First content came after so long. What is slower than before counts at once, what is faster by and by.
    pub(super) fn first_token(&mut self, now: Instant, after: Duration) {
        let sample = after.as_secs_f64();
        let average = match self.ttft {
            Some((average, at)) if average > sample => {
                let kept = faded(at, now);
                average.mul_add(kept, sample * (1.0 - kept))
            }
            Some(_) | None => sample,
        };
        self.ttft = Some((average, now));
    }

    /// Nothing had come after so long, when nobody waited any more.
    pub(super) fn at_least(&mut self, now: Instant, after: Duration) {
        let known = self.ttft.is_some_and(|(average, at)| average * faded(at, now) >= after.as_secs_f64());
        if !known {
            self.ttft = Some((after.as_secs_f64(), now));
        }
    }

    pub(super) fn outcome(&mut self, now: Instant, failed: bool) {
        let errors = self.errors * faded(self.errors_at, now);
        self.errors = (f64::from(u8::from(failed)) - errors).mul_add(STEP, errors);
        self.errors_at = now;
    }

    /// Begins anew, for one that had failed and may be well again.
    pub(super) fn forget(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    pub(super) fn speed(&self, now: Instant) -> Speed {
        Speed {
            ttft: self.ttft.map(|(average, _)| average),
            freshness: self.ttft.map_or(0.0, |(_, at)| faded(at, now)),
            errors: self.errors * faded(self.errors_at, now),
        }
    }
}

impl Speed {
    /// What one more request would cost there: the time to first token for each that waits or runs, by weight, and as many
    /// attempts as it takes for one to succeed. `fastest`: seconds to first token of the fastest backend, which one that was
    /// not heard of for long is taken to equal.
    pub(super) fn cost(&self, outstanding: usize, weight: u32, fastest: f64) -> f64 {
        /// Below that, differences are noise.
        const LEAST: f64 = 0.01;
        let ttft = self.ttft.unwrap_or(fastest).mul_add(self.freshness, fastest * (1.0 - self.freshness));
        let running = f64::from(u32::try_from(outstanding).unwrap_or(u32::MAX)) + 1.0;
        let succeeding = (1.0 - self.errors).max(0.01);
        ttft.max(LEAST) * running / f64::from(weight) / (succeeding * succeeding)
    }
}

fn faded(since: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(since).as_secs_f64() / FADING.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SLOW: Duration = Duration::from_secs(2);
    const FAST: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_peak_counts_at_once_and_fades_by_and_by() {
        let mut load = Load::new(Instant::now());
        load.first_token(Instant::now(), FAST);
        load.first_token(Instant::now(), SLOW);
        assert!(load.speed(Instant::now()).ttft.unwrap() > 1.9);
        load.first_token(Instant::now(), FAST);
        assert!(load.speed(Instant::now()).ttft.unwrap() > 1.9);
        advance(FADING).await;
        load.first_token(Instant::now(), FAST);
        let ttft = load.speed(Instant::now()).ttft.unwrap();
        assert!((0.7..0.9).contains(&ttft), "{ttft}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_not_heard_of_for_long_is_taken_to_be_fast() {
        let mut load = Load::new(Instant::now());
        load.first_token(Instant::now(), SLOW);
        assert!(load.speed(Instant::now()).cost(0, 1, 0.1) > 1.9);
        advance(FADING * 10).await;
        assert!(load.speed(Instant::now()).cost(0, 1, 0.1) < 0.11);
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_fast_costs_more_than_who_answers_slowly() {
        let (mut failing, mut slow) = (Load::new(Instant::now()), Load::new(Instant::now()));
        for _ in 0..5 {
            failing.outcome(Instant::now(), true);
            slow.outcome(Instant::now(), false);
        }
        slow.first_token(Instant::now(), SLOW);
        let now = Instant::now();
        assert!(failing.speed(now).cost(0, 1, 2.0) > slow.speed(now).cost(4, 1, 2.0));
    }

    #[tokio::test(start_paused = true)]
    async fn load_counts_by_weight() {
        let speed = Load::new(Instant::now()).speed(Instant::now());
        assert!((speed.cost(2, 1, 0.1) - speed.cost(8, 3, 0.1)).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_vain_is_known_to_be_slow() {
        let mut load = Load::new(Instant::now());
        load.at_least(Instant::now(), SLOW);
        load.at_least(Instant::now(), FAST);
        assert!(load.speed(Instant::now()).ttft.unwrap() > 1.9);
    }
}
