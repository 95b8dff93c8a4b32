//! What is written here goes to the store, behind the readers' backs: one task for all streams, which the writers only tell that
//! there is more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::journal::new::StoreError;
use crate::journal::record::{Batch, Copied, Ended, Gone, Load, PIECE, Record, Stage};
use crate::journal::shelf::Shelf;
use crate::journal::store::look::Question;
use crate::journal::store::stream::{Appended, News};
use crate::journal::store::{Store, head};

/// The time from one round to the next: what comes meanwhile goes together.
const ROUND: Duration = Duration::from_millis(50);
/// How many streams are sent at a time.
const AT_A_TIME: usize = 64;
/// What is sent of one stream is much if it has more bytes than this.
const MUCH: usize = 16 << 10;
/// How many bytes of such streams are sent in one round: the leases of all others wait for them.
const ROOM: usize = PIECE;
/// How long a store that does not answer is left alone.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the last frames may take when the gateway ends.
const FLUSH: Duration = Duration::from_secs(2);

impl Store {
    pub(super) async fn ship_all(&self, shelf: &Shelf) {
        let mut renewals = interval(self.0.lease / 3);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = renewals.tick() => {
                    for record in shelf.running().into_iter().filter(|record| record.copied().is_some()) {
                        record.changed_here();
                    }
                }
                () = self.0.outbox.filled() => {}
            }
            if !self.is_up() {
                sleep(PAUSE).await;
                continue;
            }
            let started = Instant::now();
            match self.ship_round(shelf).await {
                Round::Done => sleep_until(started + ROUND).await,
                Round::More => {}
                Round::Away => sleep(PAUSE).await,
            }
        }
    }

    /// Sends what is left when the gateway ends.
    pub(in crate::journal) async fn flush(&self, shelf: &Shelf) {
        // What was on its way when the gateway ended is sent again.
        let unsent = |record: &Record| {
            let stage = record.copied().map(|copied| copied.progress().stage);
            matches!(stage, Some(Stage::Unknown | Stage::Copying))
        };
        for record in shelf.all(unsent) {
            record.changed_here();
        }
        if self.is_up() {
            let rest = async { while self.ship_round(shelf).await == Round::More {} };
            drop(timeout(FLUSH, rest).await); // the lease tells the others, then
        }
    }

    /// Sends what there is, but no more than there is room for. Nothing waits for all of a large stream.
    async fn ship_round(&self, shelf: &Shelf) -> Round {
        let mut round = Round::Done;
        let is_copying = |record: &Arc<Record>| {
            record.copied().is_some_and(|copied| copied.progress().stage == Stage::Copying)
        };
        let (mut due, mut others): (Vec<_>, Vec<_>) = self.0.outbox.take().into_iter().partition(is_copying);
        // The leases of those that the store does not know come before the frames of all: others wait for a sign of life.
        while !others.is_empty() {
            let rest = others.split_off(others.len().min(AT_A_TIME));
            let prepared = others.into_iter().map(async |record| {
                let told = self.prepare(shelf, &record).await;
                (record, told)
            });
            for (record, told) in join_all(prepared).await {
                match told {
                    Ok(true) => due.push(record),
                    Ok(false) => {}
                    Err(error) => round = round.max(failed(&record, &error)),
                }
            }
            others = rest;
        }
        let (mut batches, mut bytes) = (Vec::with_capacity(due.len()), 0);
        for record in due {
            let Some(mut batch) = following(&record) else { continue };
            let size = batch.load.size();
            if size > MUCH && bytes > 0 && bytes + size > ROOM {
                let renewed = record.copied().map(|copied| copied.progress().at.elapsed());
                if renewed.is_none_or(|ago| ago < self.0.lease / 3) {
                    record.changed_here();
                    round = round.max(Round::More);
                    continue;
                }
                (batch.load, batch.ended, batch.more) = (Load::Frames(Vec::new()), None, true);
            } else if size > MUCH {
                bytes += size;
            }
            batches.push((record, batch));
        }
        while !batches.is_empty() {
            let rest = batches.split_off(batches.len().min(AT_A_TIME));
            round = round.max(self.ship(shelf, batches).await);
            batches = rest;
        }
        round
    }

    /// Sends a batch of each of some streams, all in one go.
    async fn ship(&self, shelf: &Shelf, batches: Vec<(Arc<Record>, Batch)>) -> Round {
        let mut round = Round::Done;
        let sent = match self.append(&batches).await {
            Ok(sent) => sent,
            Err(error) => batches.iter().map(|_| Err(error.clone())).collect(),
        };
        for ((record, batch), sent) in batches.into_iter().zip(sent) {
            match sent {
                Ok(appended) => {
                    if self.sent(shelf, &record, (&batch, appended)).await {
                        record.changed_here();
                        round = round.max(Round::More);
                    }
                }
                Err(error) => round = round.max(failed(&record, &error)),
            }
        }
        round
    }

    /// Does what must come before the next frames of a stream, or behind its last. `true`: there is more to be sent.
    async fn prepare(&self, shelf: &Shelf, record: &Arc<Record>) -> Result<bool, StoreError> {
        let Some(copied) = record.copied() else { return Ok(false) };
        match copied.progress().stage {
            Stage::Never => return Ok(false),
            Stage::Copying => return Ok(true),
            Stage::Whole if !self.look_after(shelf, record).await? => return Ok(false),
            Stage::Whole | Stage::Unknown => {}
        }
        self.begin(record).await?;
        self.rename(record).await?;
        copied.has(Stage::Copying, 0, 0);
        Ok(true)
    }

    /// A batch was sent, and this came of it. `true`: there is more to be sent.
    async fn sent(&self, shelf: &Shelf, record: &Arc<Record>, (batch, appended): (&Batch, Appended)) -> bool {
        let Some(copied) = record.copied() else { return false };
        match appended {
            Appended::Kept(news) => {
                let whole = batch.ended.is_some();
                copied.has(if whole { Stage::Whole } else { Stage::Copying }, news.last, news.pieces);
                copied.has_head(news.head);
                if let (true, Some(name)) = (whole, &record.meta().conversation) {
                    let meta = record.meta();
                    self.leave_line(meta.owner.as_deref(), name, std::slice::from_ref(&meta.id)).await;
                }
                if batch.load.is_empty() {
                    self.renew_names(record).await;
                }
                if batch.from == 1 || batch.load.is_empty() || whole {
                    self.share_alias(record).await;
                }
                self.heed(record, news).await;
                return batch.more;
            }
            Appended::Behind(last, pieces) => {
                copied.has(Stage::Copying, last, pieces);
                return true;
            }
            // The store has lost it. What the others have fenced is remembered for longer than this.
            Appended::Missing
                if copied.progress().at.elapsed() < self.0.retention.max(Duration::from_mins(10)) =>
            {
                copied.set(Stage::Unknown);
                return true;
            }
            Appended::Missing => copied.set(Stage::Never),
            Appended::Deleted => {
                copied.set(Stage::Never);
                record.cancel(Gone::Cancelled);
                shelf.delete(record);
            }
            Appended::Fenced => {
                copied.set(Stage::Never);
                let stream = &record.meta().id;
                tracing::warn!(stream, "other replicas took this one for dead: the stream ends here too");
                record.end_with(Ended::lost());
            }
        }
        false
    }

    /// Somebody else may have thrown away a stream that has ended, or the store may have lost it. `true`: it must be sent anew.
    async fn look_after(&self, shelf: &Shelf, record: &Arc<Record>) -> Result<bool, StoreError> {
        let question = Question { after: 0, count: 0, reads: false, head: false };
        match self.look(&record.meta().id, question).await? {
            Some(look) if look.deleted => shelf.delete(record),
            Some(look) => {
                if let Some((viewer, turn)) = look.viewer {
                    self.supersede(&record.meta().id, record.taken_over(&viewer, turn)).await;
                }
            }
            None => {
                if let Some(copied) = record.copied() {
                    copied.set(Stage::Unknown);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what the others have asked for.
    async fn heed(&self, record: &Arc<Record>, news: News) {
        if let Some(gone) = news.gone {
            record.cancel(gone);
        }
        if news.is_read {
            // Until the renewal after the next.
            record.is_read_elsewhere(Instant::now() + self.0.lease * 2 / 3);
        }
        if let Some((viewer, turn)) = news.viewer {
            self.supersede(&record.meta().id, record.taken_over(&viewer, turn)).await;
        }
    }
}

/// What follows what the store has of a stream, whose beginning comes first.
fn following(record: &Record) -> Option<Batch> {
    let progress = record.copied().map(Copied::progress)?;
    let mut batch = record.batch(progress.last, progress.pieces);
    if let Some((piece, last)) = head::piece(record.meta(), progress.head) {
        let load = Load::Head { piece, index: progress.head, last };
        (batch.load, batch.ended, batch.more) = (load, None, true);
    }
    (progress.stage == Stage::Copying).then_some(batch)
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    Done,
    /// There is more, for which there was no room.
    More,
    /// The store did not take some of it.
    Away,
}

/// A stream was not sent: it is tried again, unless the store refuses it for good.
fn failed(record: &Arc<Record>, error: &StoreError) -> Round {
    match error {
        StoreError::Away => {
            record.changed_here();
            Round::Away
        }
        StoreError::Refused => {
            if let Some(copied) = record.copied() {
                copied.set(Stage::Never);
            }
            let stream = &record.meta().id;
            tracing::warn!(stream, "the store refuses this stream: other replicas cannot read it");
            Round::Done
        }
    }
}
