//! Reads a request's body, within its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::api::Bounds;
use crate::edge::{Refusal, read_over};
use crate::server::Tasks;
use crate::wire::Code;

/// Reads the body. Cancel safe in that nothing is kept of a request that is dropped.
pub(super) async fn read(
    request: Request<Incoming>,
    bounds: Bounds,
    tasks: &Tasks,
) -> Result<Bytes, Refusal> {
    let (head, body) = request.into_parts();
    if let Err(mut refusal) = refuse_coding(&head.headers) {
        refusal.unread = Some(Box::new(body));
        return Err(refusal);
    }
    match timeout(bounds.body_timeout, read_all(body, bounds, tasks)).await {
        Ok(result) => result,
        Err(_) => Err(slow(bounds.body_timeout)),
    }
}

/// A coded body could unfold without end.
fn refuse_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let coded =
        headers.get(CONTENT_ENCODING).filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if coded.is_none() {
        return Ok(());
    }
    let refusal = Refusal::new(Code::InvalidRequest, "the body must not be compressed (no Content-Encoding)")
        .with_status(415);
    Err(refusal)
}

async fn read_all(mut body: Incoming, bounds: Bounds, tasks: &Tasks) -> Result<Bytes, Refusal> {
    let bound = bounds.body_bytes;
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared <= bound
        && let Some(bytes) = read_up_to(&mut body, bound).await?
    {
        return Ok(bytes);
    }
    tasks.spawn(read_over(body));
    Err(Refusal::new(Code::PayloadTooLarge, format!("the body is larger than {bound} bytes")))
}

/// The whole body; `None` as soon as it is longer than `bound`.
async fn read_up_to(body: &mut Incoming, bound: usize) -> Result<Option<Bytes>, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(Code::InvalidRequest, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing here
        if bytes.len() + data.len() > bound {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.freeze()))
}

fn slow(limit: Duration) -> Refusal {
    let words = format!("the body did not come within {}", humantime::format_duration(limit));
    let refusal = Refusal::new(Code::InvalidRequest, words).with_status(408);
    refusal.header(CONNECTION, HeaderValue::from_static("close"))
}
