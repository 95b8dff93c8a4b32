//! Whether the store is there: one connection, asked now and then whether it still takes something. One warning per outage.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, RedisError, RedisResult};
use tokio::time::{Instant, sleep, timeout};

use crate::journal::new::StoreError;
use crate::journal::shelf::Shelf;
use crate::journal::store::names::{PROBE, SECRET};
use crate::journal::store::seal::Seal;
use crate::journal::store::{PATIENT, Store};

/// Is it there?
#[derive(Debug, Default)]
pub(super) struct Health {
    state: AtomicU8,
    /// Since when, if it is.
    since: Mutex<Option<Instant>>,
}

const UP: u8 = 1;
const DOWN: u8 = 2;

impl Health {
    pub(super) fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UP
    }

    /// Had every replica the time to renew its leases since the store last answered nobody?
    pub(super) fn is_settled(&self) -> bool {
        self.is_up() && self.since.lock().is_some_and(|since| since.elapsed() >= SETTLED)
    }
}

/// How long it takes the replicas at most to notice that the store answers again, and to renew their leases: who has not done
/// so by then is dead.
const SETTLED: Duration = Duration::from_secs(3);

/// How often it is asked.
const PROBES: Duration = Duration::from_millis(500);
/// How long an answer to that may take.
const ANSWER: Duration = Duration::from_secs(1);
/// After so many questions without an answer the connection is given up.
const UNANSWERED: u32 = 5;

/// Which run of which server this is. Nothing if it does not say so: then one run cannot be told from the next.
async fn run_of(connection: &mut redis::aio::MultiplexedConnection) -> RedisResult<String> {
    let told: RedisResult<String> = redis::cmd("INFO").arg("server").query_async(connection).await;
    match told {
        Ok(told) => {
            let run = told.lines().find_map(|line| line.strip_prefix("run_id:"));
            Ok(run.unwrap_or_default().trim().to_owned())
        }
        Err(error) if error.is_io_error() || error.is_connection_dropped() => Err(error),
        Err(_) => Ok(String::new()),
    }
}

impl Store {
    /// Waits for the store, but not for long: a gateway starts without it too.
    pub(in crate::journal) async fn connect(&self) {
        if let Err(words) = self.probe().await {
            self.is_down(&words);
        }
    }

    pub(super) async fn watch(&self, shelf: &Shelf) {
        let mut unanswered = 0;
        loop {
            sleep(PROBES).await;
            let was_up = self.is_up();
            match self.probe().await {
                Ok(()) => unanswered = 0,
                Err(words) => {
                    self.is_down(&words);
                    unanswered += 1;
                    if unanswered % UNANSWERED == 0 {
                        *self.0.connection.lock() = None;
                    }
                }
            }
            if self.is_up() && !was_up {
                for record in shelf.all(|record| record.copied().is_some()) {
                    record.changed_here();
                }
                self.0.wakes.all(shelf);
            }
        }
    }

    /// Connects if there is no connection, and writes something small.
    async fn probe(&self) -> Result<(), String> {
        let work = async {
            let known = self.0.connection.lock().clone();
            let mut connection = match known {
                Some(connection) => connection,
                None => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(ANSWER))
                        .set_response_timeout(Some(PATIENT * 2));
                    let mut new = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
                    *self.0.run.lock() = run_of(&mut new).await?;
                    *self.0.connection.lock() = Some(new.clone());
                    new
                }
            };
            let probed: RedisResult<()> = redis::cmd("SET")
                .arg(PROBE)
                .arg(&self.0.replica)
                .arg("PX")
                .arg(60_000)
                .query_async(&mut connection)
                .await;
            if let Err(error) = &probed
                && (error.is_io_error() || error.is_connection_dropped())
            {
                *self.0.connection.lock() = None;
            }
            probed?;
            if !self.is_up() {
                self.share_secret(&mut connection).await?;
            }
            Ok::<_, RedisError>(())
        };
        match timeout(ANSWER, work).await {
            Ok(Ok(())) => {
                self.is_there();
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it does not answer in time".into()),
        }
    }

    /// All replicas sign addresses with the secret of the first.
    async fn share_secret(&self, connection: &mut redis::aio::MultiplexedConnection) -> RedisResult<()> {
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
            .query_async(connection)
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
            *self.0.health.since.lock() = Some(Instant::now());
        }
        self.0.metrics.store_up(true);
        if before == DOWN {
            tracing::info!("the store answers again");
        }
    }

    fn is_down(&self, words: &str) {
        let before = self.0.health.state.swap(DOWN, Ordering::Relaxed);
        self.0.outbox.is_away(true);
        self.0.metrics.store_up(false);
        if before != DOWN {
            tracing::warn!(
                why = words,
                "the store does not answer: streams go on here, and other replicas cannot read them"
            );
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
                self.is_down("it does not answer in time");
                Err(StoreError::Away)
            }
        }
    }

    /// A command failed.
    pub(super) fn failed(&self, error: &RedisError) -> StoreError {
        let kind = StoreError::from(error);
        self.0.metrics.store_error();
        match kind {
            StoreError::Away => self.is_down(&error.to_string()),
            StoreError::Refused => tracing::debug!(%error, "the store refuses something"),
        }
        kind
    }
}
