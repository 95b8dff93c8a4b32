//! All recorded streams: those of this process, and, where replicas share a store, those of all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::journal::channels::Channels;
use crate::journal::new::{Asker, Claim, IN_LINE, StoreError};
use crate::journal::record::{Copied, Gone, Meta, Record, Role, Stage, Trimmed, Viewer};
use crate::journal::shelf::Shelf;
use crate::journal::store::Store;
use crate::journal::{Busy, Config, Created, Key, New, OpenError, Writer};
use crate::telemetry::Metrics;

/// All recorded streams; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Library>);

#[derive(Debug)]
struct Library {
    shelf: Shelf,
    channels: Channels,
    store: Option<Store>,
    retention: Duration,
}

/// How often a name is asked for that others take at the same time.
const TRIES: usize = 8;

impl Journal {
    /// `secret`: what this process signs addresses with until it hears of another.
    pub fn new(config: &Config, metrics: Metrics, secret: Bytes) -> Self {
        let store = Store::new(config, metrics, secret);
        Self(Arc::new(Library {
            shelf: Shelf::new(config),
            channels: Channels::default(),
            store,
            retention: config.retention,
        }))
    }

    /// Waits for the store, but not for long: a gateway starts without it too.
    pub async fn connect(&self) {
        if let Some(store) = &self.0.store {
            store.connect().await;
        }
    }

    /// Does what the store needs, for as long as the gateway runs.
    pub async fn run(&self) {
        match &self.0.store {
            Some(store) => store.run(&self.0.shelf).await,
            None => std::future::pending().await,
        }
    }

    /// Sends the store what is left when the gateway ends.
    pub async fn flush(&self) {
        if let Some(store) = &self.0.store {
            store.flush(&self.0.shelf).await;
        }
    }

    /// The secret that all replicas sign addresses with, where they share a store.
    pub fn secret(&self) -> Option<watch::Receiver<Bytes>> {
        self.0.store.as_ref().map(Store::secret)
    }

    /// Does every replica know what the others do?
    pub fn is_shared(&self) -> bool {
        self.0.store.is_some()
    }

    /// Takes from what a caller's key may use on all replicas, all of it or nothing; or settles what it has used. The amounts are
    /// microseconds of its rate of requests, of its rate of tokens, and tokens of today, of which it may use `budget`. Gives
    /// whether they were taken, and how the key stands in the same three. `None`: there is no store, or it is away.
    pub async fn draw(
        &self,
        key: &str,
        amounts: [i64; 3],
        budget: Option<i64>,
        settles: bool,
    ) -> Option<(bool, [i64; 3])> {
        self.0.store.as_ref()?.draw(key, amounts, budget, settles).await
    }

    /// How long a record is kept where its maker does not say another time.
    pub fn retention(&self) -> Duration {
        self.0.retention
    }

