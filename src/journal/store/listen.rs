//! Wake-ups: one connection for all streams that are read or written here. They may get lost: the clock does not.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use redis::{RedisError, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::journal::shelf::Shelf;
use crate::journal::store::names::{StreamKeys, replica, stream_of};
use crate::journal::store::{PATIENT, Store};

/// The streams that are to be looked at. Each stands there once.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    ids: Mutex<HashSet<String>>,
    more: Notify,
}

impl Wakes {
    pub(super) fn wake(&self, id: &str) {
        self.ids.lock().insert(id.into());
        self.more.notify_one();
    }

    /// Wakes all mirrors.
    pub(super) fn all(&self, shelf: &Shelf) {
        for mirror in shelf.mirrors() {
            self.wake(&mirror.meta().id);
        }
    }

    /// Waits until there is one. Cancel safe.
    pub(super) async fn wait(&self) {
        while self.ids.lock().is_empty() {
            self.more.notified().await;
        }
    }

    pub(super) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *self.ids.lock())
    }
}

/// How long a store that hangs up is left alone.
const PAUSE: Duration = Duration::from_millis(300);
/// After how much silence the connection is tried.
const SILENCE: Duration = Duration::from_secs(5);

impl Store {
    pub(super) async fn listen(&self, shelf: &Shelf) {
        loop {
            if self.is_up()
                && let Err(error) = self.listen_once(shelf).await
            {
                tracing::debug!(%error, "no wake-ups from the store");
            }
            sleep(PAUSE).await;
        }
    }

    /// Listens until the connection ends.
    async fn listen_once(&self, shelf: &Shelf) -> RedisResult<()> {
        let Ok(connection) = timeout(PATIENT, self.0.client.get_async_pubsub()).await else { return Ok(()) };
        let (mut sink, mut messages) = connection?.split();
        let home = replica(&self.0.replica);
        in_time(sink.subscribe(&home)).await?;
        let mut heard: HashSet<String> = HashSet::new();
        loop {
            let mirrors = shelf.mirrors();
            let wanted: HashSet<String> = mirrors.iter().map(|mirror| mirror.meta().id.clone()).collect();
            for id in wanted.difference(&heard) {
                in_time(sink.subscribe(StreamKeys::new(id).channel)).await?;
                self.0.wakes.wake(id); // for what came before
            }
            for id in heard.difference(&wanted) {
                in_time(sink.unsubscribe(StreamKeys::new(id).channel)).await?;
            }
            heard = wanted;
            loop {
                let message = tokio::select! {
                    biased;
                    message = messages.next() => message,
                    () = self.0.mirrors.notified() => break,
                    () = sleep(SILENCE) => {
                        // A connection that is dead and does not say so is as silent as one with nothing to tell.
                        in_time(sink.ping::<Value>()).await?;
                        continue;
                    }
                };
                let Some(message) = message else { return Ok(()) };
                if let Some(id) = stream_of(message.get_channel_name()) {
                    self.0.wakes.wake(id);
                } else if let Ok(id) = message.get_payload::<String>()
                    && let Some(Ok(record)) = shelf.find(&id)
                {
                    record.changed_here(); // its next append tells what there is
                }
            }
        }
    }
}

/// What the store does not answer in time it will not answer any more: the connection is given up.
async fn in_time<T>(work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(PATIENT, work).await.map_err(late)?
}
