//! The connections to the store: one that carries all commands, and one on which it is asked whether it is there.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::time::timeout;

use crate::journal::store::names::PROBE;
use crate::journal::store::{PATIENT, Store};

/// How long an answer to a question may take.
pub(super) const ANSWER: Duration = Duration::from_secs(1);
/// After so many questions without an answer a connection is given up, though the store answers on the other.
const UNANSWERED: u32 = 3;

impl Store {
    /// Writes something small, on the connection of the probes.
    pub(super) async fn ask(&self) -> RedisResult<()> {
        // It is put back when it has answered: what fails or is late is given up.
        let known = self.0.probes.lock().take();
        let mut connection = match known {
            Some(connection) => connection,
            None => self.connect_anew().await?,
        };
        let mut set = redis::cmd("SET");
        set.arg(PROBE).arg(&self.0.replica).arg("PX").arg(60_000);
        let asked: RedisResult<()> = set.query_async(&mut connection).await;
        *self.0.probes.lock() = Some(connection).filter(|_| asked.is_ok());
        asked
    }

    /// Sees to the connection of all commands: there is one, and if somebody had no answer on it, it answers.
    pub(super) async fn renew_connection(&self, doubted: bool) -> RedisResult<()> {
        let known = self.0.connection.lock().clone();
        if let Some(mut known) = known {
            if self.is_up() && !doubted {
                return Ok(());
            }
            let ping = redis::cmd("PING");
            match timeout(ANSWER, ping.query_async::<String>(&mut known)).await {
                Ok(Ok(_)) => {
                    self.0.health.unanswered(false);
                    return Ok(());
                }
                // It may only be busy with what is before this.
                Err(_) if self.is_up() && self.0.health.unanswered(true) < UNANSWERED => {
                    self.0.health.doubt();
                    return Ok(());
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        self.0.health.unanswered(false);
        *self.0.connection.lock() = None;
        let mut new = self.connect_anew().await?;
        *self.0.run.lock() = run_of(&mut new).await?;
        *self.0.connection.lock() = Some(new);
        Ok(())
    }

    async fn connect_anew(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(PATIENT * 2));
        self.0.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// Which run of which server this is. Nothing if it does not say so: then one run cannot be told from the next.
async fn run_of(connection: &mut MultiplexedConnection) -> RedisResult<String> {
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
