//! How long to wait before a server is asked again.

use std::time::Duration;

/// The longest wait.
const MAX: Duration = Duration::from_secs(30);

/// Doubles from one failure to the next, and begins anew when something has come.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
    tries: u32,
}

impl Backoff {
    /// Gives up after so many failures in a row.
    pub fn new(tries: u32) -> Self {
        Self { first: Duration::from_secs(1), failures: 0, tries }
    }

    /// So many failures in a row are borne.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// The server says how long the first wait shall be.
    pub fn begin_with(&mut self, first: Duration) {
        self.first = first.min(MAX);
    }

    /// Something has come.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// One more failure: how long to wait now, or `None` to give up. `least` is what the server asks for.
    pub fn next(&mut self, least: Option<Duration>) -> Option<Duration> {
        if self.failures >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        // Up to a quarter more: who was cut off together shall not come back together.
        let random = getrandom::u32().unwrap_or_default() % 256;
        let wait = doubled.min(MAX) + doubled.min(MAX) * random / 1024;
        Some(wait.max(least.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_begin_anew_and_come_to_an_end() {
        let mut backoff = Backoff::new(3);
        backoff.begin_with(Duration::from_millis(100));
        let within = |wait: Option<Duration>, least: u64| {
            let wait = wait.unwrap().as_millis();
            assert!((u128::from(least)..u128::from(least * 5 / 4 + 1)).contains(&wait), "{wait} for {least}");
        };
        within(backoff.next(None), 100);
        within(backoff.next(None), 200);
        backoff.reset();
        within(backoff.next(None), 100);
        assert!(backoff.next(Some(Duration::from_secs(7))).unwrap() >= Duration::from_secs(7));
        within(backoff.next(None), 400);
        assert_eq!(backoff.next(None), None);
    }
}
