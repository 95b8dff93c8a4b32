//! The socket of a client, shared between those who speak on it and the connection's watch, which looks whether the client is
//! still there, and takes what it is sent: hyper does not look while bytes wait behind the request it is at.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::Held;
use crate::server::phase::Phase;
use crate::server::transport::Transport;

/// What is read and written.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    /// Was read too early, and is to be read again.
    unread: BytesMut,
    /// A WebSocket outlives the HTTP that was spoken before it, and counts for as long.
    held: Option<Held>,
}

/// What looks on.
#[derive(Debug)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    transport: Transport,
    /// Who reads has looked for bytes in vain, and will be woken by more of them or by their end.
    looked: AtomicBool,
    /// Since when the client has taken nothing of what waits for it.
    stuck: Mutex<Option<Instant>>,
}

/// How long, and how much, a client whose connection ends may still send: with bytes unread, the kernel would tell it of a reset
/// before it has read our last words.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

impl Socket {
    pub(super) fn new(transport: Transport) -> (Self, Watch) {
        let shared = Arc::new(Shared { transport, looked: AtomicBool::new(false), stuck: Mutex::default() });
        (Self { shared: Arc::clone(&shared), unread: BytesMut::new(), held: None }, Watch(shared))
    }

    /// Keeps this for as long as the socket.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// These bytes are to be read again, before all others.
    pub(super) fn put_back(&mut self, bytes: BytesMut) {
        self.unread = bytes;
    }
}

impl Watch {
    /// Waits until the client has closed its side while a request is served and nobody looks. To be polled by the connection's
    /// task behind the connection itself. Cancel safe.
    pub(super) async fn closed(&self, phase: &Phase) {
        // Resolves for urgent data and for the end of reading, not for bytes that wait to be read.
        let mut told = pin!(self.0.transport.ready(Interest::PRIORITY));
        let mut useless = false;
        poll_fn(|cx| {
            if useless || self.0.looked.swap(false, Ordering::Relaxed) || !phase.is_busy() {
                return Poll::Pending;
            }
            match ready!(told.as_mut().poll(cx)) {
                Ok(ready) if ready.is_read_closed() => Poll::Ready(()),
                // Urgent data means nothing in HTTP: from here on hyper alone will notice.
                Ok(_) | Err(_) => {
                    useless = true;
                    Poll::Pending
                }
            }
        })
        .await;
    }

    /// Waits until the client has taken nothing for so long, though there was something to take. To be polled by the connection's
    /// task behind the connection itself. Cancel safe.
    pub(super) async fn stuck(&self, limit: Duration) {
        let mut sleep = None;
        let mut seen = None;
        poll_fn(|cx| {
            let Some(since) = *self.0.stuck.lock() else { return Poll::Pending };
            let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(since + limit)));
            if seen.replace(since) != Some(since) {
                sleep.as_mut().reset(since + limit);
            }
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    /// Ends the connection with a reset: what it carried is not whole.
    pub(super) fn reset(&self) {
        if let Err(error) = self.0.transport.reset() {
            tracing::debug!(%error, "no reset");
        }
    }

    /// Ends our side, and reads over what the client still sends, for a moment.
    pub(super) async fn linger(&self) {
        if self.0.transport.end().is_err() {
            return; // it is closed
        }
        let reading = async {
            let mut left = LINGER_BYTES;
            let mut buffer = BytesMut::with_capacity(8192);
            while left > 0 && poll_fn(|cx| self.0.transport.poll_read_ready(cx)).await.is_ok() {
                buffer.clear();
                match self.0.transport.try_read_buf(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => left = left.saturating_sub(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        drop(timeout(LINGER, reading).await); // it had its time
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(self.unread.get(..count).unwrap_or_default());
            self.unread.advance(count);
            return Poll::Ready(Ok(()));
        }
        loop {
            let ready = self.shared.transport.poll_read_ready(cx);
            // Only a look that found nothing leaves a waker behind: one that found bytes is the last until they are used.
            self.shared.looked.store(ready.is_pending(), Ordering::Relaxed);
            ready!(ready)?;
            match self.shared.transport.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = self.shared.transport.poll_write_ready(cx);
            if ready.is_pending() {
                self.shared.stuck.lock().get_or_insert_with(Instant::now);
            }
            ready!(ready)?;
            match self.shared.transport.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    *self.shared.stuck.lock() = None;
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shared.transport.end())
    }
}
