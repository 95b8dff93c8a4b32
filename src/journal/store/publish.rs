//! What is published on a channel: all replicas publish, one script gives the numbers.

use bytes::Bytes;

use crate::journal::new::{ChannelError, StoreError};
use crate::journal::record::PIECE;
use crate::journal::store::channel::Channel;
use crate::journal::store::names::{StreamKeys, staged};
use crate::journal::store::pieces::Name;
use crate::journal::store::seal::Place;
use crate::journal::store::{PATIENT, Store};

/// What came of one try to publish.
enum Added {
    Kept(u64),
    /// It should have had another number: the last one is this.
    Behind(u64),
    /// The channel is not there any more.
    Gone,
}

/// Pieces of an event that wait for its beginning.
struct Staged {
    key: String,
    name: Name,
    pieces: usize,
}

/// How long pieces wait for the beginning of their event, in milliseconds.
const STAGED: u64 = 60_000;
/// How often one event is tried.
const TRIES: usize = 64;
impl Store {
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
            let known = self.0.channels.0.lock().get(&place).cloned();
            let channel = match known.filter(|known| Some(&known.id) != gone.as_ref()) {
                Some(channel) => channel,
                None => {
                    let id = self.open_channel(owner, name, gone.as_deref()).await?;
                    self.0.channels.remember(&place, id)
                }
            };
            if let Some(number) = self.add(&channel, frame).await? {
                self.0.wakes.wake(&channel.id); // for the readers here, should the hint get lost
                self.renew_name((owner, &place), &channel).await;
                return Ok((channel.id.clone(), number));
            }
            gone = Some(channel.id.clone());
        }
        Err(ChannelError::Away)
    }

    /// `None`: the channel is not there any more.
    async fn add(&self, channel: &Channel, frame: &Bytes) -> Result<Option<u64>, StoreError> {
        let staged = self.stage(&channel.id, frame).await?;
        if self.0.seal.is_none() {
            return Ok(match self.add_once(&channel.id, (frame, staged.as_ref()), 0).await? {
                Added::Kept(number) => Some(number),
                Added::Behind(_) | Added::Gone => None,
            });
        }
        // A sealed frame holds its number. Other replicas may take it first: then it is sealed anew with the next one.
        let mut last = channel.turn.lock().await;
        for _ in 0..TRIES {
            match self.add_once(&channel.id, (frame, staged.as_ref()), *last + 1).await? {
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

    /// Sends all of a large event but its beginning, one piece after another: who else waits for the store waits for one piece.
    async fn stage(&self, id: &str, frame: &Bytes) -> Result<Option<Staged>, StoreError> {
        let mut name = Name::default();
        let (Some(pieces @ 1..), Ok(())) =
            (frame.len().div_ceil(PIECE).checked_sub(1), getrandom::fill(&mut name))
        else {
            return Ok(None);
        };
        let (seal, key) = (self.seal(id), staged(id));
        let mut connection = self.connection()?;
        for (index, piece) in frame.chunks(PIECE).enumerate().skip(1) {
            let place = Place::Piece { name: &name, index: index as u64, last: index == pieces };
            let stored = seal.close_at(place, piece).ok_or(StoreError::Refused)?;
            let mut both = redis::pipe();
            both.cmd("RPUSH").arg(&key).arg(stored).ignore();
            both.cmd("PEXPIRE").arg(&key).arg(STAGED).ignore();
            let () = self.within(PATIENT, both.query_async(&mut connection)).await?;
        }
        Ok(Some(Staged { key, name, pieces }))
    }

    /// `number`: the one that it must have; 0 for whichever is next.
    async fn add_once(
        &self,
        id: &str,
        (frame, staged): (&Bytes, Option<&Staged>),
        number: u64,
    ) -> Result<Added, StoreError> {
        let (keys, seal) = (StreamKeys::new(id), self.seal(id));
        let stored = match staged {
            None => seal.close(number, frame),
            Some(staged) => seal.begin(number, &staged.name, frame.get(..PIECE).unwrap_or(frame)),
        };
        let stored = stored.ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.publish.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.key(staged.map_or(id, |staged| &staged.key));
        script.arg(self.server_run()).arg(number).arg(self.0.channel_bytes).arg(self.channel_ttl());
        script.arg(keys.channel).arg(stored).arg(staged.map_or(0, |staged| staged.pieces)).arg(seal.adds());
        let mut connection = self.connection()?;
        let reply: Vec<String> = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        let number = || reply.get(1).and_then(|number| number.parse().ok()).ok_or(StoreError::Refused);
        match reply.first().map(String::as_str) {
            Some("kept") => number().map(Added::Kept),
            Some("behind") => number().map(Added::Behind),
            Some("gone") => Ok(Added::Gone),
            Some("incomplete") => Err(StoreError::Away), // it took too long, and its pieces were thrown away
            _ => Err(StoreError::Refused),
        }
    }
}
