//! Probes and metrics.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::api::Parts;
use crate::downstream::Body;
use crate::edge::Refusal;
use crate::server::Shutdown;
use crate::wire::Code;

/// `GET /`: Ollama's clients look for these words.
pub(super) fn root() -> Response<Body> {
    text("text/plain; charset=utf-8", "Ollama is running")
}

/// The process lives.
pub(super) fn healthz() -> Response<Body> {
    text("text/plain; charset=utf-8", "ok\n")
}

/// New streams are taken.
pub(super) fn readyz(shutdown: &Shutdown) -> Result<Response<Body>, Refusal> {
    if shutdown.is_draining() {
        return Err(Refusal::new(Code::Draining, "the gateway is being restarted").retry_after(5));
    }
    Ok(text("text/plain; charset=utf-8", "ready\n"))
}

/// All metrics.
pub(super) fn metrics(parts: &Parts) -> Response<Body> {
    let Parts { metrics, journal, pool, .. } = parts;
    pool.standings().measure();
    let (records, readers, bytes) = journal.totals();
    metrics.records(records, readers, bytes);
    for (backend, taken, waiting) in parts.pool.slots().lengths() {
        metrics.slots(&backend, taken, waiting);
    }
    text("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics.text())
}

fn text(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
