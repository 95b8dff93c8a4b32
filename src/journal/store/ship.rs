//! What is written here goes to the store, behind the readers' backs: one task for all streams, which the writers only tell that
//! there is more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::journal::new::StoreError;
use crate::journal::record::{Batch, Copied, Ended, Gone, Progress, Record, Stage};
use crate::journal::shelf::Shelf;
use crate::journal::store::Store;
use crate::journal::store::look::Question;
use crate::journal::store::stream::{Appended, News};

/// The time from one round to the next: what comes meanwhile goes together.
const ROUND: Duration = Duration::from_millis(50);
/// How many streams are sent at a time.
const AT_A_TIME: usize = 64;
/// How many batches of one stream are sent in one round.
const TRIES: usize = 64;
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
            self.ship_round(shelf).await;
            sleep_until(started + ROUND).await;
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
            drop(timeout(FLUSH, self.ship_round(shelf)).await); // the lease tells the others, then
        }
    }

    async fn ship_round(&self, shelf: &Shelf) {
        let mut due = self.0.outbox.take();
        for _ in 0..TRIES {
            let mut more = Vec::new();
            while !due.is_empty() {
                let rest = due.split_off(due.len().min(AT_A_TIME));
                more.extend(self.ship(shelf, std::mem::replace(&mut due, rest)).await);
            }
            due = more;
            if due.is_empty() || !self.is_up() {
                break;
            }
        }
        for record in due {
            record.changed_here(); // later
        }
    }

    /// Sends the next batch of some streams, all in one go; gives those of which there is more.
    async fn ship(&self, shelf: &Shelf, records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
        let (mut batches, mut others) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            match record.copied().map(Copied::progress) {
                Some(Progress { stage: Stage::Copying, last, .. }) => {
                    let batch = record.batch(last);
                    batches.push((record, batch));
                }
                Some(_) => others.push(record),
                None => {}
            }
        }
        let preparing = others.into_iter().map(async |record| {
            let more = self.prepare(shelf, &record).await;
            has_more(record, &more)
        });
        let mut more: Vec<_> = join_all(preparing).await.into_iter().flatten().collect();
        if batches.is_empty() {
            return more;
        }
        let sent = match self.append(&batches).await {
            Ok(sent) => sent,
            Err(error) => batches.iter().map(|_| Err(error.clone())).collect(),
        };
        for ((record, batch), sent) in batches.into_iter().zip(sent) {
            let told = match sent {
                Ok(appended) => Ok(self.sent(shelf, &record, (&batch, appended)).await),
                Err(error) => Err(error),
            };
            more.extend(has_more(record, &told));
        }
        more
    }

    /// Does what must come before the next frames of a stream, or behind its last. `true`: there is more to be sent.
    async fn prepare(&self, shelf: &Shelf, record: &Arc<Record>) -> Result<bool, StoreError> {
        let Some(copied) = record.copied() else { return Ok(false) };
        match copied.progress().stage {
            Stage::Never => Ok(false),
            Stage::Whole => self.look_after(shelf, record).await,
            Stage::Unknown => {
                self.begin(record).await?;
                self.rename(record).await?;
                copied.has(Stage::Copying, 0);
                Ok(true)
            }
            Stage::Copying => Ok(true),
        }
    }

    /// A batch was sent, and this came of it. `true`: there is more to be sent.
    async fn sent(&self, shelf: &Shelf, record: &Arc<Record>, (batch, appended): (&Batch, Appended)) -> bool {
        let Some(copied) = record.copied() else { return false };
        match appended {
            Appended::Kept(news) => {
                let whole = batch.ended.is_some();
                copied.has(if whole { Stage::Whole } else { Stage::Copying }, news.last);
                if let (true, Some(name)) = (whole, &record.meta().conversation) {
                    let meta = record.meta();
                    self.leave_line(meta.owner.as_deref(), name, std::slice::from_ref(&meta.id)).await;
                }
                if batch.frames.is_empty() {
                    self.renew_names(record).await;
                }
                if batch.from == 1 || batch.frames.is_empty() || whole {
                    self.share_alias(record).await;
                }
                self.heed(record, news).await;
                return batch.more;
            }
            Appended::Behind(last) => {
                copied.has(Stage::Copying, last);
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

/// Gives a record back of which there is more to be sent.
fn has_more(record: Arc<Record>, told: &Result<bool, StoreError>) -> Option<Arc<Record>> {
    match told {
        Ok(more) => more.then_some(record),
        Err(StoreError::Away) => Some(record),
        Err(StoreError::Refused) => {
            if let Some(copied) = record.copied() {
                copied.set(Stage::Never);
            }
            let stream = &record.meta().id;
            tracing::warn!(stream, "the store refuses this stream: other replicas cannot read it");
            None
        }
    }
}
