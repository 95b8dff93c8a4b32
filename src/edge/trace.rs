//! The outermost layer: gives every request an id and a record, and turns every refusal into an answer.

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tower::{Layer, Service};

use crate::edge::{Door, Refusal, Standing, Traced};
use crate::telemetry::{Access, ClientAddress, Metrics, random_id};
use crate::wire::Code;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The same, where Anthropic's clients look for it.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// How a whole answer is made from a status and a body.
type Whole<B> = fn(StatusCode, Bytes) -> Response<B>;

/// Has work done behind an answer.
#[derive(Clone)]
pub struct Spawn(pub Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>);

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawn")
    }
}

/// Traces requests.
#[derive(Debug)]
pub struct TraceLayer<B> {
    pub metrics: Metrics,
    pub whole: Whole<B>,
    pub spawn: Spawn,
}

/// See [`TraceLayer`].
#[derive(Debug)]
pub struct Trace<S, B> {
    metrics: Metrics,
    whole: Whole<B>,
    spawn: Spawn,
    inner: S,
}

/// A derived one would ask for bodies that can be cloned.
impl<S: Clone, B> Clone for Trace<S, B> {
    fn clone(&self) -> Self {
        let Self { metrics, whole, spawn, inner } = self;
        Self { metrics: metrics.clone(), whole: *whole, spawn: spawn.clone(), inner: inner.clone() }
    }
}

impl<S, B> Layer<S> for TraceLayer<B> {
    type Service = Trace<S, B>;

    fn layer(&self, inner: S) -> Trace<S, B> {
        Trace { metrics: self.metrics.clone(), whole: self.whole, spawn: self.spawn.clone(), inner }
    }
}

impl<S, B> Service<Request<Incoming>> for Trace<S, B>
where
    S: Service<Traced, Response = Response<B>, Error = Refusal>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // no layer waits: what must wait does so in its future
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let door = Door::of(&request);
        let access = Access::new(
            request_id(&request),
            request.method().as_str(),
            request.uri().path(),
            door.name(),
            self.metrics.clone(),
        );
        if let Some(address) = request.extensions().get::<ClientAddress>() {
            access.address(*address);
        }
        let (whole, spawn) = (self.whole, self.spawn.clone());
        let record = access.clone();
        let standing = Standing::default();
        let answer = self.inner.call(Traced { access, request, standing: standing.clone() });
        Box::pin(async move {
            // What this request alone has met must not end the others of its connection.
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let mut response = match answer.unwrap_or_else(|_| Err(failed())) {
                Ok(response) => response,
                Err(mut refusal) => {
                    // The client may have sent nothing yet, or may never: it hears at once what it has to hear.
                    if let Some(unread) = refusal.unread.take() {
                        (spawn.0)(Box::pin(unread.read_over()));
                    }
                    refusal.response(door.dialect(), record.request_id(), whole)
                }
            };
            record.answered(response.status().as_u16());
            if let Some(size) = response.body().size_hint().exact() {
                record.metrics().bytes_out(usize::try_from(size).unwrap_or(usize::MAX));
            }
            if let Ok(id) = HeaderValue::try_from(record.request_id()) {
                if door == Door::Anthropic {
                    response.headers_mut().insert(REQUEST_ID, id.clone());
                }
                response.headers_mut().insert(X_REQUEST_ID, id);
            }
            standing.tell(door, response.headers_mut());
            Ok(response)
        })
    }
}

/// What a client is told whose request the gateway itself has failed at.
fn failed() -> Refusal {
    Refusal::new(Code::Internal, "the gateway failed at this request")
}

/// The client's id, if it is one that may stand in a log, else one of ours.
fn request_id(request: &Request<Incoming>) -> String {
    let given = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let lawful = |id: &&str| {
        (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
    };
    given.filter(lawful).map_or_else(random_id, String::from)
}
