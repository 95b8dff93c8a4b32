//! A record that is written on another replica: filled with what the store has, in order and without gaps.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::record::{Ended, Gone, Record, Role};

impl Record {
    /// Adds frames of which the first has the number `from`. What was there already stays as it is; what is missing before
    /// them is no longer kept anywhere.
    pub(in crate::journal) fn fill(&self, from: u64, frames: Vec<Bytes>) {
        let mut state = self.state.lock();
        let last = state.last();
        if from > last + 1 {
            let freed = state.bytes;
            state.frames.clear();
            state.bytes = 0;
            state.first = from;
            self.total.fetch_sub(freed, Ordering::Relaxed);
        }
        let known = usize::try_from((last + 1).saturating_sub(from)).unwrap_or(usize::MAX);
        // What comes at once after an outage is no reader's fault: they are behind, and catch up.
        for seat in state.readers.values_mut() {
            seat.caught_up = false;
        }
        self.push(&mut state, frames.into_iter().skip(known));
        state.wake_readers();
    }

    /// Ends what has not ended yet, in the words of another replica.
    pub(in crate::journal) fn end_with(&self, ended: Ended) {
        let mut state = self.state.lock();
        if state.ended.is_none() {
            if ended.is_lost() {
                state.gone = Some(Gone::Lost);
                state.wake_writer();
            }
            state.ended = Some(ended);
            state.wake_readers();
        }
    }

    /// Notes whether the store tells of it; gives for how long it has not.
    pub(in crate::journal) fn is_told(&self, told: bool) -> Duration {
        let Role::Mirror(silent) = &self.role else { return Duration::ZERO };
        let mut silent = silent.lock();
        *silent = (!told).then(|| silent.unwrap_or_else(Instant::now));
        silent.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Somebody reads it on another replica.
    pub(in crate::journal) fn is_read_elsewhere(&self, until: Instant) {
        self.state.lock().read_elsewhere = Some(until);
    }

    /// Has nobody read it here for so long?
    pub(in crate::journal) fn is_idle(&self, time: Duration) -> bool {
        self.state.lock().left.is_some_and(|left| left.elapsed() >= time)
    }
}
