//! The line of a conversation: what runs, what waits for its turn, and how they are ended for a newer one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::{Instant, sleep, timeout};

use crate::api::Parts;
use crate::journal::{Gone, Journal, Record};

/// When the turn of a stream comes: behind all that are ahead of it now. It waits for the last of them, `before`, and looks again
/// then, for that one may have been cancelled while it waited, too. What takes a place ahead of it later may wait for it: it is
/// not looked at.
pub(super) async fn turn(
    journal: &Journal,
    record: &Arc<Record>,
    before: Option<Arc<Record>>,
) -> Option<BoxFuture<'static, ()>> {
    let mut next = Some(before?);
    let (journal, record, mut ids) = (journal.clone(), Arc::clone(record), journal.ids_ahead(record).await);
    ids.shrink_to_fit(); // it is kept for long
    let turn = async move {
        while let Some(other) = next.take() {
            other.ended().await;
            drop(other);
            next = last_running(&journal, &record, &mut ids).await;
        }
    };
    Some(turn.boxed())
}

/// How long a store that does not answer is waited for, and how often it is asked: what runs on another replica is not known without
/// it, but after so long it has ended, or is taken for dead.
const AWAY: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(500);

async fn last_running(journal: &Journal, record: &Record, ids: &mut Vec<String>) -> Option<Arc<Record>> {
    let since = Instant::now();
    loop {
        match journal.take_last_running(record, ids).await {
            Ok(last) => return last,
            Err(_) if since.elapsed() < AWAY => sleep(AGAIN).await,
            Err(_) => drop(ids.pop()),
        }
    }
}

/// How long those that wait may take to end before the one that they wait for is ended all the same.
const WAITING: Duration = Duration::from_millis(500);

/// Ends what runs or waits in the conversation of a stream that begins, the last of it first, which is `before`, and the first of it
/// last: the turn of none shall come meanwhile. Where the store is away, others go on.
pub(super) async fn interrupt(parts: &Parts, record: &Record, before: Arc<Record>) {
    let line = parts.journal.line(record).await;
    let others = line.into_iter().rev().filter(|other| other.meta().id != before.meta().id);
    let mut ahead: Vec<_> = [Arc::clone(&before)].into_iter().chain(others).collect();
    let first = ahead.pop();
    for other in &ahead {
        supersede(parts, other).await;
    }
    if !ahead.is_empty() {
        drop(timeout(WAITING, join_all(ahead.iter().map(Record::ended))).await);
    }
    if let Some(first) = first {
        supersede(parts, &first).await;
    }
}

async fn supersede(parts: &Parts, other: &Record) {
    if parts.journal.cancel(other, Gone::Superseded).await.is_err() {
        tracing::debug!("the store is away: another stream of the conversation goes on");
    }
}
