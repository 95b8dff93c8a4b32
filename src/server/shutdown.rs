//! The two steps of the end: draining (no new work), and drained (no more time for the old).

use tokio_util::sync::CancellationToken;

/// Told to everything that runs; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    drained: CancellationToken,
}

impl Shutdown {
    /// No more new work.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// The time for the old work is over.
    pub fn end(&self) {
        self.drained.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until no more new work is taken. Cancel safe.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until the time for old work is over. Cancel safe.
    pub async fn drained(&self) {
        self.drained.cancelled().await;
    }

    /// A token of its own for one stream, so that ten thousand of them do not wait on one lock.
    pub fn stream_token(&self) -> CancellationToken {
        self.drained.child_token()
    }
}
