//! The side of a record that reads.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::record::{Ended, Record, remember};
use crate::journal::{End, Next};

/// One reader of a record.
#[derive(Debug)]
pub(in crate::journal) struct Reader {
    pub(super) record: Arc<Record>,
    pub(super) seat: u64,
    /// The number of the next frame.
    pub(super) next: u64,
}

impl Reader {
    pub(in crate::journal) fn position(&self) -> u64 {
        self.next - 1
    }

    /// One more frame that has come already, if it has no more bytes than `max` and is not the last word of a stream that failed.
    pub(in crate::journal) fn ready(&mut self, max: usize) -> Option<Bytes> {
        let mut state = self.record.state();
        let state = &mut *state;
        let seat = state.seats.get_mut(self.seat)?;
        let last = self.next == state.frames.last();
        if seat.superseded || seat.slow || last && state.ended.as_ref().is_some_and(|ended| ended.words) {
            return None;
        }
        let frame = state.frames.get(self.next).filter(|frame| frame.len() <= max)?;
        self.next += 1;
        seat.read += frame.len() as u64;
        Some(frame.clone())
    }

    /// How many bytes have come and were not read yet.
    pub(in crate::journal) fn waiting(&self) -> usize {
        let state = self.record.state();
        let read = state.seats.get(self.seat).map_or(u64::MAX, |seat| seat.read);
        usize::try_from(state.frames.ever().saturating_sub(read)).unwrap_or(usize::MAX)
    }

    pub(in crate::journal) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.record.state();
        let state = &mut *state;
        let Some(seat) = state.seats.get_mut(self.seat) else {
            return Poll::Ready(Next::Lost);
        };
        if seat.superseded {
            return Poll::Ready(Next::Superseded);
        }
        if seat.slow || self.next < state.frames.first() {
            return Poll::Ready(Next::Lost); // it resumes, and is told what is still there
        }
        if let Some(frame) = state.frames.get(self.next) {
            self.next += 1;
            seat.read += frame.len() as u64;
            let last = self.next > state.frames.last();
            let failed = state.ended.as_ref().is_some_and(|ended| ended.words);
            let frame = frame.clone();
            return Poll::Ready(if last && failed { Next::LastWords(frame) } else { Next::Frame(frame) });
        }
        match &state.ended {
            Some(Ended { end: End::Done, .. }) => Poll::Ready(Next::Done),
            Some(ended) if ended.is_lost() => Poll::Ready(Next::ProducerLost),
            Some(Ended { end: End::Failed, .. }) => Poll::Ready(Next::Lost),
            None => {
                remember(&mut seat.waker, cx);
                Poll::Pending
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.record.state();
        state.seats.leave(self.seat);
        if state.seats.is_empty() {
            state.left = Some(Instant::now());
            state.wake_writer();
        }
    }
}
