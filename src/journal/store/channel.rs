//! Channels in the store: all replicas publish on them, one script gives the numbers, and everybody reads them as mirrors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync;
use tokio::time::{Instant, interval};

use crate::journal::channels::MAX_CHANNELS;
use crate::journal::new::{ChannelError, StoreError};
use crate::journal::record::{Gone, Meta};
use crate::journal::shelf::Shelf;
use crate::journal::store::names::StreamKeys;
use crate::journal::store::{PATIENT, Store, head, millis};
use crate::telemetry::{Shares, random_id};

/// The channels that were begun or are published on here, by the names that they have in the store.
#[derive(Debug)]
pub(super) struct Known(Mutex<All>);

#[derive(Debug)]
struct All {
    places: HashMap<String, Arc<Channel>>,
    shares: Shares,
}

/// What a name stands for, as far as is known.
#[derive(Debug)]
struct Channel {
    id: String,
    owner: Option<String>,
    /// The last number that was given, as far as is known. Those who seal take turns: they must know it before.
    turn: sync::Mutex<u64>,
    /// When the name was last made to last longer, and whether anything was published since.
    renewed: Mutex<(Option<Instant>, bool)>,
}

/// What came of one try to publish.
enum Added {
    Kept(u64),
    /// It should have had another number: the last one is this.
    Behind(u64),
    /// The channel is not there any more.
    Gone,
}

/// How often one event is tried.
const TRIES: usize = 64;
/// How many channels are renewed at a time.
const AT_A_TIME: usize = 16;

impl Store {
    /// The id of a channel, if there is one of this name. It may have ended.
    pub(in crate::journal) async fn channel(
        &self,
        owner: Option<&str>,
        name: &str,
    ) -> Result<Option<String>, StoreError> {
        let name = self.0.names.channel(owner, name);
        let mut connection = self.connection()?;
        self.within(PATIENT, redis::cmd("GET").arg(name).query_async(&mut connection)).await
    }

    /// The id of the channel of a name; it begins now if there is none, or only one that is `gone`.
    pub(in crate::journal) async fn open_channel(
        &self,
        owner: Option<&str>,
        name: &str,
        gone: Option<&str>,
    ) -> Result<String, ChannelError> {
        let known = self.channel(owner, name).await?;
        if let Some(id) = known.as_ref().filter(|id| Some(id.as_str()) != gone) {
            return Ok(id.clone());
        }
        // It counts before it is there: others are opened meanwhile. One that is not published on counts for as long as it is kept.
        let place = self.0.names.channel(owner, name);
        let held = self.0.channels.hold(&place, owner)?;
        let id = self.begin_channel(owner, name, known.as_deref()).await?;
        drop(held);
        let channel = self.0.channels.remember(&place, owner, id.clone())?;
        channel.renewed.lock().0.get_or_insert_with(Instant::now);
        Ok(id)
    }

    /// Begins a channel, and has the name stand for it if it stands for `known` now; gives what it stands for then.
    async fn begin_channel(
        &self,
        owner: Option<&str>,
        name: &str,
        known: Option<&str>,
    ) -> Result<String, StoreError> {
        let meta = Meta {
            id: random_id(),
            owner: owner.map(String::from),
            conversation: None,
            channel: Some(name.to_owned()),
            created: SystemTime::now(),
            linger: None,
            retention: self.0.retention,
            label: Bytes::new(),
        };
        let keys = StreamKeys::new(&meta.id);
        let head = self.seal(&meta.id).close(0, &head::write(&meta)).ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.open_channel.prepare_invoke();
        script.key(&keys.meta).key(&keys.frames).key(&keys.head);
        script.arg(self.0.names.owner(owner)).arg(self.server_run()).arg(self.channel_ttl()).arg(head);
        let mut connection = self.connection()?;
        let _: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        let place = self.0.names.channel(owner, name);
        let known = known.unwrap_or_default();
        let found = self.take_name(&place, known.as_bytes(), meta.id.clone().into_bytes()).await?;
        if found == known {
            if !known.is_empty() {
                // Whoever still reads the one before is told that it is over.
                self.end_by_id(known, "lost", Gone::Lost.word()).await?;
            }
            return Ok(meta.id);
        }
        let mut unwanted = redis::cmd("DEL"); // somebody else was faster, and nobody knows this one's id
        unwanted.arg(&keys.meta).arg(&keys.frames).arg(&keys.head);
        let removed: Result<u64, StoreError> =
            self.within(PATIENT, unwanted.query_async(&mut connection)).await;
        drop(removed); // its time to live ends it, then
        String::from_utf8(found.to_vec()).map_err(|_| StoreError::Refused)
    }

