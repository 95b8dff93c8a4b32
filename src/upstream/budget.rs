//! The retry budget of a route: retries and hedges may be a share of its requests, and a few a second beside those, so that
//! failover cannot multiply the load when all backends are in trouble.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::config::PoolConfig;

/// Seconds over which requests and retries are weighed against each other.
const WINDOW: u64 = 10;
const SECONDS: usize = 10;

/// Counts requests and retries of the last ten seconds, second by second.
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ratio: f64,
    per_second: u32,
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Which second this is, counted from the beginning.
    number: u64,
    requests: u32,
    retries: u32,
}

impl Budget {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let state = State {
            ratio: config.retry_ratio,
            per_second: config.retries_per_second,
            seconds: [Second::default(); SECONDS],
        };
        Self { started: Instant::now(), state: Mutex::new(state) }
    }

    /// From now on with the terms of another configuration.
    pub(super) fn adopt(&self, config: &PoolConfig) {
        let mut state = self.state.lock();
        state.ratio = config.retry_ratio;
        state.per_second = config.retries_per_second;
    }

    /// A request has come.
    pub(super) fn deposit(&self, now: Instant) {
        let mut state = self.state.lock();
        let second = state.second(self.number(now));
        second.requests = second.requests.saturating_add(1);
    }

    /// Takes one retry; false if there is none left.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let number = self.number(now);
        let mut state = self.state.lock();
        let recent = state.seconds.iter().filter(|second| second.number + WINDOW > number);
        let (requests, retries) = recent.fold((0_u32, 0_u32), |(requests, retries), second| {
            (requests.saturating_add(second.requests), retries.saturating_add(second.retries))
        });
        let floor = f64::from(state.per_second) * Duration::from_secs(WINDOW).as_secs_f64();
        if f64::from(retries) + 1.0 > state.ratio.mul_add(f64::from(requests), floor) {
            return false;
        }
        let second = state.second(number);
        second.retries = second.retries.saturating_add(1);
        true
    }

    fn number(&self, now: Instant) -> u64 {
        // Counted from one window on, so that the empty seconds of the beginning are old.
        now.saturating_duration_since(self.started).as_secs() + WINDOW
    }
}

impl State {
    /// The counts of this second, begun anew if they are of an earlier one.
    fn second(&mut self, number: u64) -> &mut Second {
        let [first, rest @ ..] = &mut self.seconds;
        let second = match usize::try_from(number % WINDOW) {
            Ok(at @ 1..) => rest.get_mut(at - 1).unwrap_or(first),
            Ok(0) | Err(_) => first,
        };
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn budget(ratio: f64, per_second: u32) -> Budget {
        Budget::new(&PoolConfig {
            retry_ratio: ratio,
            retries_per_second: per_second,
            ..PoolConfig::default()
        })
    }

    fn take_all(budget: &Budget) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(Instant::now())).count()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_the_requests() {
        let budget = budget(0.2, 0);
        assert_eq!(take_all(&budget), 0);
        for _ in 0..100 {
            budget.deposit(Instant::now());
        }
        assert_eq!(take_all(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_allowed_without_any_requests() {
        let budget = budget(0.2, 1);
        assert_eq!(take_all(&budget), 10);
        advance(Duration::from_secs(9)).await;
        assert_eq!(take_all(&budget), 0);
        advance(Duration::from_secs(1)).await;
        assert_eq!(take_all(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_more_than_ten_seconds_ago_pay_for_nothing() {
        let budget = budget(0.5, 0);
        for _ in 0..10 {
            budget.deposit(Instant::now());
        }
        advance(Duration::from_secs(10)).await;
        assert_eq!(take_all(&budget), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_outage_never_costs_more_than_the_share() {
        let budget = budget(0.2, 1);
        let mut retries = 0;
        for _ in 0..600 {
            budget.deposit(Instant::now());
            retries += usize::from(budget.withdraw(Instant::now()));
            retries += usize::from(budget.withdraw(Instant::now()));
            advance(Duration::from_millis(100)).await;
        }
        assert!((120..=600 / 5 + 60 + 10).contains(&retries), "{retries}");
    }
}
