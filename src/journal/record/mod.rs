//! A recorded stream: its frames are numbered from 1 and kept, so that any number of readers can read it from any frame on,
//! while it runs and for a while afterwards.

mod copy;
mod frames;
mod meta;
mod mirror;
mod reader;
mod seats;
mod viewers;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::record::frames::Frames;
use crate::journal::record::seats::{Seat, Seats};
use crate::journal::record::viewers::Viewers;
use crate::journal::shelf::Limits;
use crate::journal::{End, Reader as AnyReader, ReaderKind};

pub(super) use copy::{Batch, Copied, Outbox, Progress, Stage};
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
    role: Role,
    state: Mutex<State>,
}

/// What a record is to other replicas.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing: they know nothing of it.
    Alone,
    /// It is written here, and copied to the store behind its readers' backs.
    Source(Copied),
    /// It is written elsewhere, and filled from the store; since when the store has not told of it.
    Mirror(Mutex<Option<Instant>>),
}

impl Role {
    pub(super) fn mirror() -> Self {
        Self::Mirror(Mutex::default())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("meta", &self.meta).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    frames: Frames,
    ended: Option<Ended>,
    /// Tokens that went in and came out, once they are known.
    tokens: Option<(u64, u64)>,
    gone: Option<Gone>,
    seats: Seats,
    /// Since when nobody reads.
    left: Option<Instant>,
    /// Until when somebody reads it on another replica, as far as is known.
    read_elsewhere: Option<Instant>,
    writer: Option<Waker>,
    viewers: Viewers,
}

/// A reader for whom so many bytes wait, and who has read nothing for so long, is dropped. It can resume.
const BEHIND: u64 = 256 << 10;
const STANDS: Duration = Duration::from_secs(3);
/// What a record costs beside its bytes, more or less.
const OVERHEAD: usize = 1024;
/// How many frames a writer may be ahead of its mirrors.
const AHEAD: u64 = 10_000;

impl Record {
    pub(super) fn new(meta: Meta, limits: Limits, total: Arc<AtomicUsize>, role: Role) -> Self {
        let state = State {
            frames: Frames::default(),
            ended: None,
            tokens: None,
            gone: None,
            seats: Seats::default(),
            left: Some(Instant::now()),
            read_elsewhere: None,
            writer: None,
            viewers: Viewers::default(),
        };
        let kept = OVERHEAD + meta.label.len();
        total.fetch_add(kept, Ordering::Relaxed);
        Self {
            max_bytes: limits.stream_bytes,
            max_readers: limits.readers,
            meta,
            total,
            role,
            state: Mutex::new(state),
        }
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn status(&self) -> Status {
        let state = self.state.lock();
        Status {
            first: state.frames.first(),
            last: state.frames.last(),
            bytes: state.frames.bytes(),
            readers: state.seats.reading(),
            ended: state.ended.clone(),
            tokens: state.tokens,
        }
    }

    pub(super) fn is_mirror(&self) -> bool {
        matches!(self.role, Role::Mirror(_))
    }

    /// Does it still run?
    pub fn is_running(&self) -> bool {
        self.state.lock().ended.is_none()
    }

    /// Does it answer a request that is repeated? One that was cancelled or failed does not: it is done anew.
    pub fn answers(&self) -> bool {
        let state = self.state.lock();
        state.gone.is_none() && state.ended.as_ref().is_none_or(|ended| ended.end == End::Done)
    }

    /// Does it still run, and shall it go on?
    pub(super) fn goes_on(&self) -> bool {
        let state = self.state.lock();
        state.gone.is_none() && state.ended.is_none()
    }

    /// All frames that are kept, the oldest first.
    pub fn frames(&self) -> Vec<Bytes> {
        self.frames_after(0).1
    }

    /// The frames that are kept behind frame `after`, and the number of the first frame that could be among them.
    pub fn frames_after(&self, after: u64) -> (u64, Vec<Bytes>) {
        let state = self.state.lock();
        let next = after.saturating_add(1).max(state.frames.first());
        (next, state.frames.behind(after).cloned().collect())
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
        if viewer.as_ref().is_some_and(|viewer| state.viewers.is_superseded(viewer)) {
            return Err(Trimmed::Superseded);
        }
        if after.saturating_add(1) < state.frames.first() {
            return Err(Trimmed::Earlier { earliest: state.frames.first() });
        }
        // A viewer that is not let in displaces nobody.
        let exclusive = viewer.as_ref().is_some_and(|viewer| viewer.exclusive);
        let is_named = |seat: &Seat| seat.viewer.as_ref().is_some_and(Viewer::is_named);
        let stay = |seat: &&Seat| seat.reads() && !(exclusive && is_named(seat));
        let guest = viewer.as_ref().is_some_and(|viewer| viewer.guest);
        // Guests leave an eighth to those with a key.
        let room = if guest { self.max_readers - self.max_readers / 8 } else { self.max_readers };
        if state.seats.iter().filter(stay).count() >= room || exclusive && state.viewers.is_full() {
            return Err(Trimmed::Full);
        }
        if let Some(viewer) = viewer.as_ref().filter(|viewer| viewer.exclusive) {
            state.take_over(viewer);
        }
        let reader = self.sit(&mut state, after, |read| Seat::reader(read, viewer, hangup));
        Ok(AnyReader(ReaderKind::Recorded(reader)))
    }

    /// `seat` is given how many bytes of all frames it has read.
    fn sit(self: &Arc<Self>, state: &mut State, after: u64, seat: impl FnOnce(u64) -> Seat) -> Reader {
        let next = self.place(state, after) + 1;
        let unread = state.frames.behind(next - 1).map(|frame| frame.len() as u64);
        let read = state.frames.ever() - unread.sum::<u64>();
        state.left = None;
        let seat = state.seats.take(seat(read));
        Reader { record: Arc::clone(self), seat, next }
    }

    /// The last frame that a reader has seen who says that it was `after`. A mirror may be behind its readers, who come from the
    /// replica that writes: they wait, for what they have seen they are not shown again. Everybody else is not believed more
    /// than there is.
    fn place(&self, state: &State, after: u64) -> u64 {
        let ahead = if self.is_mirror() && state.ended.is_none() { AHEAD } else { 0 };
        let last = state.frames.last();
        if after > last + ahead { last } else { after }
    }

    /// Where a replay begins for a reader who has seen frame `after`.
    pub fn resumes_after(&self, after: u64) -> u64 {
        self.place(&self.state.lock(), after)
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
        // A seat of its own: while somebody listens, the stream is not abandoned.
        let mut reader = self.sit(&mut self.state.lock(), after, Seat::waiting);
        poll_fn(|cx| reader.poll_next(cx)).await;
    }

    /// Waits until the stream has ended. Cancel safe.
    pub async fn ended(self: &Arc<Self>) {
        while self.is_running() {
            self.changed(u64::MAX).await;
        }
    }

    /// The oldest frame that is kept.
    pub fn first_frame(&self) -> Option<Bytes> {
        self.state.lock().frames.oldest().cloned()
    }

    /// The newest frame.
    pub fn last_frame(&self) -> Option<Bytes> {
        self.state.lock().frames.newest().cloned()
    }

    /// Forgets the frames, and breaks off who still reads them.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        let next = state.frames.last() + 1;
        let freed = state.frames.restart(next);
        if self.is_mirror() && state.ended.is_none() {
            state.ended = Some(Ended::failed("internal", false)); // nobody fills it any more
        }
        state.seats.wake();
        drop(state);
        self.total.fetch_sub(freed, Ordering::Relaxed);
    }

