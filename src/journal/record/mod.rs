//! A recorded stream: its frames are numbered from 1 and kept, so that any number of readers can read it from any frame on,
//! while it runs and for a while afterwards.

mod meta;
mod reader;
mod writer;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::shelf::Limits;
use crate::journal::{End, Reader as AnyReader, ReaderKind};

pub use meta::{Ended, Gone, Meta, Status, Trimmed, Viewer};
pub(super) use reader::Reader;
pub(super) use writer::Writer;

/// One recorded stream.
pub struct Record {
    meta: Meta,
    /// How much of this stream is kept, in bytes.
    max_bytes: usize,
    max_readers: usize,
    /// How much is kept of all streams.
    total: Arc<AtomicUsize>,
    state: Mutex<State>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("meta", &self.meta).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Bytes>,
    /// The number of the first frame in `frames`.
    first: u64,
    bytes: usize,
    /// Bytes of all frames there ever were, to tell how far a reader is behind.
    appended: u64,
    ended: Option<Ended>,
    gone: Option<Gone>,
    readers: BTreeMap<u64, Seat>,
    next_seat: u64,
    /// Since when nobody reads.
    left: Option<Instant>,
    writer: Option<Waker>,
    viewers: Viewers,
}

/// The place of one reader.
#[derive(Debug)]
struct Seat {
    waker: Option<Waker>,
    /// Ends the reader's connection, which may hang in a write and be deaf to everything else.
    hangup: CancellationToken,
    viewer: Option<String>,
    superseded: bool,
    /// It has seen all there was: from then on it is behind only if it is slow.
    caught_up: bool,
    /// `State::appended` where it reads.
    read: u64,
}

/// Who reads under a name, and who may not any more.
#[derive(Debug, Default)]
struct Viewers {
    current: Option<String>,
    superseded: HashSet<String>,
}

/// How far a reader that had seen all there was may fall behind before it is dropped, in bytes. It can resume.
const BEHIND: u64 = 256 << 10;
/// How many superseded viewers are remembered.
const SUPERSEDED: usize = 1024;

impl Record {
    pub(super) fn new(meta: Meta, limits: Limits, total: Arc<AtomicUsize>) -> Self {
        let state = State {
            frames: VecDeque::new(),
            first: 1,
            bytes: 0,
            appended: 0,
            ended: None,
            gone: None,
            readers: BTreeMap::new(),
            next_seat: 0,
            left: Some(Instant::now()),
            writer: None,
            viewers: Viewers::default(),
        };
        let kept = meta.label.len();
        total.fetch_add(kept, Ordering::Relaxed);
        Self {
            max_bytes: limits.stream_bytes,
            max_readers: limits.readers,
            meta,
            total,
            state: Mutex::new(state),
        }
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn status(&self) -> Status {
        let state = self.state.lock();
        Status {
            first: state.first,
            last: state.last(),
            bytes: state.bytes,
            readers: state.readers.len(),
            ended: state.ended.clone(),
        }
    }

    /// Does it still run?
    pub fn is_running(&self) -> bool {
        self.state.lock().ended.is_none()
    }

    /// Does it answer a request that is repeated? One that was cancelled or failed does not: it is done anew.
    pub(super) fn answers(&self) -> bool {
        let state = self.state.lock();
        state.gone.is_none() && state.ended.as_ref().is_none_or(|ended| ended.end == End::Done)
    }

    /// All frames that are kept, the oldest first.
    pub fn frames(&self) -> Vec<Bytes> {
        self.state.lock().frames.iter().cloned().collect()
    }

    /// Reads what follows frame `after`. The connection behind `hangup` is closed when the reader loses its place and does not
    /// notice.
    pub fn read(
        self: &Arc<Self>,
        after: u64,
        viewer: Option<Viewer>,
        hangup: CancellationToken,
    ) -> Result<AnyReader, Trimmed> {
        let mut state = self.state.lock();
        if let Some(viewer) = &viewer
            && !state.admit(viewer)
        {
            return Err(Trimmed::Superseded);
        }
        if after.saturating_add(1) < state.first {
            return Err(Trimmed::Earlier { earliest: state.first });
        }
        if state.readers.values().filter(|seat| !seat.superseded).count() >= self.max_readers {
            return Err(Trimmed::Full);
        }
        let viewer = viewer.map(|viewer| viewer.id);
        let reader = self.sit(&mut state, after, viewer, hangup);
        Ok(AnyReader(ReaderKind::Recorded(reader)))
    }

    fn sit(
        self: &Arc<Self>,
        state: &mut State,
        after: u64,
        viewer: Option<String>,
        hangup: CancellationToken,
    ) -> Reader {
        let next = after.min(state.last()) + 1;
        let unread = state.frames.iter().skip(index(next, state.first)).map(|frame| frame.len() as u64);
        let read = state.appended - unread.sum::<u64>();
        let seat = state.next_seat;
        state.next_seat += 1;
        state.left = None;
        let place = Seat { waker: None, hangup, viewer, superseded: false, caught_up: false, read };
        state.readers.insert(seat, place);
        Reader { record: Arc::clone(self), seat, next }
    }

    /// Somebody looked at the stream without reading it along: it is not abandoned yet.
    pub fn touch(&self) {
        let mut state = self.state.lock();
        if state.left.is_some() {
            state.left = Some(Instant::now());
        }
    }

    /// Asks the writer to stop. Does nothing to a stream that has ended.
    pub fn cancel(&self, why: Gone) {
        let mut state = self.state.lock();
        if state.ended.is_none() && state.gone.is_none() {
            state.gone = Some(why);
            state.wake_writer();
        }
    }

    /// Waits until the stream has ended or gone beyond frame `after`. Cancel safe.
    pub async fn changed(self: &Arc<Self>, after: u64) {
        // A seat of its own: it counts as somebody who listens.
        let mut reader = self.sit(&mut self.state.lock(), after, None, CancellationToken::new());
        poll_fn(|cx| reader.poll_next(cx)).await;
    }

    /// Waits until the stream has ended. Cancel safe.
    pub async fn ended(self: &Arc<Self>) {
        while self.is_running() {
            self.changed(u64::MAX).await;
        }
    }

    /// Forgets the frames, and breaks off who still reads them.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        let kept = state.bytes;
        state.first = state.last() + 1;
        state.frames.clear();
        state.bytes = 0;
        drop(state);
        self.total.fetch_sub(kept, Ordering::Relaxed);
    }

