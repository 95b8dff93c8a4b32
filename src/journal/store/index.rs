//! The names under which streams are found: the key of the request that made one, its conversation, the list of its owner.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes};

use crate::journal::Key;
use crate::journal::list::Entry;
use crate::journal::new::{Claim, IN_LINE, StoreError};
use crate::journal::record::{Ended, Meta, Record, Status};
use crate::journal::store::look::Question;
use crate::journal::store::{PATIENT, QUICK, REMEMBERED, Store, millis};

/// How many streams of one owner are listed.
const LISTED: isize = 1000;
/// How many streams of one conversation stand in its line: as many as may, those that come at the same time, and those that have
/// ended and have not left it.
const STANDING: usize = 2 * IN_LINE;

impl Store {
    /// Puts a stream on its owner's list, unless it has no label.
    pub(super) async fn enlist(&self, meta: &Meta) -> Result<(), StoreError> {
        if meta.label.is_empty() {
            return Ok(());
        }
        let list = self.0.names.list(meta.owner.as_deref());
        let created = millis(meta.created.duration_since(UNIX_EPOCH).unwrap_or_default());
        let mut all = redis::pipe();
        all.cmd("ZADD").arg(&list).arg(created).arg(&meta.id).ignore();
        all.cmd("ZREMRANGEBYRANK").arg(&list).arg(0).arg(-LISTED - 1).ignore();
        all.cmd("PEXPIRE").arg(&list).arg(self.name_ttl()).ignore();
        let mut connection = self.connection()?;
        self.within(QUICK, all.query_async(&mut connection)).await
    }

    /// How long a name stands for a stream: while the stream runs it is renewed.
    pub(super) fn name_ttl(&self) -> u64 {
        self.running_ttl() + millis(REMEMBERED)
    }

    /// Has a key stand for a stream, if it stands for `known` now; gives what else it stands for.
    pub(in crate::journal) async fn claim(
        &self,
        meta: &Meta,
        key: &Key,
        known: Option<&Claim>,
    ) -> Result<Option<Claim>, StoreError> {
        let name = self.0.names.key(meta.owner.as_deref(), &key.name);
        let known = known.map(|known| claim(&known.fingerprint, &known.id)).unwrap_or_default();
        let new = claim(&key.fingerprint, &meta.id);
        let found = self.take_name((&name, self.name_ttl()), &known, new, QUICK).await?;
        Ok(if found == known { None } else { read_claim(&found) })
    }

    /// Has a conversation stand for a stream, which is the last in its line then, if it stands for `known` now; gives what else it
    /// stands for.
    pub(in crate::journal) async fn converse(
        &self,
        meta: &Meta,
        conversation: &str,
        known: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let (owner, known) = (meta.owner.as_deref(), known.unwrap_or_default());
        let mut script = self.0.scripts.converse.prepare_invoke();
        script
            .key(self.0.names.conversation(owner, conversation))
            .key(self.0.names.line(owner, conversation));
        script.arg(known).arg(&meta.id).arg(self.name_ttl()).arg(STANDING);
        let mut connection = self.connection()?;
        let found: String = self.within(QUICK, script.invoke_async(&mut connection)).await?;
        Ok(Some(found).filter(|found| found != known))
    }

    /// Has a name stand for something new, if it stands for `known` now; gives what it stood for.
    pub(super) async fn take_name(
        &self,
        (name, ttl): (&str, u64),
        known: &[u8],
        new: Vec<u8>,
        patience: Duration,
    ) -> Result<Bytes, StoreError> {
        let mut script = self.0.scripts.claim.prepare_invoke();
        script.key(name).arg(known).arg(new).arg(ttl);
        let mut connection = self.connection()?;
        self.within(patience, script.invoke_async(&mut connection)).await
    }

    /// The id of the stream that its backend calls so.
    pub(in crate::journal) async fn of_alias(
        &self,
        owner: Option<&str>,
        alias: &str,
    ) -> Result<Option<String>, StoreError> {
        let name = self.0.names.alias(owner, alias);
        let mut connection = self.connection()?;
        self.within(PATIENT, redis::cmd("GET").arg(name).query_async(&mut connection)).await
    }

    /// Has a stream be found by what its backend calls it, too, for as long as by its other names.
    pub(super) async fn share_alias(&self, record: &Record) {
        let (meta, Some(alias)) = (record.meta(), record.alias()) else { return };
        let name = self.0.names.alias(meta.owner.as_deref(), &alias);
        let Ok(mut connection) = self.connection() else { return };
        let share = redis::cmd("SET").arg(name).arg(&meta.id).arg("PX").arg(self.name_ttl()).to_owned();
        let shared: Result<(), StoreError> = self.within(PATIENT, share.query_async(&mut connection)).await;
        drop(shared); // its own id finds it all the same
    }

    /// The id of the newest stream of a conversation.
    pub(in crate::journal) async fn conversation(
        &self,
        owner: Option<&str>,
        conversation: &str,
    ) -> Result<Option<String>, StoreError> {
        let name = self.0.names.conversation(owner, conversation);
        let mut connection = self.connection()?;
        self.within(PATIENT, redis::cmd("GET").arg(name).query_async(&mut connection)).await
    }