    /// How many records there are in this process, how many read them, and how many bytes of memory they take.
    pub fn totals(&self) -> (usize, usize, usize) {
        self.0.shelf.totals()
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.0.channels
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// Does what all replicas should know stay on this one for now?
    pub fn is_away(&self) -> bool {
        self.0.store.as_ref().is_some_and(|store| !store.is_up())
    }

    /// Throws away what is over its time. To be called now and then.
    pub fn sweep(&self) {
        self.0.channels.sweep(self.0.retention);
        self.0.shelf.sweep();
    }

    /// Begins a record, unless there is one that stands for it. The newest of a conversation is the one that the conversation's
    /// name stands for. Without the store it is as if there were no other replicas.
    pub async fn create(&self, new: New) -> Created {
        let Some(store) = &self.0.store else {
            return self.0.shelf.create(new, Role::Alone);
        };
        if let Some(refused) = self.0.shelf.refuses(&new.meta) {
            return refused;
        }
        if store.is_up()
            && let Ok(created) = self.create_for_all(store, &new).await
        {
            return created;
        }
        let role = Role::Source(Copied::new(Arc::clone(store.outbox()), new.key.clone()));
        let created = self.0.shelf.create(new, role);
        if let Created::New { record, .. } = &created {
            record.changed_here();
        }
        created
    }

    async fn create_for_all(&self, store: &Store, new: &New) -> Result<Created, StoreError> {
        let copied = Copied::new(Arc::clone(store.outbox()), new.key.clone());
        let record = self.0.shelf.record(new.meta.clone(), Role::Source(copied));
        record.reads_alias(new.alias);
        // From here on: a request that is dropped ends what it began, on all replicas.
        let writer = Writer::recorded(Arc::clone(&record));
        let set = |stage| {
            if let Some(copied) = record.copied() {
                copied.set(stage);
            }
        };
        // It stands here before it has a name: another request that finds the name must find this record, and no mirror of it.
        let named = match store.begin(&record).await {
            Ok(()) => {
                set(Stage::Copying);
                self.0.shelf.stand(&record);
                self.name(store, new).await
            }
            Err(error) => Err(error),
        };
        let withdraw = || {
            set(Stage::Never);
            self.0.shelf.withdraw(&record);
        };
        match named {
            Ok(Named::First { before }) => {
                self.0.shelf.put(&record, new.key.clone());
                Ok(Created::New { writer, record: Arc::clone(&record), before })
            }
            Ok(Named::Second(instead)) => {
                withdraw();
                drop(store.delete(&new.meta.id).await); // nobody knows its id
                Ok(instead)
            }
            Err(error) => {
                withdraw();
                Err(error)
            }
        }
    }

    /// Takes the names of a record that has begun in the store: whoever finds a name finds the record too.
    async fn name(&self, store: &Store, new: &New) -> Result<Named, StoreError> {
        if let Some(key) = &new.key
            && let Some(instead) = self.claim(store, &new.meta, key).await?
        {
            return Ok(Named::Second(instead));
        }
        let Some(conversation) = &new.meta.conversation else {
            return Ok(Named::First { before: None });
        };
        if new.busy == Busy::Wait && self.in_line(store, &new.meta, conversation).await? >= IN_LINE {
            return Ok(Named::Second(Created::LineFull));
        }
        let (mut known, mut before): (Option<String>, Option<Arc<Record>>) = (None, None);
        for _ in 0..TRIES {
            let Some(id) = store.converse(&new.meta, conversation, known.as_deref()).await? else { break };
            before = self.last_running(store, &new.meta, (conversation, &id)).await?;
            if let (Some(before), Busy::Yield) = (&before, new.busy) {
                return Ok(Named::Second(Created::Busy(Arc::clone(before))));
            }
            known = Some(id);
        }
        Ok(Named::First { before })
    }

    /// The last stream of a conversation that runs. `newest` is the one that its name stands for: it may have been cancelled
    /// while it waited for one that goes on.
    async fn last_running(
        &self,
        store: &Store,
        meta: &Meta,
        (conversation, newest): (&str, &str),
    ) -> Result<Option<Arc<Record>>, StoreError> {
        let runs = |found: Option<Arc<Record>>| found.filter(|record| record.is_running());
        let found = runs(self.found(meta, newest).await?);
        if found.is_some() {
            return Ok(found);
        }
        let line = store.line(meta.owner.as_deref(), conversation).await?;
        for id in line.iter().rev().filter(|id| *id != newest) {
            let found = runs(self.found(meta, id).await?);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Has a key stand for a stream, unless an earlier one answers it.
    async fn claim(&self, store: &Store, meta: &Meta, key: &Key) -> Result<Option<Created>, StoreError> {
        let mut known: Option<Claim> = None;
        for _ in 0..TRIES {
            let Some(claim) = store.claim(meta, key, known.as_ref()).await? else { break };
            if let Some(earlier) = self.found(meta, &claim.id).await? {
                if claim.fingerprint != key.fingerprint {
                    return Ok(Some(Created::Differs));
                }
                if earlier.answers() {
                    return Ok(Some(Created::Repeats(earlier)));
                }
            }
            known = Some(claim);
        }
        Ok(None)
    }

    /// Another record of the same owner, if it is kept.
    async fn found(&self, meta: &Meta, id: &str) -> Result<Option<Arc<Record>>, StoreError> {
        match self.find(meta.owner.as_deref(), id).await {
            Ok(record) => Ok(Some(record)),
            Err(OpenError::Away) => Err(StoreError::Away),
            Err(OpenError::Unknown | OpenError::Expired) => Ok(None),
        }
    }

    /// The record of an id that belongs to `owner`.
    pub async fn find(&self, owner: Option<&str>, id: &str) -> Result<Arc<Record>, OpenError> {
        let asker = Asker(owner);
        match (self.0.shelf.find(id), &self.0.store) {
            (Some(Ok(record)), _) if asker.may_see(record.meta().owner.as_deref()) => Ok(record),
            (Some(Err(owner)), _) if asker.may_see(owner.as_deref()) => Err(OpenError::Expired),
            (None, Some(store)) if is_id(id) => store.open(&self.0.shelf, asker, id).await,
            (Some(_) | None, _) => Err(OpenError::Unknown),
        }
    }

    /// The record that its backend calls so.
    pub async fn by_alias(&self, owner: Option<&str>, alias: &str) -> Result<Arc<Record>, OpenError> {
        let here = self.0.shelf.of_alias(owner, alias).ok_or(OpenError::Unknown);
        let id = match (here, &self.0.store) {
            (Ok(id), _) => id,
            (Err(_), Some(store)) if store.is_up() => {
                store.of_alias(owner, alias).await?.ok_or(OpenError::Unknown)?
            }
            (Err(_), Some(_)) => return Err(OpenError::Away),
            (Err(unknown), None) => return Err(unknown),
        };
        self.find(owner, &id).await
    }

    /// The newest record of a conversation.
    pub async fn conversation(&self, owner: Option<&str>, name: &str) -> Result<Arc<Record>, OpenError> {
        let here = self.0.shelf.conversation(owner, name);
        let id = match &self.0.store {
            None => here?,
            Some(store) if store.is_up() => {
                store.conversation(owner, name).await?.ok_or(OpenError::Unknown).or(here)?
            }
            Some(_) => here.map_err(|_| OpenError::Away)?,
        };
        self.find(owner, &id).await
    }

    /// Asks the writer of a record to stop, wherever it is.
    pub async fn cancel(&self, record: &Record, why: Gone) -> Result<(), OpenError> {
        match &self.0.store {
            Some(store) if record.is_mirror() && record.is_running() => {
                Ok(store.cancel(&record.meta().id, why).await?)
            }
            _ => {
                record.cancel(why);
                Ok(())
            }
        }
    }

    /// May this viewer read? One that takes everybody's place takes it on all replicas.
    pub async fn admit(&self, record: &Record, viewer: Option<Viewer>) -> Result<Option<Viewer>, Trimmed> {
        let Some(mut viewer) = viewer else { return Ok(None) };
        let shared = !viewer.guest && !record.is_local();
        if let Some(store) = self.0.store.as_ref().filter(|store| shared && store.is_up()) {
            store.admit(&record.meta().id, &mut viewer).await?;
        }
        Ok(Some(viewer))
    }

    /// Throws away a record at once, on all replicas.
    pub async fn delete(&self, record: &Record) -> Result<(), OpenError> {
        if let Some(store) = self.0.store.as_ref().filter(|_| !record.is_local()) {
            store.delete(&record.meta().id).await?;
        }
        record.cancel(Gone::Cancelled);
        self.0.shelf.delete(record);
        Ok(())
    }
}

/// What came of the names of a record.
enum Named {
    /// They stand for it.
    First { before: Option<Arc<Record>> },
    /// They stand for another, which is given instead.
    Second(Created),
}

/// Can this be the id of a stream? Nothing else is looked for.
fn is_id(id: &str) -> bool {
    id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
