//! Channels: records without an end and with any number of writers, found by a name. A channel begins with its first publisher
//! or subscriber, and ends when it is deleted, or when it was not used for as long as records are kept. Where replicas share a
//! store it stands there, for all of them; else in this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::journal::ledger::Named;
use crate::journal::new::ChannelError;
use crate::journal::record::{Ended, Meta, Record, Role};
use crate::journal::shelf::Shelf;
use crate::journal::{Busy, Created, Journal, New, OpenError, Writer};
use crate::telemetry::{Shares, random_id};

/// The channels of this process, where no store is shared.
#[derive(Debug)]
pub(super) struct Channels(Mutex<All>);

#[derive(Debug)]
struct All {
    named: HashMap<Named, Place>,
    shares: Shares,
    /// When each is to be looked at, whether it has been used since it was looked at before.
    looks: BTreeMap<(Instant, u64), Named>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    channel: Arc<Channel>,
    look: (Instant, u64),
}

/// How many there may be at a time; a tenth of them of one owner.
pub(super) const MAX_CHANNELS: usize = 10_000;
/// When a channel is looked at that is kept without end.
const FAR: Duration = Duration::from_hours(24);
/// How often a channel is looked for that others end at the same time.
const TRIES: usize = 8;

/// One channel.
#[derive(Debug)]
struct Channel {
    record: Arc<Record>,
    /// Gone when the channel has ended.
    writer: Mutex<Option<Writer>>,
    used: Mutex<Instant>,
}

/// Where an event was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The id of the channel's record.
    pub stream: String,
    pub number: u64,
}

impl Journal {
    /// Publishes one event on the channel of a name, which begins now if there is none.
    pub async fn publish(
        &self,
        owner: Option<&str>,
        name: &str,
        frame: Bytes,
    ) -> Result<Published, ChannelError> {
        if let Some(store) = self.store() {
            let (stream, number) = store.publish(owner, name, &frame).await?;
            return Ok(Published { stream, number });
        }
        loop {
            let channel = self.channels().open(self.shelf(), self.retention(), owner, name)?;
            // It may have ended since it was found: then there is another.
            if let Some(number) = channel.publish(frame.clone()) {
                return Ok(Published { stream: channel.record.meta().id.clone(), number });
            }
        }
    }

    /// The channel of a name, if there is one.
    pub async fn channel(
        &self,
        owner: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Record>>, ChannelError> {
        let Some(store) = self.store() else {
            return Ok(self.channels().find(owner, name).map(|channel| Arc::clone(&channel.record)));
        };
        if !store.is_up() {
            return self.shelf().channel(owner, name).map(Some).ok_or(ChannelError::Away);
        }
        let Some(id) = store.channel(owner, name).await? else { return Ok(None) };
        self.running(owner, &id).await
    }

    /// The channel of a name; it begins now if there is none. Without the store the one that is read here already goes on.
    pub async fn open_channel(&self, owner: Option<&str>, name: &str) -> Result<Arc<Record>, ChannelError> {
        let Some(store) = self.store() else {
            let channel = self.channels().open(self.shelf(), self.retention(), owner, name)?;
            return Ok(Arc::clone(&channel.record));
        };
        if !store.is_up() {
            return self.shelf().channel(owner, name).ok_or(ChannelError::Away);
        }
        let mut gone: Option<String> = None;
        for _ in 0..TRIES {
            let id = store.open_channel(owner, name, gone.as_deref()).await?;
            if let Some(record) = self.running(owner, &id).await? {
                return Ok(record);
            }
            gone = Some(id);
        }
        Err(ChannelError::Away)
    }

    /// A record of another replica that still runs.
    async fn running(&self, owner: Option<&str>, id: &str) -> Result<Option<Arc<Record>>, ChannelError> {
        match self.find(owner, id).await {
            Ok(record) => Ok(Some(record).filter(|record| record.is_running())),
            Err(OpenError::Unknown | OpenError::Expired) => Ok(None),
            Err(OpenError::Away) => Err(ChannelError::Away),
        }
    }

    /// Ends the channel of a name, on all replicas; false if there is none.
    pub async fn end_channel(&self, owner: Option<&str>, name: &str) -> Result<bool, ChannelError> {
        match self.store() {
            Some(store) => Ok(store.end_channel(owner, name).await?),
            None => Ok(self.channels().end(owner, name)),
        }
    }

    /// Lets go of everybody who reads a channel here: the gateway is being restarted, and they shall find another replica, or
    /// the next one.
    pub fn leave_channels(&self) {
        self.channels().end_all();
        for mirror in self.shelf().mirrors().iter().filter(|mirror| mirror.meta().channel.is_some()) {
            mirror.end_with(Ended::done());
        }
    }
}

impl Default for Channels {
    fn default() -> Self {
        let shares = Shares::new(MAX_CHANNELS);
        Self(Mutex::new(All { named: HashMap::new(), shares, looks: BTreeMap::new(), next: 0 }))
    }
}

impl Channels {
    fn find(&self, owner: Option<&str>, name: &str) -> Option<Arc<Channel>> {
        let named = (owner.map(String::from), name.to_owned());
        self.0.lock().named.get(&named).map(|place| Arc::clone(&place.channel))
    }

