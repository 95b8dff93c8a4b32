//! What is done to one stream in the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind};

use crate::journal::Trimmed;
use crate::journal::new::StoreError;
use crate::journal::record::{Batch, Gone, Load, Record, Viewer};
use crate::journal::store::names::StreamKeys;
use crate::journal::store::seal::{Place, Seal};
use crate::journal::store::{PATIENT, QUICK, REMEMBERED, Store, end, head, millis};

/// What came of an append.
#[derive(Debug)]
pub(super) enum Appended {
    Kept(News),
    /// The store knows nothing of the stream.
    Missing,
    /// It has been thrown away.
    Deleted,
    /// The others took this writer for dead.
    Fenced,
    /// The store has less than was thought: up to this frame, and so many pieces of the next.
    Behind(u64, u64),
}

/// What a writer is told with every append.
#[derive(Debug)]
pub(super) struct News {
    /// The last frame that the store has.
    pub(super) last: u64,
    /// How many pieces it has of the frame behind that one.
    pub(super) pieces: u64,
    /// How many pieces it has of what is known of the stream from its beginning.
    pub(super) head: u64,
    pub(super) gone: Option<Gone>,
    /// The viewer that has taken everybody's place, and in which turn.
    pub(super) viewer: Option<(String, u64)>,
    /// Somebody reads it on another replica.
    pub(super) is_read: bool,
}

impl Store {
    pub(super) fn seal(&self, id: &str) -> Seal {
        Seal::new(self.0.seal.as_ref(), id)
    }

    /// Begins a stream. Does nothing if it has begun. What is known of it follows with its frames, where that is much.
    pub(in crate::journal) async fn begin(&self, record: &Record) -> Result<(), StoreError> {
        let meta = record.meta();
        let (keys, seal) = (StreamKeys::new(&meta.id), self.seal(&meta.id));
        let (first, last) = head::piece(meta, 0).ok_or(StoreError::Refused)?;
        let head = seal.piece(0, (0, last), &first).ok_or(StoreError::Refused)?;
        let owner = self.0.names.owner(meta.owner.as_deref());
        let owner = seal.close_at(Place::Owner, owner.as_bytes()).ok_or(StoreError::Refused)?;
        let mut script = self.0.scripts.create.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(&self.0.replica).arg(owner).arg(millis(self.0.lease)).arg(self.running_ttl()).arg(head);
        let mut connection = self.connection()?;
        let pieces: u64 = self.within(QUICK, script.invoke_async(&mut connection)).await?;
        if let Some(copied) = record.copied() {
            copied.has_head(pieces);
        }
        self.enlist(meta).await
    }

