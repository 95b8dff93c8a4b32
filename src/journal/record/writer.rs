//! The side of a record that appends.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::journal::Backlog;
use crate::journal::record::{Ended, Gone, Record, remember};

/// The side of a record that appends.
#[derive(Debug)]
pub(in crate::journal) struct Writer(Arc<Record>);

impl Writer {
    pub(in crate::journal) fn new(record: Arc<Record>) -> Self {
        Self(record)
    }

    pub(in crate::journal) fn append(&self, frames: impl IntoIterator<Item = Bytes>) -> Backlog {
        let mut state = self.0.state();
        if state.ended.is_none() {
            self.0.push(&mut state, frames);
            state.seats.wake();
            self.0.changed_here();
        }
        if state.gone.is_some() { Backlog::Abandoned } else { Backlog::Room }
    }

    pub(in crate::journal) fn tokens(&self, input: u64, output: u64) {
        self.0.state().tokens = Some((input, output));
    }

    pub(in crate::journal) fn end(&self, frame: Option<Bytes>, ended: Ended) {
        let mut state = self.0.state();
        if state.ended.is_none() {
            self.0.push(&mut state, frame);
            self.0.finish(&mut state, ended);
            self.0.changed_here();
        }
    }

    /// Nobody came until then: the stream stops, and answers nobody who comes now. False if somebody came after all.
    fn give_up(&self, until: Instant) -> bool {
        let mut state = self.0.state();
        let over = match (state.left, self.0.meta.linger) {
            (Some(left), Some(linger)) => left.checked_add(linger).is_some_and(|over| over <= until),
            _ => false,
        };
        if over {
            state.gone.get_or_insert(Gone::Left);
        }
        over
    }

    /// Cancel safe.
    pub(in crate::journal) async fn abandoned(&self) -> Gone {
        loop {
            let mut until = None;
            let look = poll_fn(|cx| {
                let mut state = self.0.state();
                if let Some(why) = state.gone {
                    return Poll::Ready(Some(why));
                }
                remember(&mut state.writer, cx);
                let left = state.left.max(state.read_elsewhere.filter(|_| state.left.is_some()));
                until = left.zip(self.0.meta.linger).and_then(|(left, linger)| left.checked_add(linger));
                if until.is_some() { Poll::Ready(None) } else { Poll::Pending }
            });
            if let Some(why) = look.await {
                return why;
            }
            let Some(until) = until else { continue };
            if Instant::now() >= until {
                if self.give_up(until) {
                    return Gone::Left;
                }
                continue;
            }
            // Somebody who comes does not wake this: it looks again when the time is over.
            let mut asked = pin!(sleep_until(until));
            let why = poll_fn(|cx| {
                let mut state = self.0.state();
                if let Some(why) = state.gone {
                    return Poll::Ready(Some(why));
                }
                remember(&mut state.writer, cx);
                drop(state);
                asked.as_mut().poll(cx).map(|()| None)
            });
            if let Some(why) = why.await {
                return why;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(None, Ended::failed("internal", false));
    }
}
