//! Whether the store is there: it is asked now and then, and when somebody had no answer, on a connection of its own. What is late
//! for one caller is no outage while that answers. One warning per outage.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{RedisError, RedisResult};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::journal::new::StoreError;
use crate::journal::shelf::Shelf;
use crate::journal::store::connection::ANSWER;
use crate::journal::store::error::{is_forbidden, is_late};
use crate::journal::store::names::SECRET;
use crate::journal::store::seal::Seal;
use crate::journal::store::{PATIENT, Store};

/// Is it there?
#[derive(Debug, Default)]
pub(super) struct Health {
    state: AtomicU8,
    /// Since when, if it is, and whether it was away before that.
    since: Mutex<Option<(Instant, bool)>>,
    /// Somebody had no answer: it is asked now.
    doubt: Notify,
    doubted: AtomicBool,
    /// Something was not permitted.
    forbidden: AtomicBool,
    /// How many questions in a row had no answer on the connection of all commands.
    unanswered: AtomicU32,
}

/// Why it is not used.
#[derive(Clone, Copy, Debug)]
enum Trouble<'a> {
    /// It does not answer, or takes nothing now.
    Away(&'a str),
    /// Its user may not do this.
    Forbidden(&'a str),
}

const UP: u8 = 1;
const DOWN: u8 = 2;

impl Health {
    pub(super) fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UP
    }

    /// Had every replica the time to renew its leases since the store last did not answer somebody?
    pub(super) fn is_settled(&self) -> bool {
        self.is_up() && self.since.lock().is_some_and(|(since, _)| since.elapsed() >= SETTLED)
    }

    /// Was it away, and may be told only now of what it lost?
    pub(super) fn is_recovering(&self) -> bool {
        self.since.lock().is_some_and(|(since, again)| again && since.elapsed() < SETTLED)
    }

    /// Somebody had no answer. What was not done meanwhile nobody is blamed for.
    pub(super) fn doubt(&self) {
        if let Some((since, _)) = self.since.lock().as_mut() {
            *since = Instant::now();
        }
        self.doubted.store(true, Ordering::Relaxed);
        self.doubt.notify_one();
    }

    /// Counts a question to which there was no answer, or forgets those before; gives how many there were in a row.
    pub(super) fn unanswered(&self, more: bool) -> u32 {
        if more {
            return self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
        }
        self.unanswered.store(0, Ordering::Relaxed);
        0
    }
}

/// How long it takes the replicas at most to notice that the store answers again, and to renew their leases: who has not done
/// so by then is dead.
const SETTLED: Duration = Duration::from_secs(3);

/// How often it is asked.
const PROBES: Duration = Duration::from_millis(500);
/// How often it is asked at most.
const SOON: Duration = Duration::from_millis(20);
/// What is said of a store that gives no answer.
const LATE: &str = "it does not answer in time";

impl Store {
    /// Waits for the store, but not for long: a gateway starts without it too.
    pub(in crate::journal) async fn connect(&self) {
        self.probe().await;
    }

    pub(super) async fn watch(&self, shelf: &Shelf) {
        loop {
            tokio::select! {
                biased;
                () = self.0.health.doubt.notified() => sleep(SOON).await,
                () = sleep(PROBES) => {}
            }
            let was_up = self.is_up();
            self.probe().await;
            if self.is_up() && !was_up {
                for record in shelf.all(|record| record.copied().is_some()) {
                    record.changed_here();
                }
                self.0.wakes.all(shelf);
            }
        }
    }

