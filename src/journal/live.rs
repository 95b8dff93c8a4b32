//! A stream that is not recorded: one reader, and frames are forgotten as they are read. A reader that falls behind holds up
//! the writer, and with it the backend; a reader that goes away is known to the writer at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::journal::{Backlog, End, Next};

/// Opens a stream. `bound` is how many bytes may wait for the reader before the writer is held up.
pub(super) fn open(bound: usize) -> (Writer, Reader) {
    let shared = Arc::new(Mutex::new(State {
        frames: VecDeque::new(),
        bytes: 0,
        bound,
        end: None,
        read: true,
        reader: None,
        writer: None,
    }));
    (Writer { shared: Arc::clone(&shared) }, Reader { shared })
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    bound: usize,
    end: Option<End>,
    read: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The side that appends. Dropping it without an end breaks the stream off.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Mutex<State>>,
}

/// The side that reads. Dropping it abandons the stream.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Mutex<State>>,
}

impl Writer {
    /// Adds frames, and wakes the reader once.
    pub(super) fn append(&self, frames: impl IntoIterator<Item = Bytes>) -> Backlog {
        let mut state = self.shared.lock();
        state.push(frames);
        state.wake_reader();
        match (state.read, state.bytes < state.bound) {
            (false, _) => Backlog::Abandoned,
            (true, true) => Backlog::Room,
            (true, false) => Backlog::Full,
        }
    }

    /// Ends the stream, with its last words if it failed.
    pub(super) fn end(&self, frame: Option<Bytes>, end: End) {
        let mut state = self.shared.lock();
        state.push(frame);
        state.end = Some(end);
        state.wake_reader();
    }

    /// Waits until fewer than the bound's bytes wait for the reader, or it is gone. Cancel safe.
    pub(super) async fn room(&self) {
        poll_fn(|cx| self.poll(cx, |state| !state.read || state.bytes < state.bound)).await;
    }

    /// Waits until nobody reads any more. Cancel safe.
    pub(super) async fn abandoned(&self) {
        poll_fn(|cx| self.poll(cx, |state| !state.read)).await;
    }

    fn poll(&self, cx: &Context<'_>, ready: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.shared.lock();
        if ready(&state) {
            return Poll::Ready(());
        }
        remember(&mut state.writer, cx);
        Poll::Pending
    }
}

impl Reader {
    /// The next frame or the end. Cancel safe.
    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.shared.lock();
        if let Some(frame) = state.pop() {
            let last = state.frames.is_empty() && state.end == Some(End::Failed);
            return Poll::Ready(if last { Next::LastWords(frame) } else { Next::Frame(frame) });
        }
        match state.end {
            Some(End::Done) => Poll::Ready(Next::Done),
            Some(End::Failed) => Poll::Ready(Next::Lost),
            None => {
                remember(&mut state.reader, cx);
                Poll::Pending
            }
        }
    }
}

impl Reader {
    /// One more frame that has come already, if it has no more bytes than `max` and is not the last word of a stream that failed.
    pub(super) fn ready(&mut self, max: usize) -> Option<Bytes> {
        let mut state = self.shared.lock();
        let last = state.frames.len() == 1 && state.end == Some(End::Failed);
        if last || state.frames.front().is_none_or(|frame| frame.len() > max) {
            return None;
        }
        state.pop()
    }

    /// How many bytes have come and were not read yet.
    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().bytes
    }
}

impl State {
    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        let was_full = self.bytes >= self.bound;
        self.bytes -= frame.len();
        if was_full && self.bytes < self.bound {
            self.wake_writer();
        }
        Some(frame)
    }

    /// What nobody reads is not kept.
    fn push(&mut self, frames: impl IntoIterator<Item = Bytes>) {
        for frame in frames {
            if self.read {
                self.bytes += frame.len();
                self.frames.push_back(frame);
            }
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.end.is_none() {
            state.end = Some(End::Failed);
            state.wake_reader();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.read = false;
        state.frames.clear();
        state.wake_writer();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn next(reader: &mut Reader) -> Option<Next> {
        let cx = Context::from_waker(Waker::noop());
        match reader.poll_next(&cx) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    #[test]
    fn frames_come_in_order_and_then_the_end() {
        let (writer, mut reader) = open(100);
        assert_eq!(next(&mut reader), None);
        writer.append([Bytes::from("a"), Bytes::from("b")]);
        writer.end(None, End::Done);
        assert_eq!(next(&mut reader), Some(Next::Frame(Bytes::from("a"))));
        assert_eq!(next(&mut reader), Some(Next::Frame(Bytes::from("b"))));
        assert_eq!(next(&mut reader), Some(Next::Done));
    }

    #[test]
    fn a_failed_stream_says_which_words_are_its_last() {
        let (writer, mut reader) = open(100);
        writer.append([Bytes::from("a")]);
        writer.end(Some(Bytes::from("error")), End::Failed);
        assert_eq!(next(&mut reader), Some(Next::Frame(Bytes::from("a"))));
        assert_eq!(next(&mut reader), Some(Next::LastWords(Bytes::from("error"))));
        assert_eq!(next(&mut reader), Some(Next::Lost));
    }

    #[test]
    fn what_has_come_already_can_be_taken_at_once_but_for_last_words() {
        let (writer, mut reader) = open(100);
        writer.append(["a", "bb", "ccc"].map(Bytes::from));
        assert_eq!(next(&mut reader), Some(Next::Frame(Bytes::from("a"))));
        assert_eq!(reader.waiting(), 5);
        assert_eq!(reader.ready(1), None, "it is larger than there is room for");
        assert_eq!(reader.ready(2), Some(Bytes::from("bb")));
        writer.end(Some(Bytes::from("error")), End::Failed);
        assert_eq!(reader.ready(9), Some(Bytes::from("ccc")));
        assert_eq!(reader.ready(9), None);
        assert_eq!(next(&mut reader), Some(Next::LastWords(Bytes::from("error"))));
    }

    #[test]
    fn a_writer_that_is_dropped_loses_the_stream() {
        let (writer, mut reader) = open(100);
        drop(writer);
        assert_eq!(next(&mut reader), Some(Next::Lost));
    }

    #[test]
    fn a_reader_that_falls_behind_holds_up_the_writer() {
        let (writer, mut reader) = open(3);
        assert!(writer.room().now_or_never().is_some());
        writer.append([Bytes::from("ab"), Bytes::from("cd")]);
        assert!(writer.room().now_or_never().is_none());
        next(&mut reader);
        assert!(writer.room().now_or_never().is_some());
    }

    #[test]
    fn a_reader_that_is_dropped_abandons_the_stream() {
        let (writer, reader) = open(3);
        writer.append([Bytes::from("abcd")]);
        assert!(writer.abandoned().now_or_never().is_none());
        drop(reader);
        assert!(writer.abandoned().now_or_never().is_some());
        assert!(writer.room().now_or_never().is_some());
    }
}