    /// The channel of a name; it begins now if there is none.
    fn open(
        &self,
        shelf: &Shelf,
        retention: Duration,
        owner: Option<&str>,
        name: &str,
    ) -> Result<Arc<Channel>, ChannelError> {
        let mut all = self.0.lock();
        let named = (owner.map(String::from), name.to_owned());
        if let Some(Place { channel, .. }) = all.named.get(&named) {
            *channel.used.lock() = Instant::now();
            return Ok(Arc::clone(channel));
        }
        all.shares.take(owner)?;
        let channel = begin(shelf, retention, &named).inspect_err(|_| all.shares.give_back(owner))?;
        let channel = Arc::new(channel);
        let look = all.look_later(&named, Instant::now(), retention);
        all.named.insert(named, Place { channel: Arc::clone(&channel), look });
        Ok(channel)
    }

    /// False if there is none.
    fn end(&self, owner: Option<&str>, name: &str) -> bool {
        let removed = self.0.lock().remove(&(owner.map(String::from), name.to_owned()));
        removed.map(|channel| channel.end()).is_some()
    }

    /// Ends the channels that nobody reads and that nobody has used for as long as records are kept. To be called now and then:
    /// it looks at each once in that time.
    pub(super) fn sweep(&self, retention: Duration) {
        let now = Instant::now();
        let mut idle = Vec::new();
        let mut all = self.0.lock();
        while let Some(look) = all.looks.first_entry().filter(|look| look.key().0 <= now) {
            let named = look.remove();
            let Some(Place { channel, .. }) = all.named.get(&named) else { continue };
            let used = if channel.record.status().readers > 0 { now } else { *channel.used.lock() };
            if used.checked_add(retention).is_none_or(|over| now < over) {
                let look = all.look_later(&named, used, retention);
                if let Some(place) = all.named.get_mut(&named) {
                    place.look = look;
                }
            } else {
                idle.extend(all.remove(&named));
            }
        }
        drop(all);
        for channel in idle {
            channel.end();
        }
    }

    fn end_all(&self) {
        let mut all = self.0.lock();
        let names: Vec<Named> = all.named.keys().cloned().collect();
        let ended: Vec<_> = names.iter().filter_map(|named| all.remove(named)).collect();
        drop(all);
        for channel in ended {
            channel.end();
        }
    }
}

impl All {
    fn remove(&mut self, named: &Named) -> Option<Arc<Channel>> {
        let Place { channel, look } = self.named.remove(named)?;
        self.looks.remove(&look);
        self.shares.give_back(named.0.as_deref());
        Some(channel)
    }

    /// A channel that was used then is looked at when it may be idle.
    fn look_later(&mut self, named: &Named, used: Instant, retention: Duration) -> (Instant, u64) {
        self.next += 1;
        let look = (used.checked_add(retention).unwrap_or_else(|| used + FAR), self.next);
        self.looks.insert(look, named.clone());
        look
    }
}

fn begin(shelf: &Shelf, retention: Duration, (owner, name): &Named) -> Result<Channel, ChannelError> {
    let meta = Meta {
        id: random_id(),
        owner: owner.clone(),
        conversation: None,
        channel: Some(name.clone()),
        created: SystemTime::now(),
        linger: None,
        retention,
        label: Bytes::new(),
    };
    match shelf.create(New { meta, key: None, busy: Busy::Begin, alias: None }, Role::Alone) {
        Created::New { writer, record, .. } => {
            Ok(Channel { record, writer: Mutex::new(Some(writer)), used: Mutex::new(Instant::now()) })
        }
        Created::NoRoom => Err(ChannelError::Full),
        Created::OverShare => Err(ChannelError::OverShare),
        Created::Busy(_) | Created::Repeats(_) | Created::Differs | Created::LineFull => {
            Err(ChannelError::Refused)
        }
    }
}

impl Channel {
    /// Publishes one event and gives its number; `None` if the channel has ended.
    fn publish(&self, frame: Bytes) -> Option<u64> {
        let writer = self.writer.lock();
        writer.as_ref()?.append([frame]);
        *self.used.lock() = Instant::now();
        Some(self.record.status().last)
    }

    fn end(&self) {
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            writer.close();
        }
    }
}
