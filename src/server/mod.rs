//! The server: accepts connections, speaks HTTP on them, and lets them end in peace. It knows no route and no dialect.

mod addresses;
mod config;
mod connection;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod inspect;
mod listen;
mod peer;
mod phase;
mod proxy_protocol;
mod service;
mod shutdown;
mod socket;
mod streams;
pub mod strict;
mod tasks;
mod tls;
mod transport;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::ServerConfig;

use crate::server::addresses::Place;
use crate::server::connection::Accepted;
use crate::telemetry::{Live, Metrics};

pub use addresses::Addresses;
pub use config::{Config, TlsFiles};
pub use connection::{Closing, Hangup};
pub use files::{Room, Spare, room};
pub use listen::{Bound, Listen, Unstarted};
pub use peer::{Forwarding, Proxies};
pub use service::RequestService;
pub use shutdown::Shutdown;
pub use tasks::{Tasks, WorkLimits};
pub use tls::{Certificate, CertificateError};

/// What holds for every connection of a listener.
#[derive(Clone, Debug)]
pub struct Terms {
    pub tasks: Tasks,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
    /// Shared by all listeners of one address.
    pub connections: Arc<AtomicUsize>,
    pub max_connections: usize,
    /// Descriptors for those who come when there are no others.
    pub spare: Option<Spare>,
    /// Shared by all listeners.
    pub addresses: Addresses,
    pub max_per_address: Option<NonZeroUsize>,
    pub max_age: Option<Duration>,
    pub header_timeout: Duration,
    pub write_timeout: Duration,
    pub max_header_bytes: usize,
    pub tls: Option<Arc<ServerConfig>>,
    pub h2c: bool,
    pub proxy_protocol: bool,
    pub proxies: Proxies,
}

impl Terms {
    /// How old this connection may become: a tenth more or less, so that those of one moment do not come back in one moment.
    fn max_age(&self) -> Option<Duration> {
        let age = self.max_age?;
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        Some(age.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX)))
    }
}

/// One listener's accept loop.
#[derive(Clone, Debug)]
pub struct Server(pub Arc<Terms>);

/// What makes a connection count, for the limits and for the metrics, while it lives.
#[derive(Debug)]
struct Held {
    _counted: Counted,
    _place: Option<Place>,
    _live: Live,
}

/// A connection that counts while it lives.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// After an error of `accept` (no file descriptors, most likely), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is tried to take back descriptors that somebody else has taken.
const REFILL: Duration = Duration::from_secs(1);
/// How often such errors are logged.
const ACCEPT_LOG: Duration = Duration::from_secs(10);

impl Server {
    /// Accepts until the gateway drains, then waits for the connections that are open.
    pub async fn run<S: RequestService>(self, listener: Unstarted, service: S) -> std::io::Result<()> {
        let listener = listener.start()?;
        let terms = &self.0;
        let mut logged: Option<Instant> = None;
        loop {
            let short = terms.spare.as_ref().filter(|spare| spare.is_short());
            let accepted = tokio::select! {
                biased;
                () = terms.shutdown.draining() => break,
                accepted = listener.accept() => accepted,
                () = sleep(REFILL), if short.is_some() => {
                    short.inspect(|spare| spare.refill());
                    continue;
                }
            };
            match accepted {
                Ok((transport, peer)) => {
                    let counted = Counted(Arc::clone(&terms.connections));
                    let before = terms.connections.fetch_add(1, Ordering::Relaxed);
                    let accepted = Accepted { transport, peer, counted };
                    self.connect(accepted, before >= terms.max_connections, service.clone());
                }
                Err(error) if files::is_lack(&error) && terms.spare.as_ref().is_some_and(Spare::release) => {}
                Err(error) => {
                    if logged.is_none_or(|logged| logged.elapsed() > ACCEPT_LOG) {
                        tracing::warn!(%error, "cannot accept connections");
                        logged = Some(Instant::now());
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        terms.tasks.close();
        terms.tasks.wait().await;
        Ok(())
    }

    fn connect<S: RequestService>(&self, accepted: Accepted, full: bool, service: S) {
        let terms = &self.0;
        if full {
            terms.metrics.connection_refused("full");
            terms.tasks.spawn(connection::turn_away(accepted, terms.tls.is_none()));
            return;
        }
        if let Err(error) = accepted.transport.prepare(terms.write_timeout) {
            tracing::debug!(%error, "a socket's options are not set");
        }
        let serving = connection::run(accepted, service, Arc::clone(terms));
        match terms.spare.clone() {
            None => terms.tasks.spawn(serving),
            // The descriptor that it leaves behind is kept for the next one before anybody else takes it.
            Some(spare) => terms.tasks.spawn(async move {
                serving.await;
                spare.refill();
            }),
        }
    }
}
