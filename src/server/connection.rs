//! One connection, from its first byte to its last: who calls, whether they speak TLS, and which HTTP.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::server::addresses::Place;
use crate::server::peer::Origin;
use crate::server::phase::IDLE;
use crate::server::socket::{Socket, Watch};
use crate::server::transport::Transport;
use crate::server::{Counted, Held, RequestService, Terms, http1, http2, proxy_protocol};

/// Ends what a request came on, when it does not end by itself: the connection, or the stream of HTTP/2. It may hang in a write.
/// Among the extensions of every request.
#[derive(Clone, Debug)]
pub struct Hangup(pub CancellationToken);

/// The connection takes no new request: it ends as soon as those that run have ended. Among the extensions of requests that come
/// all the same (over HTTP/2 nothing else can tell the client without ending its streams).
#[derive(Clone, Copy, Debug)]
pub struct Closing;

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) transport: Transport,
    /// `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
    pub(super) counted: Counted,
}

/// Who is served, and how.
#[derive(Debug)]
pub(super) struct Client<'c> {
    pub(super) watch: &'c Watch,
    pub(super) origin: Origin<'c>,
    pub(super) terms: &'c Terms,
}

/// How long the last words of streams may take when their connection is to end.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);
/// How a client begins that speaks HTTP/2 without having asked (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: application/json\r\n\
    Content-Length: 125\r\nConnection: close\r\n\r\n\
    {\"error\":{\"message\":\"the gateway has no room for another connection\",\"type\":\"server_error\",\"param\":null,\"code\":\"queue_full\"}}";

/// Serves one connection to its end.
pub(super) async fn run<S: RequestService>(accepted: Accepted, service: S, terms: Arc<Terms>) {
    let Accepted { transport, peer, counted } = accepted;
    let terms = terms.as_ref();
    let (mut socket, watch) = Socket::new(transport);
    let mut client = Client {
        watch: &watch,
        origin: Origin { peer, proxies: &terms.proxies, tls: terms.tls.is_some() },
        terms,
    };
    if terms.proxy_protocol && terms.proxies.trust(peer) {
        let header = Box::pin(timeout(terms.header_timeout, proxy_protocol::read(&mut socket)));
        match client.unless_draining(header).await {
            Some(Ok(Ok(named))) => client.origin.peer = named.or(peer),
            Some(Ok(Err(_)) | Err(_)) => {
                client.refused("proxy_protocol");
                return;
            }
            None => return,
        }
    }
    let Ok(place) = client.place() else {
        client.refused("address_full");
        return refuse(socket, terms.tls.is_none()).await;
    };
    socket.hold(Held { _counted: counted, _place: place, _live: terms.metrics.connection() });
    // Boxed where most connections do not pass, so that those who do not are small.
    if let Some(tls) = &terms.tls {
        let Some(stream) = Box::pin(client.handshake(socket, Arc::clone(tls))).await else { return };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            Box::pin(http2::serve(stream, service, client)).await;
        } else {
            Box::pin(http1::serve(stream, service, client)).await;
        }
    } else if terms.h2c {
        match Box::pin(client.begins_http2(&mut socket)).await {
            Some(true) => Box::pin(http2::serve(socket, service, client)).await,
            Some(false) => http1::serve(socket, service, client).await,
            None => {}
        }
    } else {
        http1::serve(socket, service, client).await;
    }
}

/// Turns away a client for which there is no room.
pub(super) async fn turn_away(accepted: Accepted, plain: bool) {
    let (socket, _) = Socket::new(accepted.transport);
    refuse(socket, plain).await;
}

async fn refuse(mut socket: Socket, plain: bool) {
    let told = timeout(Duration::from_secs(1), async {
        if plain {
            socket.write_all(FULL).await?;
        }
        socket.shutdown().await
    });
    drop(told.await); // it was told, or it is gone
}

impl Client<'_> {
    /// Counts the client as refused; false, for there is nothing more to tell it.
    pub(super) fn refused(&self, reason: &'static str) -> bool {
        tracing::debug!(peer = ?self.origin.peer, reason, "a client is refused");
        self.terms.metrics.connection_refused(reason);
        false
    }

    /// Waits until the connection should end behind what it is at. Cancel safe.
    pub(super) async fn ending(&self) {
        let age = async {
            match self.terms.max_age() {
                Some(age) => sleep(age).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.terms.shutdown.draining() => {}
            () = age => {}
        }
    }

    /// Waits until a connection that should end takes no new streams: at once while the gateway drains; a connection that is merely
    /// old has as long again to be without a stream for a moment. Cancel safe.
    pub(super) async fn patience(&self) {
        self.ending().await;
    }

    /// `None` if the gateway drains first.
    async fn unless_draining<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.terms.shutdown.draining() => None,
        }
    }

    /// A place among the connections of the client's address, if they are counted.
    fn place(&self) -> Result<Option<Place>, ()> {
        let (Some(limit), Some(address)) = (self.terms.max_per_address, self.origin.peer) else {
            return Ok(None);
        };
        if self.terms.proxies.trust(Some(address)) {
            return Ok(None);
        }
        self.terms.addresses.take(address, limit).map(Some).ok_or(())
    }

    async fn handshake(&self, socket: Socket, tls: Arc<ServerConfig>) -> Option<Box<TlsStream<Socket>>> {
        let handshake = timeout(self.terms.header_timeout, TlsAcceptor::from(tls).accept(socket));
        match self.unless_draining(handshake).await? {
            Ok(Ok(stream)) => return Some(Box::new(stream)),
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("no TLS in time"),
        }
        self.refused("handshake");
        None
    }

    /// Does the client begin with HTTP/2? `None` if it does not begin.
    async fn begins_http2(&self, socket: &mut Socket) -> Option<bool> {
        let mut start = BytesMut::new();
        let first = self.unless_draining(timeout(IDLE, socket.read_buf(&mut start)));
        if !matches!(first.await?, Ok(Ok(1..))) {
            return None;
        }
        let rest = timeout(self.terms.header_timeout, async {
            while start.len() < PREFACE.len() && PREFACE.starts_with(&start) {
                if socket.read_buf(&mut start).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        });
        match self.unless_draining(rest).await? {
            Ok(Ok(())) => {
                let http2 = start.starts_with(PREFACE);
                socket.put_back(start);
                Some(http2)
            }
            Ok(Err(_)) => None,
            Err(_) => {
                self.refused("slow_head");
                None
            }
        }
    }
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
