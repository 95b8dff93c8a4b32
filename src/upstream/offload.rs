//! Work whose time grows with a body: done where it stands while the body is small, and off the worker's thread where it is
//! large, so that the streams of the same worker go on meanwhile.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// A piece of work that may take long.
pub type Work = Box<dyn FnOnce() + Send>;

/// From so many bytes on, work leaves the worker: a MiB takes 10 to 90 ms to read and to write anew, so that what stays takes
/// about ten.
pub const INLINE_BYTES: usize = 128 << 10;

/// Runs long work somewhere else; a clone is a handle.
#[derive(Clone)]
pub struct Offload(Arc<dyn Fn(usize, Work) -> BoxFuture<'static, ()> + Send + Sync>);

impl Offload {
    /// `spawn` runs work on so many bytes on another thread, and resolves when it is done. Dropped before the work has begun, it
    /// must not begin.
    pub fn new(spawn: impl Fn(usize, Work) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    /// The result of `work`, which reads or writes about so many bytes. Cancel safe: work that has not begun is given up.
    pub async fn run<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        if bytes < INLINE_BYTES {
            return work();
        }
        let (tell, told) = oneshot::channel();
        (self.0)(bytes, Box::new(move || drop(tell.send(work())))).await; // nobody there: the client has left
        match told.await {
            Ok(done) => done,
            Err(_) => pending().await, // the runtime ends, and with it whoever waits
        }
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offload")
    }
}
