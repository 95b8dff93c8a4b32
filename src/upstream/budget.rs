//! The retry budget of a route: retries and hedges may be a share of its requests, and a few a second beside those, so that
//! failover cannot multiply the load when all backends are in trouble.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::config::PoolConfig;

/// Seconds over which requests and retries are weighed against each other.
const WINDOW: u32 = 10;

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
    /// The last ten, without those in which nothing happened.
    seconds: VecDeque<Second>,
}

#[derive(Clone, Copy, Debug)]
struct Second {
    /// Which second this is, counted from the beginning.
    number: u32,
    requests: u32,
    retries: u32,
}

impl Budget {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let state = State {
            ratio: config.retry_ratio,
            per_second: config.retries_per_second,
            seconds: VecDeque::new(),
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
        self.state.lock().count(self.number(now), 1, 0);
    }

    /// Takes one retry; false if there is none left.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let number = self.number(now);
        let mut state = self.state.lock();
        let recent = state.seconds.iter().filter(|second| second.number.saturating_add(WINDOW) > number);
        let (requests, retries) = recent.fold((0_u32, 0_u32), |(requests, retries), second| {
            (requests.saturating_add(second.requests), retries.saturating_add(second.retries))
        });
        let floor = f64::from(state.per_second.saturating_mul(WINDOW));
        if f64::from(retries) + 1.0 > state.ratio.mul_add(f64::from(requests), floor) {
            return false;
        }
        state.count(number, 0, 1);
        true
    }

    fn number(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.started).as_secs()).unwrap_or(u32::MAX)
    }
}

impl State {
    /// Counts in this second; forgets what is too old to matter.
    fn count(&mut self, number: u32, requests: u32, retries: u32) {
        self.seconds.retain(|second| second.number.saturating_add(WINDOW) > number);
        match self.seconds.back_mut() {
            Some(second) if second.number >= number => {
                second.requests = second.requests.saturating_add(requests);
                second.retries = second.retries.saturating_add(retries);
            }
            Some(_) | None => self.seconds.push_back(Second { number, requests, retries }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
