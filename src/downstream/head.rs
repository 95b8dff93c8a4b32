//! The heads of answers.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::downstream::body::Body;
use crate::downstream::stream::StreamBody;
use crate::wire::Framing;

/// nginx and everything made of it: hand on at once what comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// RFC 10036: the same for everyone else.
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// The head of a stream. No length, no coding, no `Connection: close`: behind that, Node's clients take a cut for an end.
pub fn stream(framing: Framing, body: StreamBody) -> Response<Body> {
    let mut response = Response::new(Body::Stream(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(framing.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, no-transform"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(INCREMENTAL, HeaderValue::from_static("?1"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What an `EventSource` is told that cannot be served now: to come back. An error status would end it for ever.
pub fn retry_later(milliseconds: u32) -> Response<Body> {
    let mut response = Response::new(Body::whole(format!("retry: {milliseconds}\n")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Framing::Sse.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, no-transform"));
    response
}

/// A whole JSON answer.
pub fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
