//! The socket of a client, shared between hyper, which reads and writes, and the connection's watch, which looks whether the
//! client is still there: hyper does not while bytes wait behind the request it is at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::server::phase::Phase;

/// What hyper reads and writes.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    phase: Phase,
}

/// What looks on.
#[derive(Debug)]
pub(super) struct Watch(Arc<TcpStream>);

impl Socket {
    /// `phase` is told when bytes come.
    pub(super) fn new(stream: TcpStream, phase: Phase) -> (Self, Watch) {
        let stream = Arc::new(stream);
        (Self { stream: Arc::clone(&stream), phase }, Watch(stream))
    }
}

impl Watch {
    /// Waits until the client has closed its side. Cancel safe.
    pub(super) async fn closed(&self) {
        // Resolves for urgent data and for the end of reading, not for bytes that wait to be read.
        while let Ok(ready) = self.0.ready(Interest::PRIORITY).await {
            if ready.is_read_closed() {
                return;
            }
            std::future::pending::<()>().await; // urgent data means nothing in HTTP
        }
    }

    /// Sends a few bytes if they can be sent at once.
    pub(super) fn say(&self, bytes: &[u8]) {
        drop(self.0.try_write(bytes)); // it was told, or it does not listen
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
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
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(slices) {
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
        Poll::Ready(SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write))
    }
}
