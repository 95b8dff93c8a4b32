//! The places of a shelf: every record with its names, and in the orders that it is needed in.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::journal::ledger::{Account, Ledger, Named};
use crate::journal::record::{Meta, Record, Stage};
use crate::journal::shelf::expired::Expired;
use crate::journal::shelf::owned::{Owned, listed_as};
use crate::journal::{Created, Key};

#[derive(Debug)]
pub(super) struct Places {
    ledger: Arc<Ledger>,
    max_bytes: usize,
    kept: HashMap<String, Kept>,
    expired: Expired,
    owners: HashMap<Option<String>, Owned>,
    /// Finished records of this process, by when their time is over.
    over: BTreeMap<(Instant, u64), String>,
    /// The streams of a conversation that may still run, and its newest, which is the last.
    conversations: HashMap<Named, Vec<String>>,
    keys: HashMap<Named, Claimed>,
    /// Records of other replicas.
    mirrors: HashMap<String, Arc<Record>>,
    /// The channels among them, by their names.
    channels: HashMap<Named, String>,
    /// What running records take, whatever is trimmed.
    fixed: usize,
    next: u64,
}

/// A record, and where it stands in the orders.
#[derive(Debug)]
struct Kept {
    record: Arc<Record>,
    number: u64,
    ended: Option<Instant>,
    /// When its time is over.
    over: Option<Instant>,
    key: Option<String>,
}

#[derive(Clone, Debug)]
struct Claimed {
    fingerprint: [u8; 32],
    id: String,
}

