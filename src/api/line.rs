//! The line of a conversation: what runs, what waits for its turn, and how they are ended for a newer one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::timeout;

use crate::api::Parts;
use crate::journal::{Gone, Record};

/// What runs or waits in the conversation of a stream that begins, the last of it first, which is `before`.
pub(super) async fn ahead(parts: &Parts, record: &Record, before: Option<Arc<Record>>) -> Vec<Arc<Record>> {
    let Some(before) = before else { return Vec::new() };
    let line = parts.journal.line(record).await;
    let others = line.into_iter().rev().filter(|other| other.meta().id != before.meta().id);
    [Arc::clone(&before)].into_iter().chain(others).collect()
}

/// When the turn of a stream comes: behind all that were ahead of it, for the last of them may be cancelled while it waits, too.
pub(super) fn turn(after: Vec<Arc<Record>>) -> Option<BoxFuture<'static, ()>> {
    if after.is_empty() {
        return None;
    }
    Some(async move { drop(join_all(after.iter().map(Record::ended)).await) }.boxed())
}

/// How long those that wait may take to end before the one that they wait for is ended all the same.
const WAITING: Duration = Duration::from_millis(500);

/// Ends what runs or waits, the first of it last: the turn of none shall come meanwhile. Where the store is away, others go on.
pub(super) async fn interrupt(parts: &Parts, mut ahead: Vec<Arc<Record>>) {
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
