//! The body of a stream: frames as they come out of the journal, a keep-alive when the client has seen nothing for a while, and
//! an end that says how the answer ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use crate::journal::{Next, Reader};
use crate::telemetry::Access;

/// The answer failed: hyper closes the connection without the last chunk, and every client sees that something is missing.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub struct BrokenOff;

/// A stream on its way to one client.
#[derive(Debug)]
pub struct StreamBody {
    reader: Reader,
    access: Access,
    /// What is written when the client has seen nothing for a while.
    filler: &'static [u8],
    keep_alive: Duration,
    last_write: Instant,
    sleep: Pin<Box<Sleep>>,
    /// The timer knows this task.
    armed: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A keep-alive goes out with the head, for there is no content yet.
    Early,
    Running,
    /// The last words of a failed answer are on their way.
    Failing(Arc<Mutex<Written>>),
    Ended,
}

/// Has the last frame been written to the socket?
#[derive(Debug, Default)]
struct Written {
    done: bool,
    waker: Option<Waker>,
}

/// The last words of a failed answer. They are dropped when they have been written (or never will be), and only then may the
/// connection be closed: earlier, and they would be lost with it.
struct LastWords {
    bytes: Bytes,
    written: Arc<Mutex<Written>>,
}

impl AsRef<[u8]> for LastWords {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let mut written = self.written.lock();
        written.done = true;
        if let Some(waker) = written.waker.take() {
            waker.wake();
        }
    }
}

/// How long a client that does not read may hold up the last words.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl StreamBody {
    /// `early`: the head goes out before there is content.
    pub fn new(
        reader: Reader,
        access: Access,
        filler: &'static [u8],
        keep_alive: Duration,
        early: bool,
    ) -> Self {
        let state = if early { State::Early } else { State::Running };
        Self {
            reader,
            access,
            filler,
            keep_alive,
            last_write: Instant::now(),
            sleep: Box::pin(sleep(keep_alive)),
            armed: false,
            state,
        }
    }

    fn write(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.last_write = Instant::now();
        self.access.metrics().bytes_out(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn write_keep_alive(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.access.metrics().keep_alive();
        self.write(Bytes::from_static(self.filler))
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.reader.poll_next(cx) {
            Poll::Ready(Next::Frame(frame)) => self.write(frame),
            Poll::Ready(Next::LastWords(bytes)) => {
                let written = Arc::new(Mutex::new(Written::default()));
                self.state = State::Failing(Arc::clone(&written));
                self.sleep.as_mut().reset(Instant::now() + LAST_WORDS);
                self.write(Bytes::from_owner(LastWords { bytes, written }))
            }
            Poll::Ready(Next::Done) => {
                self.state = State::Ended;
                Poll::Ready(None)
            }
            Poll::Ready(Next::Lost) => {
                self.state = State::Ended;
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        // Armed and not elapsed: it wakes this task by itself, and need not be asked with every event.
        if self.armed && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let due = self.last_write + self.keep_alive;
            if Instant::now() >= due {
                self.sleep.as_mut().reset(Instant::now() + self.keep_alive);
                self.armed = false;
                return self.write_keep_alive();
            }
            self.sleep.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn poll_failing(
        &mut self,
        written: &Mutex<Written>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut written = written.lock();
        if written.done || self.sleep.as_mut().poll(cx).is_ready() {
            self.state = State::Ended;
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        written.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &self.state {
            State::Early => {
                self.state = State::Running;
                self.write_keep_alive()
            }
            State::Running => self.poll_running(cx),
            State::Failing(written) => {
                let written = Arc::clone(written);
                self.poll_failing(&written, cx)
            }
            State::Ended => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        false // the end must be read: it says whether the answer is complete
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