impl Places {
    pub(super) fn new(ledger: Arc<Ledger>, max_bytes: usize) -> Self {
        Self {
            ledger,
            max_bytes,
            kept: HashMap::new(),
            expired: Expired::new(max_bytes),
            owners: HashMap::new(),
            over: BTreeMap::new(),
            conversations: HashMap::new(),
            keys: HashMap::new(),
            mirrors: HashMap::new(),
            channels: HashMap::new(),
            fixed: 0,
            next: 0,
        }
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What is taken by what is remembered of those that are over.
    pub(super) fn remembered(&self) -> usize {
        self.expired.memory()
    }

    pub(super) fn account(&mut self, owner: Option<&String>) -> Arc<Account> {
        Arc::clone(&self.owned(owner.cloned()).account)
    }

    fn owned(&mut self, owner: Option<String>) -> &mut Owned {
        self.owners.entry(owner).or_insert_with(|| Owned::new(&self.ledger))
    }

    /// Is there no room for another record that runs? Where there are keys, one may take half of it.
    pub(super) fn refuses(&mut self, meta: &Meta) -> Option<Created> {
        self.settle();
        let new = Record::fixed_of(meta);
        let own = self.owners.get(&meta.owner).map_or(0, |owned| owned.fixed);
        if self.fixed + new > self.max_bytes {
            Some(Created::NoRoom)
        } else if meta.owner.is_some() && own + new > self.max_bytes / 2 {
            Some(Created::OverShare)
        } else {
            None
        }
    }

    pub(super) fn kept(&self, id: &str) -> Option<&Arc<Record>> {
        self.kept.get(id).map(|kept| &kept.record)
    }

    pub(super) fn find(&self, id: &str) -> Option<Result<Arc<Record>, Option<String>>> {
        let kept = self.kept(id).map(|record| Ok(Arc::clone(record)));
        kept.or_else(|| self.expired.owner(id).map(|owner| Err(owner.clone())))
    }

    /// What a key of a request stands for.
    pub(super) fn claimed(&self, owner: Option<&String>, key: &str) -> Option<([u8; 32], Arc<Record>)> {
        let claimed = self.keys.get(&(owner.cloned(), key.to_owned()))?;
        Some((claimed.fingerprint, Arc::clone(self.kept(&claimed.id)?)))
    }

    /// The last of its conversation that goes on, and how many do.
    pub(super) fn running(&self, meta: &Meta) -> (Option<Arc<Record>>, usize) {
        let line =
            meta.conversation.as_deref().map_or(&[][..], |name| self.line(meta.owner.as_deref(), name));
        let mut running = line.iter().rev().filter_map(|id| self.kept(id)).filter(|record| record.goes_on());
        let last = running.next().cloned();
        let count = usize::from(last.is_some()) + running.count();
        (last, count)
    }

    pub(super) fn line(&self, owner: Option<&str>, name: &str) -> &[String] {
        let named = (owner.map(String::from), name.to_owned());
        self.conversations.get(&named).map_or(&[], Vec::as_slice)
    }

    pub(super) fn channel(&self, owner: Option<&str>, name: &str) -> Option<Arc<Record>> {
        let id = self.channels.get(&(owner.map(String::from), name.to_owned()))?;
        self.kept(id).filter(|record| record.is_running()).cloned()
    }

    pub(super) fn listed_at(&self, owner: Option<&str>, id: &str) -> Option<(u64, String)> {
        let record = self.kept(id).filter(|record| record.meta().owner.as_deref() == owner)?;
        listed_as(record)
    }

    pub(super) fn listed(
        &self,
        owner: Option<&str>,
        behind: Option<&(u64, String)>,
        limit: usize,
    ) -> Vec<(u64, String)> {
        let owned = self.owners.get(&owner.map(String::from));
        owned.map(|owned| owned.listed(behind, limit)).unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.kept.values().map(|kept| &kept.record)
    }

    pub(super) fn all_running(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.owners.values().flat_map(|owned| owned.running.values())
    }

    pub(super) fn mirrors(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.mirrors.values()
    }

    /// Gives a record its place.
    pub(super) fn stand(&mut self, record: &Arc<Record>) {
        let (id, meta) = (record.meta().id.clone(), record.meta());
        if self.kept.contains_key(&id) {
            return;
        }
        let number = self.next;
        self.next += 1;
        let owned = self.owned(meta.owner.clone());
        owned.running.insert(number, Arc::clone(record));
        owned.listed.extend(listed_as(record));
        owned.fixed += record.fixed();
        self.fixed += record.fixed();
        if record.is_mirror() {
            self.mirrors.insert(id.clone(), Arc::clone(record));
            if let Some(name) = meta.channel.clone()
                && record.is_running()
            {
                self.channels.insert((meta.owner.clone(), name), id.clone());
            }
        }
        let kept = Kept { record: Arc::clone(record), number, ended: None, over: None, key: None };
        self.kept.insert(id.clone(), kept);
        self.has_ended(&id); // before it had its place, perhaps: nobody else will notice
    }

    /// Gives a record its place, and its names.
    pub(super) fn put(&mut self, record: &Arc<Record>, key: Option<Key>) {
        self.stand(record);
        let meta = record.meta();
        if let Some(Key { name, fingerprint }) = key
            && let Some(kept) = self.kept.get_mut(&meta.id)
        {
            record.is_named(&name);
            kept.key = Some(name.clone());
            let claimed = Claimed { fingerprint, id: meta.id.clone() };
            self.keys.insert((meta.owner.clone(), name), claimed);
        }
        if let Some(conversation) = meta.conversation.clone() {
            let name = (meta.owner.clone(), conversation);
            let mut ids = self.conversations.remove(&name).unwrap_or_default();
            ids.retain(|id| *id != meta.id && self.kept(id).is_some_and(|record| record.goes_on()));
            ids.push(meta.id.clone());
            self.conversations.insert(name, ids);
        }
    }

    /// A record may have ended: then it has its place among the finished ones.
    fn has_ended(&mut self, id: &str) {
        let Some(kept) = self.kept.get_mut(id).filter(|kept| kept.ended.is_none()) else { return };
        let Some(at) = kept.record.ended_at() else { return };
        kept.ended = Some(at);
        let meta = kept.record.meta();
        // Those of mirrors are followed, and it is seen there when they are over.
        kept.over = at.checked_add(meta.retention).filter(|_| !kept.record.is_mirror());
        if let Some(over) = kept.over {
            self.over.insert((over, kept.number), meta.id.clone());
        }
        self.fixed -= kept.record.fixed();
        if let Some(owned) = self.owners.get_mut(&meta.owner) {
            owned.fixed -= kept.record.fixed();
            owned.running.remove(&kept.number);
            owned.finished.insert((at, kept.number), Arc::clone(&kept.record));
        }
    }

    /// Takes note of what has ended.
    fn settle(&mut self) {
        for id in self.ledger.take_ended() {
            self.has_ended(&id);
        }
    }

    /// Takes a record away, with all its names.
    pub(super) fn take(&mut self, id: &str) -> Option<Arc<Record>> {
        let Kept { record, number, ended, over, key } = self.kept.remove(id)?;
        let meta = record.meta();
        if let Some(over) = over {
            self.over.remove(&(over, number));
        }
        if let Some(owned) = self.owners.get_mut(&meta.owner) {
            if let Some(place) = listed_as(&record) {
                owned.listed.remove(&place);
            }
            match ended {
                Some(at) => drop(owned.finished.remove(&(at, number))),
                None => {
                    owned.running.remove(&number);
                    owned.fixed -= record.fixed();
                    self.fixed -= record.fixed();
                }
            }
        }
        if record.is_mirror() {
            self.mirrors.remove(id);
        }
        let named = |name: &String| (meta.owner.clone(), name.clone());
        let is_its = |other: &String| other == id;
        if let Some(name) = meta.channel.as_ref().map(named)
            && self.channels.get(&name).is_some_and(is_its)
        {
            self.channels.remove(&name);
        }
        if let Some(name) = key.as_ref().map(named)
            && self.keys.get(&name).is_some_and(|claimed| is_its(&claimed.id))
        {
            self.keys.remove(&name);
        }
        if let Some(name) = meta.conversation.as_ref().map(named)
            && let Some(ids) = self.conversations.get_mut(&name)
        {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.conversations.remove(&name);
            }
        }
        Some(record)
    }