    /// Publishes one event; gives the id of the channel and the number of the event.
    pub(in crate::journal) async fn publish(
        &self,
        owner: Option<&str>,
        name: &str,
        frame: &Bytes,
    ) -> Result<(String, u64), ChannelError> {
        if !self.is_up() {
            return Err(ChannelError::Away);
        }
        let place = self.0.names.channel(owner, name);
        let mut gone: Option<String> = None;
        for _ in 0..TRIES {
            let known = self.0.channels.0.lock().places.get(&place).cloned();
            let channel = match known.filter(|known| Some(&known.id) != gone.as_ref()) {
                Some(channel) => channel,
                None => {
                    let id = self.open_channel(owner, name, gone.as_deref()).await?;
                    self.0.channels.remember(&place, owner, id)?
                }
            };
            if let Some(number) = self.add(&channel, frame).await? {
                self.0.wakes.wake(&channel.id); // for the readers here, should the hint get lost
                self.renew_name(&place, &channel).await;
                return Ok((channel.id.clone(), number));
            }
            gone = Some(channel.id.clone());
        }
        Err(ChannelError::Away)
    }

    /// `None`: the channel is not there any more.
    async fn add(&self, channel: &Channel, frame: &Bytes) -> Result<Option<u64>, StoreError> {
        if self.0.seal.is_none() {
            return Ok(match self.add_once(&channel.id, frame, 0).await? {
                Added::Kept(number) => Some(number),
                Added::Behind(_) | Added::Gone => None,
            });
        }
        // A sealed frame holds its number. Other replicas may take it first: then it is sealed anew with the next one.
        let mut last = channel.turn.lock().await;
        for _ in 0..TRIES {
            match self.add_once(&channel.id, frame, *last + 1).await? {
                Added::Kept(number) => {
                    *last = number;
                    return Ok(Some(number));
                }
                Added::Behind(other) => *last = other,
                Added::Gone => return Ok(None),
            }
        }
        Err(StoreError::Away)
    }

    /// `number`: the one that it must have; 0 for whichever is next.
    async fn add_once(&self, id: &str, frame: &Bytes, number: u64) -> Result<Added, StoreError> {
        let keys = StreamKeys::new(id);
        let stored = self.seal(id).close(number, frame).ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.publish.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(self.server_run()).arg(number).arg(frame.len()).arg(stored.len() - frame.len());
        script.arg(self.0.channel_bytes).arg(self.channel_ttl()).arg(keys.channel).arg(stored);
        let mut connection = self.connection()?;
        let reply: Vec<String> = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        let number = || reply.get(1).and_then(|number| number.parse().ok()).ok_or(StoreError::Refused);
        match reply.first().map(String::as_str) {
            Some("kept") => number().map(Added::Kept),
            Some("behind") => number().map(Added::Behind),
            Some("gone") => Ok(Added::Gone),
            _ => Err(StoreError::Refused),
        }
    }

    /// Ends a channel; false if there is none of this name.
    pub(in crate::journal) async fn end_channel(
        &self,
        owner: Option<&str>,
        name: &str,
    ) -> Result<bool, StoreError> {
        let Some(id) = self.channel(owner, name).await? else { return Ok(false) };
        let ended = self.end_by_id(&id, "done", "").await?;
        self.0.channels.forget(&self.0.names.channel(owner, name), &id);
        Ok(ended)
    }

    async fn end_by_id(&self, id: &str, how: &str, why: &str) -> Result<bool, StoreError> {
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.end_channel.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(how).arg(why).arg(millis(self.0.retention)).arg(keys.channel);
        let mut connection = self.connection()?;
        let ended: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        self.0.wakes.wake(id);
        Ok(ended == 1)
    }

    fn server_run(&self) -> String {
        self.0.run.lock().clone()
    }

