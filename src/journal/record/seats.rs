//! The places of a record's readers.

use std::task::Waker;

use smallvec::SmallVec;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::record::Viewer;

/// The readers of one record, in the order in which they came. Most have one.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: SmallVec<[(u64, Seat); 1]>,
    next: u64,
}

/// The place of one reader.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) waker: Option<Waker>,
    /// Ends the reader's connection, which may hang in a write and be deaf to everything else.
    hangup: CancellationToken,
    pub(super) viewer: Option<Viewer>,
    pub(super) superseded: bool,
    /// It was too slow, and has lost its place.
    pub(super) slow: bool,
    /// Somebody who only waits for something to happen: no reader.
    waits: bool,
    /// Bytes of all frames before the next one, to tell how far it is behind.
    pub(super) read: u64,
    /// Where it read when it was last looked at, and since when it reads no further.
    pub(super) stands: Option<(u64, Instant)>,
}

impl Seats {
    /// Takes a place; gives its number.
    pub(super) fn take(&mut self, seat: Seat) -> u64 {
        let number = self.next;
        self.next += 1;
        self.taken.push((number, seat));
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Seat> {
        let at = self.taken.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.taken.get(at).map(|(_, seat)| seat)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Seat> {
        let at = self.taken.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.taken.get_mut(at).map(|(_, seat)| seat)
    }

    pub(super) fn leave(&mut self, number: u64) {
        if let Ok(at) = self.taken.binary_search_by_key(&number, |(number, _)| *number) {
            self.taken.remove(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.taken.iter().map(|(_, seat)| seat)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.taken.iter_mut().map(|(_, seat)| seat)
    }

    /// How many read.
    pub(super) fn reading(&self) -> usize {
        self.iter().filter(|seat| seat.reads()).count()
    }

    /// There is something to read.
    pub(super) fn wake(&mut self) {
        for seat in self.iter_mut() {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Seat {
    /// A reader's. The connection behind `hangup` is closed when it loses its place and does not notice.
    pub(super) fn reader(read: u64, viewer: Option<Viewer>, hangup: CancellationToken) -> Self {
        let (waker, superseded, slow, waits, stands) = (None, false, false, false, None);
        Self { waker, hangup, viewer, superseded, slow, waits, read, stands }
    }

    /// Somebody's who waits for something to happen.
    pub(super) fn waiting(read: u64) -> Self {
        Self { waits: true, ..Self::reader(read, None, CancellationToken::new()) }
    }

    /// Is it somebody's who reads, and may go on?
    pub(super) fn reads(&self) -> bool {
        !self.superseded && !self.waits
    }

    /// Ends the connection, which is told so if it still listens.
    pub(super) fn close(&mut self) {
        self.hangup.cancel();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
