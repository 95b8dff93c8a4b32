//! The records of one owner, in the orders in which they are listed, trimmed and thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tokio::time::Instant;

use crate::journal::ledger::{Account, Ledger};
use crate::journal::record::{Meta, Record};

/// What belongs to one owner.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) account: Arc<Account>,
    /// By the order in which they came.
    pub(super) running: BTreeMap<u64, Arc<Record>>,
    /// By their end.
    pub(super) finished: BTreeMap<(Instant, u64), Arc<Record>>,
    /// By when they began, to the millisecond, as the store has it.
    pub(super) listed: BTreeSet<(u64, String)>,
    /// What running records take, whatever is trimmed.
    pub(super) fixed: usize,
}

impl Owned {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            account: Arc::new(Account::new(ledger)),
            running: BTreeMap::new(),
            finished: BTreeMap::new(),
            listed: BTreeSet::new(),
            fixed: 0,
        }
    }

    /// Nothing is here, nor is anything of theirs still held elsewhere.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.finished.is_empty() && Arc::strong_count(&self.account) == 1
    }

    /// The list behind this place, the newest first.
    pub(super) fn listed(&self, behind: Option<&(u64, String)>, limit: usize) -> Vec<(u64, String)> {
        match behind {
            Some(behind) => self.listed.range(..behind.clone()).rev().take(limit).cloned().collect(),
            None => self.listed.iter().rev().take(limit).cloned().collect(),
        }
    }
}

/// Where a record stands on a list: by the millisecond, as the store has it. Channels and mirrors stand on none, nor does what has
/// no label.
pub(super) fn listed_as(record: &Record) -> Option<(u64, String)> {
    let meta = record.meta();
    (!record.is_mirror() && !meta.label.is_empty()).then(|| place(meta))
}

fn place(meta: &Meta) -> (u64, String) {
    let created = meta.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    (u64::try_from(created.as_millis()).unwrap_or(u64::MAX), meta.id.clone())
}
