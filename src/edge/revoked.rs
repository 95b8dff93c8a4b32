//! Keys that are taken back: what runs under one is told, and ends.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio_util::sync::CancellationToken;

/// Is a key still good? A clone is a handle. Streams look at it with every event, so a look must not take a lock that all of
/// them share.
#[derive(Clone, Debug, Default)]
pub(super) struct Validity {
    revoked: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Validity {
    /// The key is good no more.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Waits until the key is taken back. To be polled by one task.
    pub(super) async fn revoked(&self) {
        let mut told = pin!(self.token.cancelled());
        let mut waits = false;
        poll_fn(|cx| {
            if self.revoked.load(Ordering::Acquire) {
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
