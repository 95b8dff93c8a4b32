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
    pub(in crate::journal) frames: Vec<Bytes>,
    /// The first frame that is still kept, and how many bytes are.
    pub(in crate::journal) first: u64,
    pub(in crate::journal) kept: usize,
    /// How it ended, if these are its last frames.
    pub(in crate::journal) ended: Option<Ended>,
    /// There is more than that.
    pub(in crate::journal) more: bool,
}

/// How many bytes are sent at once.
const BATCH: usize = 256 << 10;

impl Copied {
    pub(in crate::journal) fn new(outbox: Arc<Outbox>, key: Option<Key>) -> Self {
        let progress = Progress { stage: Stage::Unknown, last: 0, at: Instant::now() };
        Self { outbox, queued: AtomicBool::new(false), key, progress: Mutex::new(progress) }
    }

    pub(in crate::journal) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// The store says that it has everything up to `last`.
    pub(in crate::journal) fn has(&self, stage: Stage, last: u64) {
        *self.progress.lock() = Progress { stage, last, at: Instant::now() };
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

    /// What follows frame `after`.
    pub(in crate::journal) fn batch(&self, after: u64) -> Batch {
        let state = self.state();
        let from = (after + 1).max(state.frames.first());
        let mut size = 0;
        let frames: Vec<Bytes> = state
            .frames
            .behind(after)
            .take_while(|frame| {
                let fits = size == 0 || size + frame.len() <= BATCH;
                size += frame.len();
                fits
            })
            .cloned()
            .collect();
        let more = from + (frames.len() as u64) <= state.frames.last();
        let ended = state.ended.clone().filter(|_| !more);
        let (first, kept) = (state.frames.first(), state.frames.bytes());
        Batch { from, frames, first, kept, ended, more }
    }
}