    fn push(&self, state: &mut State, frames: impl IntoIterator<Item = Bytes>) {
        let before = state.bytes;
        for frame in frames {
            state.bytes += frame.len();
            state.appended += frame.len() as u64;
            state.frames.push_back(frame);
        }
        let mut trimmed = 0;
        while state.bytes > self.max_bytes && state.frames.len() > 1 {
            trimmed += state.pop().unwrap_or_default();
        }
        self.total.fetch_add(state.bytes + trimmed - before, Ordering::Relaxed);
        self.total.fetch_sub(trimmed, Ordering::Relaxed);
        for seat in state.readers.values_mut() {
            if seat.caught_up && state.appended - seat.read > BEHIND {
                seat.hangup.cancel();
            }
        }
    }

    /// Drops the oldest frames, but not the newest of all; gives the bytes that were freed.
    pub(super) fn trim(&self, bytes: usize) -> usize {
        let mut state = self.state.lock();
        let mut freed = 0;
        while freed < bytes && state.frames.len() > 1 {
            freed += state.pop().unwrap_or_default();
        }
        drop(state);
        self.total.fetch_sub(freed, Ordering::Relaxed);
        freed
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let kept = self.state.get_mut().bytes + self.meta.label.len();
        self.total.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl State {
    fn last(&self) -> u64 {
        self.first + self.frames.len() as u64 - 1
    }

    fn pop(&mut self) -> Option<usize> {
        let size = self.frames.pop_front()?.len();
        self.first += 1;
        self.bytes -= size;
        Some(size)
    }

    fn wake_readers(&mut self) {
        for seat in self.readers.values_mut() {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// May this viewer read? An exclusive one takes the place of all others.
    fn admit(&mut self, viewer: &Viewer) -> bool {
        if self.viewers.superseded.contains(&viewer.id) {
            return false;
        }
        if viewer.exclusive {
            let mut displaced: Vec<String> = Vec::new();
            for seat in self.readers.values_mut() {
                // The same viewer on a new connection takes over too, but is not displaced by it.
                if let Some(other) = &seat.viewer {
                    seat.superseded = true;
                    seat.hangup.cancel();
                    if let Some(waker) = seat.waker.take() {
                        waker.wake();
                    }
                    displaced.push(other.clone());
                }
            }
            displaced.extend(self.viewers.current.replace(viewer.id.clone()));
            displaced.retain(|id| *id != viewer.id);
            if self.viewers.superseded.len() < SUPERSEDED {
                self.viewers.superseded.extend(displaced);
            }
        }
        true
    }
}

fn index(number: u64, first: u64) -> usize {
    usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX)
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}
