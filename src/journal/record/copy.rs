//! What of a record the store has: the writer notes only that there is more, and goes on; one task takes care of the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::journal::Key;
use crate::journal::record::{Ended, Record, Role};

/// The records that have something that the store has not. Each stands there once, so that it needs no other bound.
#[derive(Debug, Default)]
pub(in crate::journal) struct Outbox {
    records: Mutex<Vec<Arc<Record>>>,
    filled: Notify,
    /// The store does not answer: it stays here for now.
    away: AtomicBool,
}

impl Outbox {
    pub(in crate::journal) fn is_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Waits until there is something. Cancel safe.
    pub(in crate::journal) async fn filled(&self) {
        while self.records.lock().is_empty() {
            self.filled.notified().await;
        }
    }

    pub(in crate::journal) fn take(&self) -> Vec<Arc<Record>> {
        let records = std::mem::take(&mut *self.records.lock());
        for record in &records {
            if let Some(copied) = record.copied() {
                copied.queued.store(false, Ordering::SeqCst);
            }
        }
        records
    }
}

/// How far the copy of a record has come.
#[derive(Debug)]
pub(in crate::journal) struct Copied {
    outbox: Arc<Outbox>,
    queued: AtomicBool,
    /// The key of the request that made it.
    pub(in crate::journal) key: Option<Key>,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::journal) struct Progress {
    pub(in crate::journal) stage: Stage,
    /// The last frame that the store has.
    pub(in crate::journal) last: u64,
    /// How many pieces it has of the frame behind that one.
    pub(in crate::journal) pieces: u64,
    /// How many pieces it has of what is known of the stream from its beginning.
    pub(in crate::journal) head: u64,
    /// When the store last said that it has it.
    pub(in crate::journal) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) enum Stage {
    /// The store knows nothing of it yet.
    Unknown,
    Copying,
    /// The store has all of it.
    Whole,
    /// The store shall not have it, or have it no more.
    Never,
}

/// What is to be sent next.
#[derive(Debug)]
pub(in crate::journal) struct Batch {
    /// The number of the first frame.
    pub(in crate::journal) from: u64,
    pub(in crate::journal) load: Load,
    /// The first frame that is still kept, and how many bytes are.
    pub(in crate::journal) first: u64,
    pub(in crate::journal) kept: usize,
    /// How it ended, if these are its last frames.
    pub(in crate::journal) ended: Option<Ended>,
    /// There is more than that.
    pub(in crate::journal) more: bool,
}

/// What of a record is sent.
#[derive(Debug)]
pub(in crate::journal) enum Load {
    /// Whole frames; perhaps none.
    Frames(Vec<Bytes>),
    /// One piece of a frame that is too large to be sent at once.
    Piece { piece: Bytes, index: u64, last: bool },
    /// One piece of what is known of the stream from its beginning.
    Head { piece: Bytes, index: u64, last: bool },
}

impl Load {
    /// Does it only say that the writer lives?
    pub(in crate::journal) fn is_empty(&self) -> bool {
        matches!(self, Self::Frames(frames) if frames.is_empty())
    }

    /// Its bytes.
    pub(in crate::journal) fn size(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.iter().map(Bytes::len).sum(),
            Self::Piece { piece, .. } | Self::Head { piece, .. } => piece.len(),
        }
    }
}

/// How many bytes of one stream are sent at once. What is larger goes in pieces of this size: one connection carries what all
/// callers wait for.
pub(in crate::journal) const PIECE: usize = 128 << 10;

impl Copied {
    pub(in crate::journal) fn new(outbox: Arc<Outbox>, key: Option<Key>) -> Self {
        let progress = Progress { stage: Stage::Unknown, last: 0, pieces: 0, head: 0, at: Instant::now() };
        Self { outbox, queued: AtomicBool::new(false), key, progress: Mutex::new(progress) }
    }

    pub(in crate::journal) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// The store says that it has everything up to `last`, and so many pieces of the next frame.
    pub(in crate::journal) fn has(&self, stage: Stage, last: u64, pieces: u64) {
        let mut progress = self.progress.lock();
        *progress = Progress { stage, last, pieces, head: progress.head, at: Instant::now() };
    }

