//! The reserve of a backend: slots that are kept free for keys that hold none, as long as one of them asks now and then. Without
//! it a key that asks all the time makes everybody else wait for one of its answers to end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The name of a key; `None`: all who call without one.
pub(super) type Name = Option<Arc<str>>;

/// Who holds how many slots of one backend, and who asked lately.
#[derive(Debug)]
pub(super) struct Reserve {
    /// How many slots are kept.
    pub(super) slots: usize,
    keys: HashMap<Name, Key>,
}

#[derive(Debug)]
struct Key {
    holds: usize,
    asked: Instant,
}

/// How long slots are kept for a key after it asked.
const LATELY: Duration = Duration::from_secs(30);

impl Reserve {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, keys: HashMap::new() }
    }

    /// A key asks for a slot.
    pub(super) fn asked(&mut self, name: &Name, now: Instant) {
        if let Some(key) = self.keys.get_mut(name) {
            key.asked = now;
            return;
        }
        self.keys.retain(|_, key| key.holds > 0 || now - key.asked < LATELY);
        self.keys.insert(name.clone(), Key { holds: 0, asked: now });
    }

    pub(super) fn takes(&mut self, name: &Name) {
        if let Some(key) = self.keys.get_mut(name) {
            key.holds += 1;
        }
    }

    pub(super) fn leaves(&mut self, name: &Name) {
        if let Some(key) = self.keys.get_mut(name) {
            key.holds = key.holds.saturating_sub(1);
        }
    }

    /// May this key have one of `free` slots?
    pub(super) fn lets_in(&self, name: &Name, free: usize, now: Instant) -> bool {
        let holds_none = || self.keys.get(name).is_none_or(|key| key.holds == 0);
        let kept_for_another = || self.keys.values().any(|key| key.holds == 0 && now - key.asked < LATELY);
        free > self.slots || free > 0 && (holds_none() || !kept_for_another())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_kept_for_who_holds_none_and_asked_lately() {
        let (noisy, quiet): (Name, Name) = (Some("noisy".into()), Some("quiet".into()));
        let mut reserve = Reserve::new(1);
        let now = Instant::now();
        reserve.asked(&noisy, now);
        reserve.takes(&noisy);
        assert!(reserve.lets_in(&noisy, 1, now), "nobody else asks");
        reserve.asked(&quiet, now);
        assert!(!reserve.lets_in(&noisy, 1, now) && reserve.lets_in(&noisy, 2, now));
        assert!(reserve.lets_in(&quiet, 1, now) && !reserve.lets_in(&quiet, 0, now));
        reserve.takes(&quiet);
        assert!(reserve.lets_in(&noisy, 1, now), "the quiet key has what was kept for it");
        reserve.leaves(&quiet);
        assert!(!reserve.lets_in(&noisy, 1, now));
        assert!(reserve.lets_in(&noisy, 1, now + LATELY), "it has not asked for long");
    }
}
