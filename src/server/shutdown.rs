//! The two steps of the end: draining (no new work), and drained (no more time for the old).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio_util::sync::CancellationToken;

/// Told to everything that runs; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: Step,
    drained: Step,
}

impl Shutdown {
    /// No more new work.
    pub fn drain(&self) {
        self.draining.take();
    }

    /// The time for the old work is over.
    pub fn end(&self) {
        self.drained.take();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.taken.load(Ordering::Acquire)
    }

    /// Waits until no more new work is taken. Cancel safe; to be polled by one task.
    pub async fn draining(&self) {
        self.draining.wait().await;
    }

    /// Waits until the time for old work is over. Cancel safe; to be polled by one task.
    pub async fn drained(&self) {
        self.drained.wait().await;
    }
}

/// One step. Connections and relays wait for it beside their work and look at it with every event, so a look must not take a
/// lock that all of them share.
#[derive(Clone, Debug, Default)]
struct Step {
    taken: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Step {
    fn take(&self) {
        self.taken.store(true, Ordering::Release);
        self.token.cancel();
    }

    async fn wait(&self) {
        let mut told = pin!(self.token.cancelled());
        let mut waits = false;
        poll_fn(|cx| {
            if self.taken.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if std::mem::replace(&mut waits, true) {
                return Poll::Pending; // the task is on the token's list already
            }
            told.as_mut().poll(cx)
        })
        .await;
    }
}
