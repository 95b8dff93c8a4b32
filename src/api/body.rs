//! Reads a request's body, within its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::api::Bounds;
use crate::edge::Refusal;
use crate::wire::Code;

/// How much of a body that is too large is read over, in multiples of the bound: a client that is still writing sees the answer
/// only then, and keeps its connection.
const OVERREAD: usize = 3;

/// Reads the body. Cancel safe in that nothing is kept of a request that is dropped.
pub(super) async fn read(request: Request<Incoming>, bounds: Bounds) -> Result<Bytes, Refusal> {
    let (head, body) = request.into_parts();
    refuse_coding(&head.headers)?;
    match timeout(bounds.body_timeout, read_all(body, bounds.body_bytes)).await {
        Ok(result) => result,
        Err(_) => Err(slow(bounds.body_timeout)),
    }
}

/// A coded body could unfold without end.
fn refuse_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let coded = headers
        .get(CONTENT_ENCODING)
        .filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded.is_none() {
        return Ok(());
    }
    let mut refusal = Refusal::new(
        Code::InvalidRequest,
        "the body must not be compressed (no Content-Encoding)",
    );
    refusal.failure = refusal.failure.with_status(415);
    Err(refusal)
}

async fn read_all(mut body: Incoming, bound: usize) -> Result<Bytes, Refusal> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > bound.saturating_mul(OVERREAD) {
        return Err(too_large(bound).header(CONNECTION, HeaderValue::from_static("close")));
    }
    let mut bytes = BytesMut::new();
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(Code::InvalidRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing here
        size += data.len();
        if size > bound.saturating_mul(OVERREAD) {
            return Err(too_large(bound).header(CONNECTION, HeaderValue::from_static("close")));
        }
        if size > bound {
            bytes = BytesMut::new();
        } else if declared <= bound {
            bytes.extend_from_slice(&data);
        }
    }
    if size > bound {
        Err(too_large(bound))
    } else {
        Ok(bytes.freeze())
    }
}

fn too_large(bound: usize) -> Refusal {
    Refusal::new(
        Code::PayloadTooLarge,
        format!("the body is larger than {bound} bytes"),
    )
}

fn slow(limit: Duration) -> Refusal {
    let words = format!(
        "the body did not come within {}",
        humantime::format_duration(limit)
    );
    let mut refusal = Refusal::new(Code::InvalidRequest, words);
    refusal.failure = refusal.failure.with_status(408);
    refusal.header(CONNECTION, HeaderValue::from_static("close"))
}
