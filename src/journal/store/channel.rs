//! Channels in the store: how they begin, last and end. Everybody reads them as mirrors.

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
use crate::journal::record::{Ended, Meta};
use crate::journal::shelf::Shelf;
use crate::journal::store::names::{CHANNELS, StreamKeys};
use crate::journal::store::seal::Place;
use crate::journal::store::{PATIENT, Store, end, head, millis};
use crate::telemetry::random_id;

/// The channels that are published on here, by the names that they have in the store.
#[derive(Debug, Default)]
pub(super) struct Known(pub(super) Mutex<HashMap<String, Arc<Channel>>>);

/// What a name stands for, as far as is known.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    /// The last number that was given, as far as is known. Those who seal take turns: they must know it before.
    pub(super) turn: sync::Mutex<u64>,
    /// When the name was last made to last longer, and whether anything was published since.
    renewed: Mutex<(Option<Instant>, bool)>,
}

/// How many channels one owner may have at a time, where there are owners.
const SHARE: usize = MAX_CHANNELS / 10;
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
        if self.0.channels.0.lock().len() >= MAX_CHANNELS {
            return Err(ChannelError::Full);
        }
        self.admit_channel(owner, &self.0.names.channel(owner, name)).await?;
        Ok(self.begin_channel(owner, name, known.as_deref()).await?)
    }

    /// Has a name count among the channels of all replicas, and of its owner, for as long as a channel is kept that nobody uses.
    async fn admit_channel(&self, owner: Option<&str>, place: &str) -> Result<(), ChannelError> {
        let mut script = self.0.scripts.admit_channel.prepare_invoke();
        script.key(CHANNELS).key(self.0.names.channels(owner));
        let share = if owner.is_some() { SHARE } else { MAX_CHANNELS };
        script.arg(place).arg(self.channel_ttl()).arg(MAX_CHANNELS).arg(share);
        let mut connection = self.connection()?;
        let room: String = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        match room.as_str() {
            "owner" => Err(ChannelError::OverShare),
            "all" => Err(ChannelError::Full),
            _ => Ok(()),
        }
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
        let seal = self.seal(&meta.id);
        let (head, _) = head::piece(&meta, 0).ok_or(StoreError::Refused)?;
        let head = seal.close(0, &head).ok_or(StoreError::Refused)?;
        let digest = self.0.names.owner(owner);
        let digest = seal.close_at(Place::Owner, digest.as_bytes()).ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.open_channel.prepare_invoke();
        script.key(&keys.meta).key(&keys.frames).key(&keys.head);
        script.arg(digest).arg(self.server_run()).arg(self.channel_ttl()).arg(head);
        let mut connection = self.connection()?;
        let _: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        let place = self.0.names.channel(owner, name);
        let known = known.unwrap_or_default();
        let name = (place.as_str(), self.channel_name_ttl());
        let id = meta.id.clone().into_bytes();
        let found = self.take_name(name, known.as_bytes(), id, PATIENT).await?;
        if found == known {
            if !known.is_empty() {
                // Whoever still reads the one before is told that it is over.
                self.end_by_id(known, &Ended::lost()).await?;
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

    /// Ends a channel; false if there is none of this name.
    pub(in crate::journal) async fn end_channel(
        &self,
        owner: Option<&str>,
        name: &str,
    ) -> Result<bool, StoreError> {
        let Some(id) = self.channel(owner, name).await? else { return Ok(false) };
        let ended = self.end_by_id(&id, &Ended::done()).await?;
        let place = self.0.names.channel(owner, name);
        let mut both = redis::pipe();
        both.cmd("ZREM").arg(CHANNELS).arg(&place).ignore();
        both.cmd("ZREM").arg(self.0.names.channels(owner)).arg(&place).ignore();
        let mut connection = self.connection()?;
        let () = self.within(PATIENT, both.query_async(&mut connection)).await?;
        Ok(ended)
    }

    async fn end_by_id(&self, id: &str, ended: &Ended) -> Result<bool, StoreError> {
        let keys = StreamKeys::new(id);
        let (how, why, sealed) = end::write(&self.seal(id), ended, None).ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.end_channel.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(how).arg(why).arg(sealed).arg(millis(self.0.retention)).arg(keys.channel);
        let mut connection = self.connection()?;
        let ended: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        self.0.wakes.wake(id);
        Ok(ended == 1)
    }

    pub(super) fn server_run(&self) -> String {
        self.0.run.lock().clone()
    }

    /// How long a channel is kept that nobody reads or publishes on.
    pub(super) fn channel_ttl(&self) -> u64 {
        millis(self.0.retention + self.0.lease)
    }

    /// How long the name of a channel stands for it: longer than the channel is kept, always, and not for ever.
    fn channel_name_ttl(&self) -> u64 {
        self.channel_ttl() * 2
    }

    fn renewals(&self) -> Duration {
        (self.0.retention + self.0.lease) / 4
    }

    /// Has a name that is published on last longer, and count.
    pub(super) async fn renew_name(&self, (owner, place): (Option<&str>, &str), channel: &Channel) {
        {
            let mut renewed = channel.renewed.lock();
            renewed.1 = true;
            if renewed.0.is_some_and(|at| at.elapsed() < self.renewals()) {
                return;
            }
            renewed.0 = Some(Instant::now());
        }
        self.hold_name(owner, place).await;
    }

    async fn hold_name(&self, owner: Option<&str>, place: &str) {
        self.expire(&[place.to_owned()], self.channel_name_ttl()).await;
        let (Ok(()) | Err(_)) = self.admit_channel(owner, place).await; // it goes on in any case
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
            self.0.channels.0.lock().retain(|_, channel| {
                let mut renewed = channel.renewed.lock();
                let fresh = renewed.0.is_some_and(|at| at.elapsed() < idle);
                let kept = std::mem::take(&mut renewed.1) || fresh;
                drop(renewed);
                kept
            });
        }
    }

    async fn keep_channel(&self, meta: &Meta) {
        let Some(name) = &meta.channel else { return };
        let keys = StreamKeys::new(&meta.id);
        let owner = meta.owner.as_deref();
        self.hold_name(owner, &self.0.names.channel(owner, name)).await;
        self.expire(&[keys.meta, keys.frames, keys.head], self.channel_ttl()).await;
    }
}

impl Known {
    pub(super) fn remember(&self, place: &str, id: String) -> Arc<Channel> {
        let mut all = self.0.lock();
        if let Some(known) = all.get(place).filter(|known| known.id == id) {
            return Arc::clone(known);
        }
        let new = Channel { id, turn: sync::Mutex::new(0), renewed: Mutex::new((None, true)) };
        let new = Arc::new(new);
        all.insert(place.to_owned(), Arc::clone(&new));
        new
    }
}