    fn push(&self, state: &mut State, frames: impl IntoIterator<Item = Bytes>) {
        let before = state.frames.bytes();
        for frame in frames {
            state.frames.push(&frame);
        }
        while state.frames.bytes() > self.max_bytes && state.frames.pop().is_some() {}
        let now = state.frames.bytes();
        if now >= before {
            self.total.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.total.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Drops the readers that have stood still for too long, or whose next frame is gone. To be called now and then.
    pub(super) fn drop_slow(&self, now: Instant) {
        let mut state = self.state.lock();
        let (ever, kept) = (state.frames.ever(), state.frames.bytes() as u64);
        for seat in state.seats.iter_mut().filter(|seat| seat.reads() && !seat.slow) {
            let waiting = ever - seat.read;
            let since = match seat.stands {
                Some((read, since)) if read == seat.read && waiting > BEHIND => since,
                _ => now,
            };
            seat.stands = Some((seat.read, since));
            if waiting > kept || now.duration_since(since) >= STANDS {
                seat.slow = true;
                seat.close();
            }
        }
    }

    /// Drops the oldest frames, but not the newest of all; gives the bytes that were freed.
    pub(super) fn trim(&self, bytes: usize) -> usize {
        let mut state = self.state.lock();
        let mut freed = 0;
        while freed < bytes {
            let Some(size) = state.frames.pop() else { break };
            freed += size;
        }
        drop(state);
        self.total.fetch_sub(freed, Ordering::Relaxed);
        freed
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let kept = self.state.get_mut().frames.bytes() + OVERHEAD + self.meta.label.len();
        self.total.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl State {
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
