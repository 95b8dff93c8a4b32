//! What is read here and written elsewhere: mirrors are filled from the store when they are woken, and by the clock, for a
//! wake-up is only a hint.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use crate::journal::new::StoreError;
use crate::journal::record::{Ended, Record};
use crate::journal::shelf::Shelf;
use crate::journal::store::Store;
use crate::journal::store::look::{Look, PAGE, Question};

/// How long a mirror is kept that nobody reads.
const IDLE: Duration = Duration::from_secs(30);
/// How many are filled at a time.
const AT_A_TIME: usize = 64;

impl Store {
    pub(super) async fn follow_all(&self, shelf: &Shelf) {
        let every = self.rounds();
        let mut next = Instant::now() + every;
        loop {
            let by_clock = tokio::select! {
                biased;
                () = sleep_until(next) => true,
                () = self.0.wakes.wait() => false,
            };
            let woken = self.0.wakes.take();
            let due =
                |record: &Arc<Record>| woken.contains(&record.meta().id) || by_clock && record.is_running();
            let mirrors: Vec<_> = shelf.mirrors().into_iter().filter(due).collect();
            stream::iter(mirrors)
                .for_each_concurrent(AT_A_TIME, |mirror| async move { self.refill(shelf, &mirror).await })
                .await;
            if by_clock {
                next = Instant::now() + every;
                self.forget_idle(shelf);
            }
        }
    }

    /// How often every mirror is looked after.
    fn rounds(&self) -> Duration {
        (self.0.lease / 10).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    fn forget_idle(&self, shelf: &Shelf) {
        let mut idle = shelf.mirrors();
        idle.retain(|mirror| mirror.is_idle(IDLE));
        for mirror in &idle {
            shelf.remove(mirror);
        }
        if !idle.is_empty() {
            self.0.mirrors.notify_one();
        }
    }

    async fn refill(&self, shelf: &Shelf, mirror: &Arc<Record>) {
        let (id, status) = (&mirror.meta().id, mirror.status());
        // Who polls reads as well as who follows.
        let reads = !mirror.is_idle(self.rounds() * 2);
        let question = Question { after: status.last, count: PAGE, reads, head: false };
        // Known to be away: nothing is asked, and time passes.
        let look = if self.is_up() { self.look(id, question).await } else { Err(StoreError::Away) };
        match look {
            Ok(Some(look)) => {
                mirror.told();
                self.take_over(shelf, mirror, look).await;
            }
            // A store that came back empty: its writer begins it anew, if it lives, for which it has as long as for a renewal of its
            // lease, and all replicas the time to notice that the store is back. Nobody begins a channel anew, for nobody knows
            // which numbers others have seen: the next of its name has another id.
            Ok(None) => {
                let is_gone = || self.0.health.is_settled() && mirror.missing_for() > self.0.lease;
                if mirror.meta().channel.is_some() || is_gone() {
                    mirror.end_with(Ended::lost());
                }
            }
            // Its readers come back, and are told that the store is away. Those of a channel stay: it may go on at any time.
            Err(_) => {
                if mirror.away_for() > self.0.lease * 2 && mirror.meta().channel.is_none() {
                    shelf.remove(mirror);
                }
            }
        }
    }

    async fn take_over(&self, shelf: &Shelf, mirror: &Arc<Record>, look: Look) {
        let id = &mirror.meta().id;
        let before = mirror.status().last;
        let ended = look.end(mirror.meta());
        let Look { last, deleted, viewer, alive, from, frames, .. } = look;
        if deleted {
            return shelf.delete(mirror);
        }
        if mirror.is_lost() && !ended.as_ref().is_some_and(Ended::is_lost) {
            return shelf.remove(mirror); // it lives after all: who comes now reads another mirror
        }
        mirror.fill(from, frames);
        if let Some((viewer, turn)) = viewer {
            self.supersede(id, mirror.taken_over(&viewer, turn)).await;
        }
        let now = mirror.status().last;
        if now < last && mirror.is_running() {
            if now == before {
                return shelf.delete(mirror); // its frames are gone
            }
            self.0.wakes.wake(id);
        } else if let Some(ended) = ended {
            mirror.end_with(ended);
        } else if !alive && self.fence(id).await.is_ok() {
            self.0.wakes.wake(id);
        }
    }
}