    /// The store says how many pieces it has of what is known from the beginning.
    pub(in crate::journal) fn has_head(&self, pieces: u64) {
        self.progress.lock().head = pieces;
    }

    pub(in crate::journal) fn set(&self, stage: Stage) {
        self.progress.lock().stage = stage;
    }
}

impl Record {
    pub(in crate::journal) fn copied(&self) -> Option<&Copied> {
        match &self.role {
            Role::Source(copied) => Some(copied),
            Role::Alone | Role::Mirror(_) => None,
        }
    }

    /// Can it be read on this replica only, though it should be readable on all?
    pub(in crate::journal) fn is_local(&self) -> bool {
        self.copied().is_some_and(|copied| matches!(copied.progress().stage, Stage::Unknown | Stage::Never))
    }

    /// Is there anything of it that can be read on this replica only now, though it should be readable on all?
    pub fn is_kept_here(&self) -> bool {
        let waits = |copied: &Copied| {
            copied.outbox.away.load(Ordering::Relaxed) && copied.progress().stage != Stage::Whole
        };
        self.is_local() || self.copied().is_some_and(waits)
    }

    /// There is something that the store has not.
    pub(in crate::journal) fn changed_here(self: &Arc<Self>) {
        if let Some(copied) = self.copied()
            && !copied.queued.swap(true, Ordering::SeqCst)
        {
            copied.outbox.records.lock().push(Arc::clone(self));
            copied.outbox.filled.notify_one();
        }
    }

    /// What follows frame `after`, and so many pieces of the frame behind it.
    pub(in crate::journal) fn batch(&self, after: u64, pieces: u64) -> Batch {
        let state = self.state();
        let from = (after + 1).max(state.frames.first());
        let next = state.frames.get(from);
        let (load, sent) = match next.filter(|frame| frame.len() > PIECE) {
            Some(frame) => {
                let (piece, index, last) = piece(frame, if from == after + 1 { pieces } else { 0 });
                (Load::Piece { piece, index, last }, u64::from(last))
            }
            None => {
                let mut size = 0;
                let fits = |frame: &&Bytes| {
                    size += frame.len();
                    size <= PIECE
                };
                let frames: Vec<Bytes> = state.frames.behind(after).take_while(fits).cloned().collect();
                let sent = frames.len() as u64;
                (Load::Frames(frames), sent)
            }
        };
        let more = from + sent <= state.frames.last();
        let ended = state.ended.clone().filter(|_| !more);
        let (first, kept) = (state.frames.first(), state.frames.bytes());
        Batch { from, load, first, kept, ended, more }
    }
}

/// The piece of a frame of which there are so many already, its index, and whether it is the last. Of more pieces than there can
/// be, nothing is left.
fn piece(frame: &Bytes, pieces: u64) -> (Bytes, u64, bool) {
    let start = usize::try_from(pieces).ok().and_then(|pieces| pieces.checked_mul(PIECE));
    let start = start.unwrap_or(usize::MAX).min(frame.len());
    let end = start.saturating_add(PIECE).min(frame.len());
    (frame.slice(start..end), pieces, end == frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_frame_make_the_frame() {
        for size in [PIECE + 1, PIECE * 2, PIECE * 3 - 1] {
            let frame: Bytes = (0..=250).cycle().take(size).collect();
            let mut all = Vec::new();
            for index in 0.. {
                let (part, at, last) = piece(&frame, index);
                assert!(at == index && !part.is_empty() && part.len() <= PIECE);
                all.extend_from_slice(&part);
                if last {
                    break;
                }
            }
            assert_eq!(all, frame);
        }
    }

    #[test]
    fn a_store_that_claims_more_pieces_than_there_are_is_told_that_there_are_no_more() {
        let frame = Bytes::from(vec![7; PIECE + 1]);
        for pieces in [2, 3, u64::MAX] {
            assert_eq!(piece(&frame, pieces), (Bytes::new(), pieces, true));
        }
    }
}
