//! One request in line: it is told where it stands, lets go of its place when it is dropped, and of a slot that came too late.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::telemetry::Access;
use crate::upstream::slots::Slots;
use crate::upstream::slots::line::Number;

/// A place in line.
pub(super) struct Waiting {
    slots: Slots,
    number: Number,
    since: Instant,
}

/// How often it is noted where a request stands.
const LOOK: Duration = Duration::from_millis(200);

impl Waiting {
    pub(super) fn new(slots: Slots, number: Number) -> Self {
        Self { slots, number, since: Instant::now() }
    }

    /// Waits for a slot, at most for so long, and notes meanwhile where the request stands. The gate, whose slot is the caller's
    /// from here on.
    pub(super) async fn granted(&mut self, timeout: Duration, access: &Access) -> Option<usize> {
        let late = sleep_until(self.since + timeout);
        tokio::pin!(late);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gate = loop {
            tokio::select! {
                biased;
                gate = poll_fn(|cx| self.poll_granted(cx)) => break Some(gate),
                () = &mut late => break None,
                _ = look.tick() => access.queued(self.place()),
            }
        };
        access.queued(None);
        self.slots.0.metrics.queue_wait(self.since.elapsed());
        gate
    }

    fn poll_granted(&self, cx: &Context<'_>) -> Poll<usize> {
        let mut state = self.slots.0.state.lock();
        let Some(guest) = state.waiting.get_mut(&self.number) else { return Poll::Pending };
        if let Some(gate) = guest.granted {
            state.waiting.remove(&self.number);
            return Poll::Ready(gate);
        }
        if !guest.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            guest.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Where it stands. Slots are not kept for ever for who asks no more: whoever waits sees to that.
    fn place(&self) -> Option<usize> {
        let mut state = self.slots.0.state.lock();
        let wakers = state.let_all_in();
        state.count(Instant::now());
        let place = state.waiting.get(&self.number).map(|guest| guest.place);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        place
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let late = {
            let mut state = self.slots.0.state.lock();
            // Not there: the slot was handed on.
            let Some(guest) = state.waiting.remove(&self.number) else { return };
            state.step_out(self.number, &guest.gates);
            guest.granted.map(|gate| (gate, guest.key))
        };
        if let Some((gate, key)) = late {
            self.slots.release(gate, &key, None);
        }
    }
}
