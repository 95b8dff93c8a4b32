//! Somebody who listens to the board: a queue with a bound, and what happens when it is full.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::json;

use crate::telemetry::board::{Board, Interest};

/// How many messages may wait for one listener. All listeners share their text.
const QUEUE: usize = 256;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Listener {
    board: Board,
    number: u64,
}

/// What waits for a listener.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) interest: Interest,
    waiting: VecDeque<Arc<str>>,
    /// So many messages found no room.
    missed: u64,
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(interest: Interest, first: Arc<str>) -> Self {
        Self { interest, waiting: VecDeque::from([first]), missed: 0, waker: None }
    }

    /// Nothing is queued behind a gap: the listener is told of the gap first, and how things stand behind it.
    pub(super) fn push(&mut self, message: &Arc<str>) {
        if self.missed > 0 || self.waiting.len() >= QUEUE {
            self.missed += 1;
        } else {
            self.waiting.push_back(Arc::clone(message));
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Listener {
    pub(super) fn new(board: Board, number: u64) -> Self {
        Self { board, number }
    }

    /// The next message. Cancel safe.
    pub async fn next(&mut self) -> Arc<str> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Arc<str>> {
        let mut state = self.board.0.lock();
        let Some(queue) = state.listeners.get_mut(&self.number) else {
            return Poll::Pending; // it is there for as long as this is
        };
        if let Some(message) = queue.waiting.pop_front() {
            return Poll::Ready(message);
        }
        if queue.missed == 0 {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let lagged = json!({ "missed": std::mem::take(&mut queue.missed), "type": "Lagged" });
        let interest = queue.interest.clone();
        let snapshot = state.snapshot(&interest);
        if let Some(queue) = state.listeners.get_mut(&self.number) {
            queue.waiting.push_back(snapshot);
        }
        Poll::Ready(lagged.to_string().into())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.board.0.lock();
        if let Some(queue) = state.listeners.remove(&self.number) {
            state.shares.0.give_back(queue.interest.owner.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn next(listener: &mut Listener) -> Option<String> {
        listener.next().now_or_never().map(|message| message.to_string())
    }

    #[test]
    fn how_things_stand_comes_first_and_then_the_changes() {
        let board = Board::new(["one".to_owned()].into_iter());
        let mut listener = board.listen(Interest::all(None)).unwrap();
        board.backend("one", true);
        board.backend("one", true); // no change
        let snapshot = "{\"backends\":[{\"name\":\"one\",\"state\":\"unknown\"}],\"downloads\":[],\"streams\":[],\"type\":\"Snapshot\"}";
        assert_eq!(next(&mut listener).unwrap(), snapshot);
        let up = "{\"backend\":{\"name\":\"one\",\"state\":\"up\"},\"type\":\"BackendUp\"}";
        assert_eq!(next(&mut listener).unwrap(), up);
        assert_eq!(next(&mut listener), None);
    }

    #[test]
    fn who_cannot_keep_up_is_told_how_many_it_missed_and_how_things_stand() {
        let board = Board::new(["one".to_owned()].into_iter());
        let mut listener = board.listen(Interest::all(None)).unwrap();
        for turn in 0..QUEUE + 9 {
            board.backend("one", turn % 2 == 0);
        }
        let heard: Vec<String> = std::iter::from_fn(|| next(&mut listener)).collect();
        assert_eq!(heard.len(), QUEUE + 2);
        assert_eq!(heard[QUEUE], "{\"missed\":10,\"type\":\"Lagged\"}"); // the first snapshot took a place
        assert!(heard[QUEUE + 1].contains("\"state\":\"up\""), "{}", heard[QUEUE + 1]);
        board.backend("one", false);
        assert!(next(&mut listener).unwrap().contains("BackendDown"));
    }

    #[test]
    fn who_is_not_interested_is_not_told() {
        let board = Board::new(["one".to_owned()].into_iter());
        let interest = Interest { backends: false, ..Interest::all(None) };
        let mut listener = board.listen(interest).unwrap();
        board.backend("one", true);
        assert_eq!(next(&mut listener).unwrap(), "{\"downloads\":[],\"streams\":[],\"type\":\"Snapshot\"}");
        assert_eq!(next(&mut listener), None);
        drop(listener);
        assert!(board.0.lock().listeners.is_empty());
    }
}
