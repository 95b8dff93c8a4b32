//! The store that replicas share, in Redis or Valkey: every replica finds, follows and cancels the streams of all.
//!
//! ```text
//! Writer → Record → outbox → ship: one fenced Lua append per batch → frames of the stream, wake-up on its channel
//!                            follow: frames behind the last one ← woken by `listen`, and by the clock → mirror → its readers
//! ```
//!
//! Nothing that a reader of this process waits for waits for the store. The lease of a stream is there while its writer lives;
//! a replica that finds it gone counts the stream's epoch up and ends it, and the writer, should it come back, is refused.
//! One multiplexed connection carries all commands: a caller that goes away leaves its reply to nobody else. What is large goes over
//! it in pieces, and whether the store is there is asked on another: a late reply is no outage.

mod budget;
mod channel;
mod connection;
mod end;
mod error;
mod follow;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod health;
mod index;
mod listen;
mod look;
mod names;
mod open;
mod permissions;
mod pieces;
mod publish;
mod scripts;
mod seal;
mod ship;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Client, IntoConnectionInfo as _};
use secrecy::ExposeSecret as _;
use tokio::sync::{Notify, watch};

use crate::journal::new::StoreError;
use crate::journal::record::Outbox;
use crate::journal::shelf::Shelf;
use crate::journal::store::channel::Known;
use crate::journal::store::health::Health;
use crate::journal::store::listen::Wakes;
use crate::journal::store::names::Names;
use crate::journal::store::scripts::Scripts;
use crate::journal::{Config, StoreKind};
use crate::telemetry::{Metrics, random_id};

/// The store; a clone is a handle.
#[derive(Clone)]
pub(super) struct Store(Arc<Inner>);

struct Inner {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// On which it is asked whether it is there.
    probes: Mutex<Option<MultiplexedConnection>>,
    /// Which run of which server it is connected to.
    run: Mutex<String>,
    health: Health,
    /// This process, for the others.
    replica: String,
    lease: Duration,
    retention: Duration,
    /// How much is kept of one channel, in bytes.
    channel_bytes: u64,
    /// The channels that are published on here.
    channels: Known,
    seal: Option<[u8; 32]>,
    names: Names,
    scripts: Scripts,
    metrics: Metrics,
    outbox: Arc<Outbox>,
    wakes: Wakes,
    /// There is a mirror more or less.
    mirrors: Notify,
    secret: watch::Sender<Bytes>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("Store").field("replica", &self.0.replica).finish_non_exhaustive()
    }
}

/// Can this be an address of a store?
pub(super) fn is_url(url: &str) -> bool {
    ["redis://", "rediss://", "redis+unix://", "unix://"].iter().any(|scheme| url.starts_with(scheme))
        && url.into_connection_info().is_ok()
}

/// How long a request waits for the store before it goes on without.
const QUICK: Duration = Duration::from_millis(500);
/// How long somebody waits who can have the answer from nowhere else.
const PATIENT: Duration = Duration::from_secs(2);
/// How long it is remembered that a stream was there, beyond the time in which it can be read.
const REMEMBERED: Duration = Duration::from_hours(1);

impl Store {
    /// `None` where streams are kept in memory alone. The configuration has been checked. `secret`: what this process signs
    /// addresses with until it hears of another.
    pub(super) fn new(config: &Config, metrics: Metrics, secret: Bytes) -> Option<Self> {
        let url = config.url.as_ref().filter(|_| config.store == StoreKind::Redis)?.value()?;
        let client = Client::open(url.expose_secret()).ok()?;
        let seal = config.seal().ok().flatten();
        Some(Self(Arc::new(Inner {
            client,
            connection: Mutex::default(),
            probes: Mutex::default(),
            run: Mutex::default(),
            health: Health::default(),
            replica: random_id(),
            lease: config.lease,
            retention: config.retention,
            channel_bytes: config.max_stream_bytes.as_u64(),
            channels: Known::default(),
            seal,
            names: Names::new(seal),
            scripts: Scripts::default(),
            metrics,
            outbox: Arc::default(),
            wakes: Wakes::default(),
            mirrors: Notify::new(),
            secret: watch::Sender::new(secret),
        })))
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.0.outbox
    }

    /// The secret that all replicas sign addresses with.
    pub(super) fn secret(&self) -> watch::Receiver<Bytes> {
        self.0.secret.subscribe()
    }

    /// Does it answer, as far as is known?
    pub(super) fn is_up(&self) -> bool {
        self.0.health.is_up()
    }

    /// Keeps the connection, sends what is written here and follows what is read here, for as long as the gateway runs.
    pub(super) async fn run(&self, shelf: &Shelf) {
        tokio::join!(
            Box::pin(self.watch(shelf)),
            Box::pin(self.ship_all(shelf)),
            Box::pin(self.listen(shelf)),
            Box::pin(self.follow_all(shelf)),
            Box::pin(self.keep_channels(shelf)),
        );
    }

    fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        self.0.connection.lock().clone().ok_or(StoreError::Away)
    }

    /// How long a stream that runs is kept when nobody renews it: longer than anybody needs to find its writer dead.
    fn running_ttl(&self) -> u64 {
        millis(self.0.retention.max(Duration::from_mins(10)) + self.0.lease)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
