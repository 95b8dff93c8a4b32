//! A recorded stream: its frames are numbered from 1 and kept, so that any number of readers can read it from any frame on,
//! while it runs and for a while afterwards.

mod copy;
mod frames;
mod memory;
mod meta;
mod mirror;
mod reader;
mod seats;
mod viewers;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::ledger::Account;
use crate::journal::record::frames::{FRAME, Frames};
use crate::journal::record::seats::{Seat, Seats};
use crate::journal::record::viewers::Viewers;
use crate::journal::shelf::Limits;
use crate::journal::{End, Reader as AnyReader, ReaderKind};

pub(super) use copy::{Batch, Copied, Load, Outbox, PIECE, Stage};
pub use meta::{Ended, Gone, Meta, Status, Trimmed, Viewer};
pub(super) use mirror::Absence;
pub(super) use reader::Reader;
pub(super) use writer::Writer;

/// One recorded stream.
pub struct Record {
    meta: Meta,
    /// How much of this stream is kept, in bytes.
    max_bytes: usize,
    max_readers: usize,
    /// What the records of its owner take.
    account: Arc<Account>,
    /// What it takes itself, whatever is trimmed.
    fixed: usize,
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
    /// It is written elsewhere, and filled from the store; what the store has last said of it.
    Mirror(Mutex<Absence>),
}

/// What a backend calls the stream whose first frame this is. The label of the record says how it is to be read.
pub type AliasOf = fn(&Meta, &[u8]) -> Option<String>;

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
    /// How a frame is read for an alias; gone when there is one.
    alias_of: Option<AliasOf>,
    alias: Option<String>,
    /// It is among those that are known to have readers.
    is_read: bool,
    /// What its names take.
    names: usize,
}

/// A reader for whom so many bytes wait, and who has read nothing for so long, is dropped. It can resume.
const BEHIND: u64 = 256 << 10;
const STANDS: Duration = Duration::from_secs(3);
/// How many frames a writer may be ahead of its mirrors.
const AHEAD: u64 = 10_000;

impl Record {
    pub(super) fn new(meta: Meta, limits: Limits, account: Arc<Account>, role: Role) -> Self {
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
            alias_of: None,
            alias: None,
            is_read: false,
            names: 0,
        };
        let fixed = Self::fixed_of(&meta);
        account.charge(fixed);
        Self {
            max_bytes: limits.stream_bytes,
            max_readers: limits.readers,
            meta,
            account,
            fixed,
            role,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        look();
        self.state.lock()
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn status(&self) -> Status {
        let state = self.state();
        Status {
            first: state.frames.first(),
            last: state.frames.last(),
            bytes: state.frames.bytes(),
            readers: state.seats.reading(),
            ended: state.ended.clone(),
            tokens: state.tokens,
        }
    }

    /// When it ended.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.state().ended.as_ref().map(|ended| ended.at)
    }

    pub(super) fn is_mirror(&self) -> bool {
        matches!(self.role, Role::Mirror(_))
    }

    /// Does it still run?
    pub fn is_running(&self) -> bool {
        self.state().ended.is_none()
    }

    /// Does it answer a request that is repeated? One that was cancelled or failed does not: it is done anew.
    pub fn answers(&self) -> bool {
        let state = self.state();
        state.gone.is_none() && state.ended.as_ref().is_none_or(|ended| ended.end == End::Done)
    }

    /// Does it still run, and shall it go on?
    pub(super) fn goes_on(&self) -> bool {
        let state = self.state();
        state.gone.is_none() && state.ended.is_none()
    }

    /// All frames that are kept, the oldest first.
    pub fn frames(&self) -> Vec<Bytes> {
        self.frames_after(0).1
    }

    /// The frames that are kept behind frame `after`, and the number of the first frame that could be among them.
    pub fn frames_after(&self, after: u64) -> (u64, Vec<Bytes>) {
        let state = self.state();
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
        let mut state = self.state();
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
        if !std::mem::replace(&mut state.is_read, true) {
            self.account.read(self);
        }
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
        self.place(&self.state(), after)
    }

    /// Somebody looked at the stream without reading it along: it is not abandoned yet.
    pub fn touch(&self) {
        let mut state = self.state();
        if state.left.is_some() {
            state.left = Some(Instant::now());
        }
    }

    /// Asks the writer to stop. Does nothing to a stream that has ended.
    pub fn cancel(&self, why: Gone) {
        let mut state = self.state();
        if state.ended.is_none() && state.gone.is_none() {
            state.gone = Some(why);
            state.wake_writer();
        }
    }

    /// Waits until the stream has ended or gone beyond frame `after`. Cancel safe.
    pub async fn changed(self: &Arc<Self>, after: u64) {
        // A seat of its own: while somebody listens, the stream is not abandoned.
        let mut reader = self.sit(&mut self.state(), after, Seat::waiting);
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
        self.state().frames.oldest().cloned()
    }

    /// The newest frame.
    pub fn last_frame(&self) -> Option<Bytes> {
        self.state().frames.newest().cloned()
    }

    /// Forgets the frames, and breaks off who still reads them.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        let next = state.frames.last() + 1;
        self.change(&mut state, |frames| frames.restart(next));
        if self.is_mirror() && state.ended.is_none() {
            self.finish(&mut state, Ended::failed("internal", false)); // nobody fills it any more
        }
        state.seats.wake();
    }

    /// It has ended: there will be no more frames.
    fn finish(&self, state: &mut State, ended: Ended) {
        state.ended = Some(ended);
        self.read_alias(state, state.frames.newest().cloned());
        self.change(state, Frames::shrink);
        state.seats.wake();
        self.account.ended(&self.meta.id);
    }

    fn push(&self, state: &mut State, frames: impl IntoIterator<Item = Bytes>) {
        let (most, begins) = ((self.max_bytes / FRAME).max(1), state.frames.last() == 0);
        self.change(state, |kept| {
            for frame in frames {
                kept.push(&frame);
            }
            while (kept.bytes() > self.max_bytes || kept.len() > most) && kept.pop().is_some() {}
        });
        if begins && state.frames.last() > 0 {
            self.read_alias(state, state.frames.get(1).cloned());
        }
    }

    /// Does anybody read it? If not, it is told again when somebody comes.
    pub(super) fn is_read_still(&self) -> bool {
        let mut state = self.state();
        state.is_read = !state.seats.is_empty();
        state.is_read
    }

    /// Drops the readers that have stood still for too long, or whose next frame is gone. To be called now and then.
    pub(super) fn drop_slow(&self, now: Instant) {
        let mut state = self.state();
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

#[cfg(not(test))]
fn look() {}

#[cfg(test)]
use looks::count as look;

/// How often the records of this thread were looked at: what is done for one of many must not look at the others.
#[cfg(test)]
pub(super) mod looks {
    use std::cell::Cell;

    thread_local! { static LOOKS: Cell<usize> = const { Cell::new(0) } }

    pub(super) fn count() {
        LOOKS.with(|looks| looks.set(looks.get() + 1));
    }

    /// How often `work` looks at one.
    pub(in crate::journal) fn of(work: impl FnOnce()) -> usize {
        let before = LOOKS.with(Cell::get);
        work();
        LOOKS.with(Cell::get) - before
    }
}