    /// Writes the names of a stream anew: the store may have lost them, and a stream that was begun while it was away has none.
    pub(super) async fn rename(&self, record: &Record) -> Result<(), StoreError> {
        let meta = record.meta();
        if let Some(key) = record.copied().and_then(|copied| copied.key.as_ref()) {
            self.claim(meta, key, None).await?;
        }
        let Some(conversation) = &meta.conversation else { return Ok(()) };
        let Some(other) = self.converse(meta, conversation, None).await? else { return Ok(()) };
        let owner = meta.owner.as_deref();
        let entry = self.entry(owner, &other).await?;
        // The newest of a conversation is the one that its name stands for.
        if other != meta.id
            && entry.is_none_or(|entry| entry.meta.created <= meta.created)
            && self.converse(meta, conversation, Some(&other)).await?.is_none()
        {
            return Ok(());
        }
        let line = self.0.names.line(owner, conversation);
        let ahead = redis::cmd("ZADD").arg(line).arg("NX").arg(0).arg(&meta.id).to_owned();
        let mut connection = self.connection()?;
        self.within(QUICK, ahead.query_async(&mut connection)).await
    }

    /// Has the names of a stream that runs last longer.
    pub(super) async fn renew_names(&self, record: &Record) {
        let meta = record.meta();
        let owner = meta.owner.as_deref();
        let key = record.copied().and_then(|copied| copied.key.as_ref());
        let key = key.map(|key| self.0.names.key(owner, &key.name));
        let conversation = meta.conversation.as_ref().map(|name| self.0.names.conversation(owner, name));
        let mut all = redis::pipe();
        let line = meta.conversation.as_ref().map(|name| self.0.names.line(owner, name));
        let names = key.into_iter().chain(conversation).chain(line);
        for name in names.chain([self.0.names.list(owner)]) {
            all.cmd("PEXPIRE").arg(name).arg(self.name_ttl()).ignore();
        }
        let Ok(mut connection) = self.connection() else { return };
        let renewed: Result<(), StoreError> = self.within(PATIENT, all.query_async(&mut connection)).await;
        drop(renewed); // the next time, then
    }

    /// The ids of the streams of an owner, and when they began, in milliseconds.
    pub(in crate::journal) async fn listed(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let list = self.0.names.list(owner);
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(list).arg(0).arg(LISTED - 1).arg("WITHSCORES");
        let mut connection = self.connection()?;
        let pairs: Vec<(String, f64)> = self.within(PATIENT, command.query_async(&mut connection)).await?;
        Ok(pairs.into_iter().map(|(id, created)| (whole(created), id)).collect())
    }

    /// Takes streams that are not there any more from the list of their owner.
    pub(in crate::journal) async fn unlist(&self, owner: Option<&str>, ids: Vec<String>) {
        self.take_away(self.0.names.list(owner), &ids).await;
    }

    /// The ids of the streams of a conversation that may still run, in the order in which its name stood for them.
    pub(in crate::journal) async fn line(
        &self,
        owner: Option<&str>,
        conversation: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.0.names.line(owner, conversation)).arg(0).arg(-1);
        let mut connection = self.connection()?;
        self.within(QUICK, command.query_async(&mut connection)).await
    }

    /// Takes streams that have ended from the line of their conversation.
    pub(in crate::journal) async fn leave_line(
        &self,
        owner: Option<&str>,
        conversation: &str,
        ids: &[String],
    ) {
        self.take_away(self.0.names.line(owner, conversation), ids).await;
    }

    async fn take_away(&self, set: String, ids: &[String]) {
        let Ok(mut connection) = self.connection() else { return };
        let command = redis::cmd("ZREM").arg(set).arg(ids).to_owned();
        let removed: Result<u64, StoreError> =
            self.within(PATIENT, command.query_async(&mut connection)).await;
        drop(removed); // they are looked at once more, then
    }

    /// `None`: it is not there any more, or is no stream.
    pub(in crate::journal) async fn entry(
        &self,
        owner: Option<&str>,
        id: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let question = Question { after: 0, count: 0, reads: false, head: true };
        let look = match self.look(id, question).await {
            Ok(Some(look)) => look,
            Ok(None) | Err(StoreError::Refused) => return Ok(None),
            Err(StoreError::Away) => return Err(StoreError::Away),
        };
        // A large label is cut off: what stands behind it is not for lists.
        let start = self.start(id, &look).map(|(meta, _)| meta);
        let own = |meta: &Meta| meta.owner.as_deref() == owner && !look.deleted;
        let Some(meta) = start.filter(own) else { return Ok(None) };
        let lost = (!look.alive && self.0.health.is_settled()).then(Ended::lost);
        let status = Status {
            first: look.first,
            last: look.last,
            bytes: look.bytes,
            readers: 0,
            ended: look.ended.or(lost),
            tokens: None,
        };
        Ok(Some(Entry { meta, status }))
    }
}

/// A score of a sorted set as the number that it was.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970 are less than 2^53"
)]
fn whole(score: f64) -> u64 {
    score as u64
}

fn claim(fingerprint: &[u8; 32], id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_slice(fingerprint);
    out.put_slice(id.as_bytes());
    out
}

pub(super) fn read_claim(stored: &[u8]) -> Option<Claim> {
    let (fingerprint, id) = stored.split_first_chunk::<32>()?;
    Some(Claim { fingerprint: *fingerprint, id: String::from_utf8(id.to_vec()).ok()? })
}
