//! The socket of a client, shared between hyper, which reads and writes, and the connection's watch, which looks whether the
//! client is still there: hyper does not while bytes wait behind the request it is at.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::server::Held;
use crate::server::phase::Phase;

/// What hyper reads and writes.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    phase: Phase,
    /// A WebSocket outlives the HTTP that was spoken before it, and counts for as long.
    _held: Held,
}

/// What looks on.
#[derive(Debug)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// hyper has looked for bytes in vain, and will be woken by more of them or by their end.
    looked: AtomicBool,
}

impl Socket {
    /// `phase` is told when bytes come; `held` is kept while the socket is.
    pub(super) fn new(stream: TcpStream, phase: Phase, held: Held) -> (Self, Watch) {
        let shared = Arc::new(Shared { stream, looked: AtomicBool::new(false) });
        (Self { shared: Arc::clone(&shared), phase, _held: held }, Watch(shared))
    }
}

impl Watch {
    /// Waits until the client has closed its side while a request is served and hyper does not look. To be polled by the
    /// connection's task behind the connection itself. Cancel safe.
    pub(super) async fn closed(&self, phase: &Phase) {
        // Resolves for urgent data and for the end of reading, not for bytes that wait to be read.
        let mut told = pin!(self.0.stream.ready(Interest::PRIORITY));
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

    /// Sends a few bytes if they can be sent at once.
    pub(super) fn say(&self, bytes: &[u8]) {
        drop(self.0.stream.try_write(bytes)); // it was told, or it does not listen
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let ready = self.shared.stream.poll_read_ready(cx);
            // Only a look that found nothing leaves a waker behind: one that found bytes is the last until they are used.
            self.shared.looked.store(ready.is_pending(), Ordering::Relaxed);
            ready!(ready)?;
            match self.shared.stream.try_read_buf(buffer) {
                Ok(read) => {
                    if read > 0 {
                        self.phase.bytes_came();
                    }
                    return Poll::Ready(Ok(()));
                }
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
            ready!(self.shared.stream.poll_write_ready(cx))?;
            match self.shared.stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
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
        Poll::Ready(SockRef::from(&self.shared.stream).shutdown(std::net::Shutdown::Write))
    }
}