    /// How long a channel is kept that nobody reads or publishes on.
    fn channel_ttl(&self) -> u64 {
        millis(self.0.retention + self.0.lease)
    }

    fn renewals(&self) -> Duration {
        (self.0.retention + self.0.lease) / 4
    }

    /// Has a name that is published on last longer: longer than its channel, always.
    async fn renew_name(&self, place: &str, channel: &Channel) {
        {
            let mut renewed = channel.renewed.lock();
            renewed.1 = true;
            if renewed.0.is_some_and(|at| at.elapsed() < self.renewals()) {
                return;
            }
            renewed.0 = Some(Instant::now());
        }
        self.expire(&[place.to_owned()], self.name_ttl()).await;
    }

    async fn expire(&self, keys: &[String], ttl: u64) {
        let Ok(mut connection) = self.connection() else { return };
        let mut all = redis::pipe();
        for key in keys {
            all.cmd("PEXPIRE").arg(key).arg(ttl).ignore();
        }
        let renewed: Result<(), StoreError> = self.within(PATIENT, all.query_async(&mut connection)).await;
        drop(renewed); // the next time, then
    }

    /// Has the channels that are read here last longer, and forgets those that are not published on any more.
    pub(super) async fn keep_channels(&self, shelf: &Shelf) {
        let mut renewals = interval(self.renewals());
        loop {
            renewals.tick().await;
            let mut read = shelf.read();
            read.retain(|record| {
                record.meta().channel.is_some() && record.is_running() && record.status().readers > 0
            });
            stream::iter(read)
                .for_each_concurrent(
                    AT_A_TIME,
                    |record| async move { self.keep_channel(record.meta()).await },
                )
                .await;
            let idle = self.renewals() * 4;
            self.0.channels.sweep(idle);
        }
    }

    async fn keep_channel(&self, meta: &Meta) {
        let Some(name) = &meta.channel else { return };
        let keys = StreamKeys::new(&meta.id);
        self.expire(&[self.0.names.channel(meta.owner.as_deref(), name)], self.name_ttl()).await;
        self.expire(&[keys.meta, keys.frames, keys.head], self.channel_ttl()).await;
    }
}

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(All { places: HashMap::new(), shares: Shares::new(MAX_CHANNELS) }))
    }
}

/// Counts a channel that is being begun.
struct Held<'k> {
    known: &'k Known,
    owner: Option<&'k str>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.known.0.lock().shares.give_back(self.owner);
    }
}

impl Known {
    /// Counts a channel that is being begun, unless there is one in its place that counts.
    fn hold<'k>(&'k self, place: &str, owner: Option<&'k str>) -> Result<Option<Held<'k>>, ChannelError> {
        let mut all = self.0.lock();
        if all.places.contains_key(place) {
            return Ok(None);
        }
        all.shares.take(owner)?;
        Ok(Some(Held { known: self, owner }))
    }

    /// What a name stands for, from now on.
    fn remember(&self, place: &str, owner: Option<&str>, id: String) -> Result<Arc<Channel>, ChannelError> {
        let mut all = self.0.lock();
        let known = all.places.get(place);
        if let Some(known) = known.filter(|known| known.id == id) {
            return Ok(Arc::clone(known));
        }
        if known.is_none() {
            all.shares.take(owner)?;
        }
        let renewed = Mutex::new((None, true));
        let owner = owner.map(String::from);
        let new = Arc::new(Channel { id, owner, turn: sync::Mutex::new(0), renewed });
        all.places.insert(place.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    /// The channel has ended.
    fn forget(&self, place: &str, id: &str) {
        let mut all = self.0.lock();
        if all.places.get(place).is_some_and(|known| known.id == id)
            && let Some(known) = all.places.remove(place)
        {
            all.shares.give_back(known.owner.as_deref());
        }
    }

    /// Forgets those that nobody has used for so long.
    fn sweep(&self, idle: Duration) {
        let mut all = self.0.lock();
        let All { places, shares } = &mut *all;
        places.retain(|_, channel| {
            let mut renewed = channel.renewed.lock();
            let fresh = renewed.0.is_some_and(|at| at.elapsed() < idle);
            let kept = std::mem::take(&mut renewed.1) || fresh;
            if !kept {
                shares.give_back(channel.owner.as_deref());
            }
            kept
        });
    }
}
