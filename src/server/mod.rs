//! The server: accepts connections, speaks HTTP on them, and lets them end in peace. It knows no route and no dialect.

mod connection;
mod listen;
mod phase;
mod shutdown;
mod socket;
mod tasks;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower::Service;

use crate::server::connection::Terms;
use crate::telemetry::{Live, Metrics};

pub use connection::Hangup;
pub use listen::bind;
pub use shutdown::Shutdown;
pub use tasks::Tasks;

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: SocketAddr,
    /// Single-threaded runtimes, each with its own listener; 0: one per core.
    pub workers: usize,
    /// Names beside the loopback ones by which the gateway may be called.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call.
    pub allowed_origins: Vec<String>,
    pub max_connections: usize,
    pub max_streams: usize,
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    pub max_header_bytes: ByteSize,
    pub max_body_bytes: ByteSize,
    pub max_json_depth: usize,
    /// How long running streams may go on after the first SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 0,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_connections: 20_000,
            max_streams: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_header_bytes: ByteSize::kib(64),
            max_body_bytes: ByteSize::mib(20),
            max_json_depth: 128,
            drain: Duration::from_secs(30),
        }
    }
}

/// One listener's accept loop.
#[derive(Clone, Debug)]
pub struct Server {
    pub tasks: Tasks,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
    /// Shared by all listeners.
    pub connections: Arc<AtomicUsize>,
    pub max_connections: usize,
    pub header_timeout: Duration,
    pub max_header_bytes: usize,
}

/// What makes a connection count, for the limit and for the metrics, while it lives.
#[derive(Debug)]
struct Held {
    _counted: Counted,
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
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: application/json\r\n\
    Content-Length: 125\r\nConnection: close\r\n\r\n\
    {\"error\":{\"message\":\"the gateway has no room for another connection\",\"type\":\"server_error\",\"param\":null,\"code\":\"queue_full\"}}";

impl Server {
    /// Accepts until the gateway drains, then waits for the connections that are open.
    pub async fn run<S, B>(self, listener: TcpListener, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.draining() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.connect(stream, service.clone()),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn connect<S, B>(&self, stream: TcpStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.connections));
        if before >= self.max_connections {
            self.tasks.spawn(refuse(stream, counted));
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let held = Held { _counted: counted, _live: self.metrics.connection() };
        let terms = Terms {
            shutdown: self.shutdown.clone(),
            header_timeout: self.header_timeout,
            max_header_bytes: self.max_header_bytes,
        };
        self.tasks.spawn(connection::run((stream, held), service, terms));
    }
}

async fn refuse(mut stream: TcpStream, _counted: Counted) {
    let written = timeout(Duration::from_secs(1), async {
        stream.write_all(FULL).await?;
        stream.shutdown().await
    });
    drop(written.await); // it was told, or it is gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_full_gateway_is_as_long_as_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
