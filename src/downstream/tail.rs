//! The last bytes that came from the client of a WebSocket, to know its Close behind what cannot be read as frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose last bytes are remembered.
#[derive(Debug)]
pub(super) struct Tail<I> {
    inner: I,
    last: Vec<u8>,
}

/// A client's Close: two bytes, the mask, and a payload of at most 125 (RFC 6455 section 5.2 and 5.5).
const HEAD: usize = 6;
const PAYLOAD: usize = 125;
/// The first byte of a Close that is whole, and the bit of the second that says that there is a mask.
const CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;

impl<I> Tail<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner, last: Vec::with_capacity(2 * (HEAD + PAYLOAD)) }
    }

    /// Is the last that came a Close?
    pub(super) fn ends_with_close(&self) -> bool {
        (0..=PAYLOAD).any(|length| {
            let start = self.last.len().checked_sub(HEAD + length);
            let frame = start.and_then(|start| self.last.get(start..)).unwrap_or_default();
            matches!(frame, [CLOSE, second, ..] if usize::from(second ^ MASKED) == length)
        })
    }

    fn remember(&mut self, bytes: &[u8]) {
        const MOST: usize = HEAD + PAYLOAD;
        self.last.extend_from_slice(bytes.get(bytes.len().saturating_sub(MOST)..).unwrap_or_default());
        self.last.drain(..self.last.len().saturating_sub(MOST));
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Tail<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.remember(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Tail<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(pieces: &[&[u8]]) -> Tail<()> {
        let mut tail = Tail::new(());
        for piece in pieces {
            tail.remember(piece);
        }
        tail
    }

    #[test]
    fn a_close_is_known_at_the_end_however_it_came() {
        let long = [&[CLOSE, MASKED | 0x7d, 1, 2, 3, 4][..], &[9; 125]].concat();
        for pieces in [
            &[&[CLOSE, MASKED, 1, 2, 3, 4][..]][..],
            &[&[CLOSE, MASKED | 2], &[1, 2, 3, 4, 5, 6]],
            &[&[0xf1; 4000], &[CLOSE, MASKED | 2, 1, 2, 3, 4, 5], &[6]],
            &[&[0xf1; 300], &long],
        ] {
            assert!(tail(pieces).ends_with_close(), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_close_or_not_all_of_one_is_none() {
        for pieces in [
            &[][..],
            &[&[CLOSE, MASKED | 2, 1, 2, 3, 4, 5][..]],
            &[&[CLOSE, 2, 1, 2, 3, 4, 5, 6]],
            &[&[0x81, MASKED | 2, 1, 2, 3, 4, 5, 6]],
            &[&[CLOSE, MASKED, 1, 2, 3, 4], &[7; 200]],
        ] {
            assert!(!tail(pieces).ends_with_close(), "{pieces:?}");
        }
    }
}
