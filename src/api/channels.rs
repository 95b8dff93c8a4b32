//! The channels: records without an end, into which back ends publish what pages shall see. A channel begins with its first
//! publisher or subscriber, and ends when it is deleted, or when it was not used for as long as records are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync;
use tokio::time::Instant;

use crate::edge::Refusal;
use crate::journal::{Busy, Created, Journal, Meta, New, Record, Writer};
use crate::telemetry::random_id;
use crate::wire::Code;

/// All channels of the process; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Channels(Arc<Mutex<HashMap<Named, Arc<Channel>>>>);

/// An owner, and a name that is theirs.
type Named = (Option<String>, String);

/// How many there may be at a time.
const MAX_CHANNELS: usize = 10_000;

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) record: Arc<Record>,
    /// Gone when the channel has ended. Publishers take turns, so that each knows the number of its event.
    writer: sync::Mutex<Option<Writer>>,
    used: Mutex<Instant>,
}

/// What the record of a channel says of itself. No other record says this, and this says nothing of what others do: a channel is
/// not found among the streams.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    channel: String,
}

/// Is it the record of the channel `name`, or was it?
pub(super) fn is_of(record: &Record, name: &str) -> bool {
    serde_json::from_slice::<Label>(&record.meta().label).is_ok_and(|label| label.channel == name)
}

impl Channels {
    /// The channel of a name, if there is one.
    fn find(&self, named: &Named) -> Option<Arc<Channel>> {
        let channel = self.0.lock().get(named).cloned()?;
        *channel.used.lock() = Instant::now();
        Some(channel)
    }

    /// The channel of a name; it begins now if there is none.
    pub(super) async fn open(
        &self,
        journal: &Journal,
        owner: Option<&str>,
        name: &str,
    ) -> Result<Arc<Channel>, Refusal> {
        let named = (owner.map(String::from), name.to_owned());
        if let Some(channel) = self.find(&named) {
            return Ok(channel);
        }
        if self.0.lock().len() >= MAX_CHANNELS {
            let words = "the gateway has no room for another channel";
            return Err(Refusal::new(Code::QueueFull, words).retry_after(60));
        }
        let label = serde_json::to_vec(&Label { channel: name.to_owned() }).unwrap_or_default();
        let meta = Meta {
            id: random_id(),
            owner: named.0.clone(),
            conversation: None,
            created: SystemTime::now(),
            linger: None,
            retention: journal.retention(),
            label: label.into(),
        };
        let Created::New { writer, record, .. } =
            journal.create(New { meta, key: None, busy: Busy::Begin }).await
        else {
            return Err(Refusal::new(Code::Internal, "the channel could not begin"));
        };
        let new =
            Channel { record, writer: sync::Mutex::new(Some(writer)), used: Mutex::new(Instant::now()) };
        let new = Arc::new(new);
        let standing = Arc::clone(self.0.lock().entry(named).or_insert_with(|| Arc::clone(&new)));
        if !Arc::ptr_eq(&standing, &new) {
            new.end().await; // somebody else was faster
            journal.delete(&new.record).await.unwrap_or_default(); // nobody knows its id
        }
        Ok(standing)
    }

    /// Ends the channel of a name; false if there is none.
    pub(super) async fn end(&self, owner: Option<&str>, name: &str) -> bool {
        let removed = self.0.lock().remove(&(owner.map(String::from), name.to_owned()));
        match removed {
            Some(channel) => {
                channel.end().await;
                true
            }
            None => false,
        }
    }

    /// Ends the channels that nobody reads and that nobody has used for as long as records are kept. To be called now and then.
    pub async fn sweep(&self, journal: &Journal) {
        let now = Instant::now();
        let mut idle = Vec::new();
        self.0.lock().retain(|_, channel| {
            let mut used = channel.used.lock();
            if channel.record.status().readers > 0 {
                *used = now;
            }
            let keep = now < *used + journal.retention();
            if !keep {
                idle.push(Arc::clone(channel));
            }
            keep
        });
        for channel in idle {
            channel.end().await;
        }
    }

    /// Ends all of them: the gateway is being restarted, and their readers shall find the next one.
    pub async fn end_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for channel in all.into_values() {
            channel.end().await;
        }
    }
}

impl Channel {
    /// Publishes one event and gives its number; `None` if the channel has ended.
    pub(super) async fn publish(&self, frame: Bytes) -> Option<u64> {
        let writer = self.writer.lock().await;
        writer.as_ref()?.append([frame]);
        *self.used.lock() = Instant::now();
        Some(self.record.status().last)
    }

    async fn end(&self) {
        let writer = self.writer.lock().await.take();
        if let Some(writer) = writer {
            writer.close();
        }
    }
}
