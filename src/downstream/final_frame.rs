//! The final frame of a failed answer, and whether it has been written: the connection may be closed only then, or the frame would
//! be lost with it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

/// Whether the frame has been written to the socket, or never will be; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    done: bool,
    waker: Option<Waker>,
}

impl Written {
    /// For one task.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.done {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Whoever writes the frame drops it then.
struct FinalFrame {
    bytes: Bytes,
    written: Written,
}

/// The frame as it is to be written, which tells of that.
pub(super) fn final_frame(bytes: Bytes) -> (Bytes, Written) {
    let written = Written::default();
    (Bytes::from_owner(FinalFrame { bytes, written: written.clone() }), written)
}

impl AsRef<[u8]> for FinalFrame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for FinalFrame {
    fn drop(&mut self) {
        let mut state = self.written.0.lock();
        state.done = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}
