//! What is remembered of records that were here and are not any more: whose they were.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// The ids of records that are over, for a while.
#[derive(Debug)]
pub(super) struct Expired {
    owners: HashMap<String, Option<String>>,
    /// In the order in which they are forgotten; one that was taken back may still be named.
    order: VecDeque<(Instant, String)>,
    most: usize,
}

/// How long it is remembered that a record was there.
pub(super) const REMEMBERED: Duration = Duration::from_hours(1);
/// How many expired records are remembered.
const MAX_EXPIRED: usize = 100_000;
/// What one takes in memory, more or less.
const EACH: usize = 224;

impl Expired {
    /// No more is remembered than takes a small part of what may be kept.
    pub(super) fn new(max_bytes: usize) -> Self {
        let most = MAX_EXPIRED.min(max_bytes / 32 / EACH);
        Self { owners: HashMap::new(), order: VecDeque::new(), most }
    }

    /// What all of them take in memory.
    pub(super) fn memory(&self) -> usize {
        self.order.len() * EACH
    }

    pub(super) fn owner(&self, id: &str) -> Option<&Option<String>> {
        self.owners.get(id)
    }

    pub(super) fn remember(&mut self, id: &str, owner: Option<String>) {
        self.order.push_back((Instant::now() + REMEMBERED, id.to_owned()));
        self.owners.insert(id.to_owned(), owner);
        while self.order.len() > self.most {
            self.forget_oldest();
        }
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.owners.remove(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_are_forgotten_first_when_there_are_too_many() {
        let mut expired = Expired::new(32 * EACH * 3);
        for id in ["a", "b", "c", "d"] {
            expired.remember(id, Some("alice".into()));
        }
        let known = ["a", "b", "c", "d"].map(|id| expired.owner(id).is_some());
        assert_eq!((known, expired.memory()), ([false, true, true, true], 3 * EACH));
        tokio::time::advance(REMEMBERED).await;
        expired.sweep(Instant::now());
        assert!(expired.is_empty());
    }
}
