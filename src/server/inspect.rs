//! What hyper reads and writes: the client's bytes behind TLS, looked at before hyper gets them, and answered here where hyper
//! must not see them at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::server::phase::Phase;
use crate::server::streams::Streams;
use crate::server::strict::{Flood, Found, Requests, Violation};

/// A connection whose bytes are looked at.
#[derive(Debug)]
pub(super) struct Inspected<T> {
    inner: T,
    sight: Sight,
    /// A write that `inner` has taken, and its socket has not.
    taken: usize,
}

#[derive(Debug)]
enum Sight {
    Http1 {
        requests: Requests,
        phase: Phase,
        /// What is wrong with what comes next.
        found: Option<Found>,
        /// What is still to be said about it.
        words: Option<Bytes>,
    },
    Http2 {
        flood: Flood,
        streams: Streams,
    },
}

impl<T> Inspected<T> {
    /// `phase` is told when bytes come, and tells when the client is to be dismissed.
    pub(super) fn http1(inner: T, phase: Phase) -> Self {
        let sight = Sight::Http1 { requests: Requests::default(), phase, found: None, words: None };
        Self { inner, sight, taken: 0 }
    }

    pub(super) fn http2(inner: T, streams: Streams) -> Self {
        Self { inner, sight: Sight::Http2 { flood: Flood::new(Instant::now()), streams }, taken: 0 }
    }
}

/// The last frame of a connection: GOAWAY, with `ENHANCE_YOUR_CALM` (RFC 9113 section 6.8).
const CALM_DOWN: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// An answer to what is no request.
fn words(violation: Violation) -> Bytes {
    let Violation { status, words } = violation;
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let body = format!(
        "{{\"error\":{{\"message\":\"{words}\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_request\"}}}}"
    );
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reason.unwrap_or_default(),
        body.len()
    );
    (head + &body).into()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the request is broken")
}

impl<T: AsyncRead + AsyncWrite + Unpin> Inspected<T> {
    /// Says goodbye, unless there is an answer under way; always ends in an error for hyper.
    fn poll_dismissal(&mut self, cx: &mut Context<'_>, violation: Violation) -> Poll<io::Error> {
        let Sight::Http1 { phase, words: said, .. } = &mut self.sight else {
            return Poll::Ready(broken());
        };
        ready!(phase.poll_unoccupied(cx));
        let left = said.get_or_insert_with(|| words(violation));
        while left.has_remaining() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, left)) {
                Ok(written @ 1..) => left.advance(written),
                Ok(0) | Err(_) => return Poll::Ready(broken()), // it does not listen
            }
        }
        drop(ready!(Pin::new(&mut self.inner).poll_shutdown(cx))); // it was told, or it does not listen
        Poll::Ready(broken())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Inspected<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match &mut this.sight {
            Sight::Http1 { found: Some(Found { midway: true, .. }), .. } => {
                return Poll::Ready(Err(broken()));
            }
            Sight::Http1 { found: Some(Found { violation, .. }), .. } => {
                let violation = *violation;
                return this.poll_dismissal(cx, violation).map(Err);
            }
            Sight::Http1 { phase, .. } => {
                if let Some(violation) = phase.dismissed() {
                    return this.poll_dismissal(cx, violation).map(Err);
                }
            }
            Sight::Http2 { .. } => {}
        }
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match &mut this.sight {
            Sight::Http1 { requests, phase, found, .. } => {
                if phase.is_upgraded() {
                    return Poll::Ready(Ok(()));
                }
                let looked = requests.look(bytes);
                // What comes of a body behind its answer is no head.
                if requests.is_in_head() {
                    phase.bytes_came();
                }
                let Err(wrong) = looked else { return Poll::Ready(Ok(())) };
                tracing::debug!(why = wrong.violation.words, "a request is refused");
                phase.breaks();
                *found = Some(wrong);
                buffer.set_filled(before + wrong.pass);
                if wrong.pass > 0 { Poll::Ready(Ok(())) } else { Pin::new(this).poll_read(cx, buffer) }
            }
            Sight::Http2 { flood, streams } => {
                let too_much = flood.look(bytes, Instant::now());
                streams.head_open(flood.head_since());
                if !too_much {
                    return Poll::Ready(Ok(()));
                }
                buffer.set_filled(before);
                streams.floods();
                // It hears why, if it listens.
                if Pin::new(&mut this.inner).poll_write(cx, &CALM_DOWN).is_ready() {
                    drop(Pin::new(&mut this.inner).poll_flush(cx));
                }
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many control frames")))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Inspected<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    /// A write is done when the socket has taken it. TLS keeps a copy of what it has not, and that would be lost with an answer
    /// that breaks off. Who was told to wait comes back with the same bytes in front.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.taken == 0 {
            this.taken = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, slices))?;
        }
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut this.taken)))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