    /// Finds out whether it is there, and sees to the connections.
    async fn probe(&self) {
        let (was_up, doubted) = (self.is_up(), self.0.health.doubted.swap(false, Ordering::Relaxed));
        let mut asked = timeout(ANSWER, self.ask()).await;
        if asked.is_err() && was_up {
            // Once more: this process may have had no time to read the answer.
            self.0.health.doubt();
            asked = timeout(ANSWER, self.ask()).await;
        }
        match asked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.is_down(Trouble::Away(&error.to_string())),
            Err(_) => return self.is_down(Trouble::Away(LATE)),
        }
        if !was_up || self.0.health.forbidden.swap(false, Ordering::Relaxed) {
            match timeout(PATIENT, self.forbidden()).await {
                Ok(Ok(missing)) if missing.is_empty() => {}
                Ok(Ok(missing)) => return self.is_down(Trouble::Forbidden(&missing)),
                Ok(Err(error)) => return self.is_down(Trouble::Away(&error.to_string())),
                Err(_) => return self.is_down(Trouble::Away(LATE)),
            }
        }
        let connected = async {
            self.renew_connection(doubted).await?;
            if !was_up {
                self.share_secret().await?;
            }
            Ok::<_, RedisError>(())
        };
        match timeout(PATIENT, connected).await {
            Ok(Ok(())) => self.is_there(),
            Ok(Err(error)) => self.is_down(Trouble::Away(&error.to_string())),
            Err(_) => self.is_down(Trouble::Away(LATE)),
        }
    }

    /// All replicas sign addresses with the secret of the first.
    async fn share_secret(&self) -> RedisResult<()> {
        let Ok(mut connection) = self.connection() else { return Ok(()) };
        let seal = Seal::new(self.0.seal.as_ref(), SECRET);
        let own = self.0.secret.borrow().clone();
        let Some(closed) = seal.close(0, &own) else { return Ok(()) };
        let stored: (redis::Value, Bytes) = redis::pipe()
            .cmd("SET")
            .arg(SECRET)
            .arg(closed)
            .arg("NX")
            .cmd("GET")
            .arg(SECRET)
            .query_async(&mut connection)
            .await?;
        match seal.open(0, &stored.1) {
            Some(secret) if secret != own => drop(self.0.secret.send_replace(secret)),
            Some(_) => {}
            None => {
                tracing::warn!(
                    "the secret in the store cannot be read: do all replicas have one `seal_key`?"
                );
            }
        }
        Ok(())
    }

    fn is_there(&self) {
        let before = self.0.health.state.swap(UP, Ordering::Relaxed);
        self.0.outbox.is_away(false);
        if before != UP {
            *self.0.health.since.lock() = Some((Instant::now(), before == DOWN));
        }
        self.0.metrics.store_up(true);
        if before == DOWN {
            tracing::info!("the store answers again");
        }
    }

    fn is_down(&self, why: Trouble<'_>) {
        let before = self.0.health.state.swap(DOWN, Ordering::Relaxed);
        self.0.outbox.is_away(true);
        self.0.metrics.store_up(false);
        if before == DOWN {
            return;
        }
        match why {
            Trouble::Away(why) => tracing::warn!(
                why,
                "the store does not answer: streams go on here, and other replicas cannot read them"
            ),
            Trouble::Forbidden(missing) => tracing::warn!(
                missing,
                "the store does not permit what the gateway needs: streams go on here, and other replicas cannot read them"
            ),
        }
    }

    /// What came of a command, within its time.
    pub(super) async fn within<T>(
        &self,
        time: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match timeout(time, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => {
                self.0.metrics.store_error();
                self.0.health.doubt();
                Err(StoreError::Away)
            }
        }
    }

    /// A command failed.
    pub(super) fn failed(&self, error: &RedisError) -> StoreError {
        let kind = StoreError::from(error);
        self.0.metrics.store_error();
        match kind {
            StoreError::Away if is_forbidden(error) => {
                self.0.health.forbidden.store(true, Ordering::Relaxed);
                self.0.health.doubt();
            }
            StoreError::Away if is_late(error) => self.0.health.doubt(),
            StoreError::Away => {
                self.is_down(Trouble::Away(&error.to_string()));
                self.0.health.doubt();
            }
            StoreError::Refused => tracing::debug!(%error, "the store refuses something"),
        }
        kind
    }
}
