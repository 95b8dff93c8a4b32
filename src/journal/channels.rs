//! Channels: records without an end and with any number of writers, found by a name. A channel begins with its first publisher
//! or subscriber, and ends when it is deleted, or when it was not used for as long as records are kept. Where replicas share a
//! store it stands there, for all of them; else in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::journal::new::ChannelError;
use crate::journal::record::{Ended, Meta, Record, Role};
use crate::journal::shelf::Shelf;
use crate::journal::{Busy, Created, Journal, New, OpenError, Writer};
use crate::telemetry::random_id;

/// The channels of this process, where no store is shared.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<HashMap<Named, Arc<Channel>>>);

/// An owner, and a name that is theirs.
type Named = (Option<String>, String);

/// How many there may be at a time.
pub(super) const MAX_CHANNELS: usize = 10_000;
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
            return self.channel_here(owner, name).map(Some).ok_or(ChannelError::Away);
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
            return self.channel_here(owner, name).ok_or(ChannelError::Away);
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

    /// The channel of a name, if it is read here.
    fn channel_here(&self, owner: Option<&str>, name: &str) -> Option<Arc<Record>> {
        let is = |record: &Record| {
            let meta = record.meta();
            meta.channel.as_deref() == Some(name) && meta.owner.as_deref() == owner && record.is_running()
        };
        self.shelf().all(is).pop()
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
        for mirror in self.shelf().all(|record| record.meta().channel.is_some() && record.is_mirror()) {
            mirror.end_with(Ended::done());
        }
    }
}

impl Channels {
    fn find(&self, owner: Option<&str>, name: &str) -> Option<Arc<Channel>> {
        let named = (owner.map(String::from), name.to_owned());
        self.0.lock().get(&named).cloned()
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
        if let Some(channel) = all.get(&named) {
            *channel.used.lock() = Instant::now();
            return Ok(Arc::clone(channel));
        }
        if all.len() >= MAX_CHANNELS {
            return Err(ChannelError::Full);
        }
        let meta = Meta {
            id: random_id(),
            owner: named.0.clone(),
            conversation: None,
            channel: Some(name.to_owned()),
            created: SystemTime::now(),
            linger: None,
            retention,
            label: Bytes::new(),
        };
        let Created::New { writer, record, .. } =
            shelf.create(New { meta, key: None, busy: Busy::Begin }, Role::Alone)
        else {
            return Err(ChannelError::Refused);
        };
        let (writer, used) = (Mutex::new(Some(writer)), Mutex::new(Instant::now()));
        let channel = Arc::new(Channel { record, writer, used });
        all.insert(named, Arc::clone(&channel));
        Ok(channel)
    }

    /// False if there is none.
    fn end(&self, owner: Option<&str>, name: &str) -> bool {
        let removed = self.0.lock().remove(&(owner.map(String::from), name.to_owned()));
        removed.map(|channel| channel.end()).is_some()
    }

    /// Ends the channels that nobody reads and that nobody has used for as long as records are kept. To be called now and then.
    pub(super) fn sweep(&self, retention: Duration) {
        let now = Instant::now();
        let mut idle = Vec::new();
        self.0.lock().retain(|_, channel| {
            let mut used = channel.used.lock();
            if channel.record.status().readers > 0 {
                *used = now;
            }
            let keep = now < *used + retention;
            if !keep {
                idle.push(Arc::clone(channel));
            }
            keep
        });
        for channel in idle {
            channel.end();
        }
    }

    fn end_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for channel in all.into_values() {
            channel.end();
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