    /// Adds one batch to each of several streams, all in one go. What came of each, in order.
    pub(super) async fn append(
        &self,
        batches: &[(Arc<Record>, Batch)],
    ) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
        let mut all = Pipeline::with_capacity(batches.len());
        all.ignore_errors();
        for (record, batch) in batches {
            all.add_command(self.appending(record, batch).ok_or(StoreError::Refused)?);
        }
        let mut connection = self.connection()?;
        let appending = async {
            let replies: Vec<RedisResult<Vec<Bytes>>> = all.query_async(&mut connection).await?;
            let unknown = |reply: &RedisResult<_>| reply.as_ref().is_err_and(is_no_script);
            if !replies.iter().any(unknown) {
                return Ok(replies);
            }
            // It was started anew. What is sent twice is taken once.
            self.0.scripts.append.load_async(&mut connection).await?;
            all.query_async(&mut connection).await
        };
        let replies = self.within(PATIENT, appending).await?;
        Ok(replies.into_iter().map(|reply| self.judged(reply)).collect())
    }

    fn judged(&self, reply: RedisResult<Vec<Bytes>>) -> Result<Appended, StoreError> {
        let reply = reply.map_err(|error| self.failed(&error))?;
        appended(&reply).ok_or(StoreError::Refused)
    }

    /// `None`: there is no randomness to seal with.
    fn appending(&self, record: &Record, batch: &Batch) -> Option<Cmd> {
        let meta = record.meta();
        let keys = StreamKeys::new(&meta.id);
        let seal = self.seal(&meta.id);
        let sent = if let Load::Frames(frames) = &batch.load { frames.len() as u64 } else { 1 };
        let last = (batch.from + sent).saturating_sub(1);
        let (end, reason, sealed) = match &batch.ended {
            None => ("", "", Vec::new()),
            Some(ended) => end::write(&seal, ended, Some(last))?,
        };
        let running = self.running_ttl();
        let ttl = |more: Duration| if end.is_empty() { running } else { millis(meta.retention + more) };
        let mut append = redis::cmd("EVALSHA");
        append.arg(self.0.scripts.append.get_hash()).arg(4);
        append.arg(keys.meta).arg(keys.frames).arg(keys.head).arg(keys.readers);
        append.arg(&self.0.replica).arg(batch.from).arg(batch.first).arg(batch.kept);
        append.arg(millis(self.0.lease)).arg(ttl(REMEMBERED)).arg(ttl(Duration::ZERO));
        append.arg(end).arg(reason).arg(sealed).arg(keys.channel);
        match &batch.load {
            Load::Frames(frames) => {
                append.arg("frames").arg(0);
                for (number, frame) in (batch.from..).zip(frames) {
                    append.arg(seal.close(number, frame)?);
                }
            }
            Load::Piece { piece, index, last } => {
                append.arg(if *last { "last" } else { "piece" }).arg(*index);
                append.arg(seal.piece(batch.from, (*index, *last), piece)?);
            }
            Load::Head { piece, index, last } => {
                append.arg("head").arg(*index).arg(seal.piece(0, (*index, *last), piece)?);
            }
        }
        Some(append)
    }

    /// Ends a stream whose writer has let its lease run out. While the store was away nobody could renew one: then the writer
    /// is given the time to do so.
    pub(super) async fn fence(&self, id: &str) -> Result<(), StoreError> {
        if !self.0.health.is_settled() {
            return Err(StoreError::Away);
        }
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.fence.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(self.running_ttl() + millis(REMEMBERED)).arg(self.running_ttl()).arg(keys.channel);
        let mut connection = self.connection()?;
        let fenced: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        if fenced == 1 {
            tracing::warn!(stream = id, "its replica is gone: the stream has ended");
        }
        Ok(())
    }

    /// Asks the replica that writes a stream to stop.
    pub(in crate::journal) async fn cancel(&self, id: &str, why: Gone) -> Result<(), StoreError> {
        let mut script = self.0.scripts.cancel.prepare_invoke();
        script.key(StreamKeys::new(id).meta).arg(why.word()).arg(id);
        let mut connection = self.connection()?;
        let _: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        Ok(())
    }

    /// Throws a stream away.
    pub(in crate::journal) async fn delete(&self, id: &str) -> Result<(), StoreError> {
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.delete.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head);
        script.arg(millis(REMEMBERED)).arg(keys.channel).arg(id);
        let mut connection = self.connection()?;
        let _: u8 = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        Ok(())
    }

    /// Asks all replicas whether a viewer may read, and tells them of one that takes everybody's place.
    pub(in crate::journal) async fn admit(&self, id: &str, viewer: &mut Viewer) -> Result<(), Trimmed> {
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.view.prepare_invoke();
        script.key(keys.meta).key(keys.viewers);
        script
            .arg(&viewer.id)
            .arg(u8::from(viewer.exclusive))
            .arg(self.running_ttl())
            .arg(keys.channel)
            .arg(id);
        // Without the store it is between the viewers of this replica.
        let Ok(mut connection) = self.connection() else { return Ok(()) };
        let told: Result<(String, u64), _> = self.within(QUICK, script.invoke_async(&mut connection)).await;
        match told {
            Ok((word, _)) if word == "superseded" => Err(Trimmed::Superseded),
            Ok((_, turn)) => {
                viewer.turn = turn;
                Ok(())
            }
            Err(StoreError::Away | StoreError::Refused) => Ok(()),
        }
    }

    /// Viewers that lost their place here may not come back on another replica either.
    pub(super) async fn supersede(&self, id: &str, viewers: Vec<String>) {
        let Ok(mut connection) = self.connection() else { return };
        if viewers.is_empty() {
            return;
        }
        let key = StreamKeys::new(id).viewers;
        let mut both = redis::pipe();
        both.cmd("SADD").arg(&key).arg(viewers).ignore();
        both.cmd("PEXPIRE").arg(&key).arg(self.running_ttl()).ignore();
        let told: Result<(), StoreError> = self.within(PATIENT, both.query_async(&mut connection)).await;
        drop(told); // they are superseded here in any case
    }
}

fn is_no_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

pub(super) fn appended(reply: &[Bytes]) -> Option<Appended> {
    let number = |at: usize| std::str::from_utf8(reply.get(at)?).ok()?.parse::<u64>().ok();
    Some(match reply.first()?.as_ref() {
        b"kept" => {
            let viewer = String::from_utf8(reply.get(4)?.to_vec()).ok().filter(|viewer| !viewer.is_empty());
            Appended::Kept(News {
                last: number(1)?,
                pieces: number(6)?,
                head: number(7)?,
                gone: Gone::of_word(reply.get(2)?),
                viewer: viewer.zip(number(3)),
                is_read: number(5)? == 1,
            })
        }
        b"missing" => Appended::Missing,
        b"deleted" => Appended::Deleted,
        b"fenced" => Appended::Fenced,
        b"behind" => Appended::Behind(number(1)?, number(2)?),
        _ => return None,
    })
}
