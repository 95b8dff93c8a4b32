//! Which connections to a backend have served before. A server may close an idle one at the very moment when a request goes out
//! on it: nobody has begun to work on that request then, though the client library cannot know it (RFC 9112 section 9.3.1).
//!
//! The pool of connections belongs to hyper-util, which tells of a failed request only the addresses of its connection. So every
//! connection that is opened is noticed where it is made, and remembered by its local address once it has given an answer.

use std::collections::HashSet;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Extensions;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use parking_lot::Mutex;
use reqwest::Response;
use tower::{Layer, Service};

/// The connections of one client that have served; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<Mutex<HashSet<SocketAddr>>>);

/// How many are remembered. Beyond that all are forgotten, and requests that meet the closing of such a connection fail.
const REMEMBERED: usize = 16_384;

impl Served {
    /// The connection of this answer has served.
    pub(super) fn by(&self, response: &Response) {
        let Some(info) = response.extensions().get::<HttpInfo>() else { return };
        let mut served = self.0.lock();
        if served.len() >= REMEMBERED {
            served.clear();
        }
        served.insert(info.local_addr());
    }

    /// Was a connection that had served before closed in place of an answer to this request? It is forgotten.
    pub(super) fn closed_on(&self, error: &reqwest::Error) -> bool {
        let mut causes = std::iter::successors(error.source(), |error| (*error).source());
        let mut closed = None;
        let mut gone = false;
        for cause in causes.by_ref() {
            if let Some(error) = cause.downcast_ref::<legacy::Error>() {
                closed = error.connect_info().and_then(local_address);
            }
            gone |= cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
            gone |= cause.downcast_ref::<io::Error>().is_some_and(is_gone);
        }
        closed.is_some_and(|address| self.0.lock().remove(&address)) && gone
    }

    fn opened(&self, connected: &Connected) {
        if let Some(address) = local_address(connected) {
            self.0.lock().remove(&address);
        }
    }
}

fn local_address(connected: &Connected) -> Option<SocketAddr> {
    let mut told = Extensions::new();
    connected.get_extras(&mut told);
    told.get::<HttpInfo>().map(HttpInfo::local_addr)
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Notices connections that are opened: a new one may have the address of one that served.
impl<S> Layer<S> for Served {
    type Service = Noticed<S>;

    fn layer(&self, connector: S) -> Noticed<S> {
        Noticed { connector, served: self.clone() }
    }
}

/// A connector whose connections are noticed.
#[derive(Clone, Debug)]
pub(super) struct Noticed<S> {
    connector: S,
    served: Served,
}

impl<S, R> Service<R> for Noticed<S>
where
    S: Service<R>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let (connecting, served) = (self.connector.call(to), self.served.clone());
        Box::pin(async move {
            let connection = connecting.await?;
            served.opened(&connection.connected());
            Ok(connection)
        })
    }
}