    /// Takes a record away, and remembers that it was there. It is still to be forgotten.
    pub(super) fn expire(&mut self, id: &str) -> Option<Arc<Record>> {
        let record = self.take(id)?;
        if let Some(copied) = record.copied() {
            copied.set(Stage::Never); // what is forgotten cannot be sent
        }
        self.expired.remember(id, record.meta().owner.clone());
        Some(record)
    }

    /// Takes away some of those whose time is over.
    pub(super) fn over(&mut self, now: Instant, most: usize) -> Vec<Arc<Record>> {
        self.settle();
        self.expired.sweep(now);
        self.owners.retain(|_, owned| !owned.is_empty());
        let mut over = Vec::new();
        while over.len() < most
            && let Some(((at, _), id)) = self.over.first_key_value()
            && *at <= now
        {
            let id = id.clone();
            over.extend(self.expire(&id));
        }
        over
    }

    /// Takes away finished records that take so many bytes, the oldest of whoever's records take the most, and no more than `most`.
    pub(super) fn evict(&mut self, bytes: usize, most: usize) -> Vec<Arc<Record>> {
        self.settle();
        let evictable = self.owners.iter().filter(|(_, owned)| !owned.finished.is_empty());
        let mut heaviest: BinaryHeap<(usize, Option<String>)> =
            evictable.map(|(owner, owned)| (owned.account.bytes(), owner.clone())).collect();
        let (mut evicted, mut freed) = (Vec::new(), 0);
        while freed < bytes
            && evicted.len() < most
            && let Some((taken, owner)) = heaviest.pop()
        {
            let oldest = self.owners.get(&owner).and_then(|owned| owned.finished.values().next());
            let Some(oldest) = oldest.cloned() else { continue };
            let size = oldest.memory();
            freed += size;
            heaviest.push((taken.saturating_sub(size), owner));
            let elsewhere = oldest.is_mirror()
                || oldest.copied().is_some_and(|copied| copied.progress().stage == Stage::Whole);
            let id = &oldest.meta().id;
            evicted.extend(if elsewhere { self.take(id) } else { self.expire(id) });
        }
        evicted
    }

    /// The running records, in the order in which they are trimmed: the oldest of whoever's records take the most.
    pub(super) fn to_trim(&self) -> Vec<Arc<Record>> {
        let mut owners: Vec<&Owned> = self.owners.values().collect();
        owners.sort_by_key(|owned| std::cmp::Reverse(owned.account.bytes()));
        owners.into_iter().flat_map(|owned| owned.running.values().cloned()).collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.expired.is_empty() && self.over.is_empty() && self.owners.is_empty()
    }

    /// How many conversations and keys have names here.
    #[cfg(test)]
    pub(super) fn names(&self) -> (usize, usize) {
        (self.conversations.len(), self.keys.len())
    }
}
