//! What the records of this process take in memory, in all and for each owner, and what became of them that their shelf does
//! not know yet. What is noted here is noted with a record locked, so no record is looked at while a note is written.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::journal::record::Record;

/// An owner, and a name that is theirs.
pub(super) type Named = (Option<String>, String);

/// What all records of a shelf share.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    bytes: AtomicUsize,
    /// The ids of the records that have ended since they were last taken.
    ended: Mutex<Vec<String>>,
    /// The records that have readers, or had some when they were last looked at. Each stands there once.
    read: Mutex<Vec<Weak<Record>>>,
    /// Held while those are looked through.
    looking: Mutex<()>,
    /// The ids that backends gave to what is recorded, and those of the records.
    aliases: Mutex<HashMap<Named, String>>,
}

/// What the records of one owner take.
#[derive(Debug)]
pub(super) struct Account {
    ledger: Arc<Ledger>,
    bytes: AtomicUsize,
}

impl Ledger {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn take_ended(&self) -> Vec<String> {
        mem::take(&mut *self.ended.lock())
    }

    /// The records that are read. Those that are not any more are forgotten.
    pub(super) fn read(&self) -> Vec<Arc<Record>> {
        let _looking = self.looking.lock();
        let noted = mem::take(&mut *self.read.lock());
        let noted = noted.into_iter().filter_map(|record| record.upgrade());
        let read: Vec<Arc<Record>> = noted.filter(|record| record.is_read_still()).collect();
        self.read.lock().extend(read.iter().map(Arc::downgrade));
        read
    }

    /// The id of the record that its backend calls so.
    pub(super) fn of_alias(&self, owner: Option<&str>, alias: &str) -> Option<String> {
        self.aliases.lock().get(&(owner.map(String::from), alias.to_owned())).cloned()
    }
}

impl Account {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Self {
        Self { ledger: Arc::clone(ledger), bytes: AtomicUsize::new(0) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn charge(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.ledger.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn uncharge(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.ledger.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What took `before` bytes takes `now`.
    pub(super) fn recharge(&self, before: usize, now: usize) {
        if now >= before {
            self.charge(now - before);
        } else {
            self.uncharge(before - now);
        }
    }

    pub(super) fn ended(&self, id: &str) {
        self.ledger.ended.lock().push(id.to_owned());
    }

    pub(super) fn read(&self, record: &Arc<Record>) {
        self.ledger.read.lock().push(Arc::downgrade(record));
    }

    /// From now on the record is found by what its backend calls it, too.
    pub(super) fn alias(&self, owner: Option<&str>, alias: &str, id: &str) {
        let named = (owner.map(String::from), alias.to_owned());
        self.ledger.aliases.lock().insert(named, id.to_owned());
    }

    /// The record is gone. Another that is called so stays.
    pub(super) fn drop_alias(&self, owner: Option<&str>, alias: &str, id: &str) {
        let named = (owner.map(String::from), alias.to_owned());
        let mut aliases = self.ledger.aliases.lock();
        if aliases.get(&named).is_some_and(|other| other == id) {
            aliases.remove(&named);
        }
    }
}
