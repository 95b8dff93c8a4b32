//! Reads a request's body, within its bounds.

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

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
    let coding = match coding(&head.headers) {
        Ok(coding) => coding,
        Err(mut refusal) => {
            refusal.unread = Some(Box::new(body));
            return Err(refusal);
        }
    };
    let body = read_all(body, bounds, tasks).await?;
    match coding {
        Coding::Identity => Ok(body),
        Coding::Zstd => unfold(&body, bounds.body_bytes),
    }
}

/// How a body is coded.
enum Coding {
    Identity,
    /// RFC 8878: what Codex sends.
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let name = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match name {
        None => Ok(Coding::Identity),
        Some(name) if name.eq_ignore_ascii_case(b"identity") => Ok(Coding::Identity),
        Some(name) if name.eq_ignore_ascii_case(b"zstd") => Ok(Coding::Zstd),
        Some(_) => {
            let words = "the only Content-Encoding that a body may have is `zstd`";
            Err(Refusal::new(Code::InvalidRequest, words).with_status(415))
        }
    }
}

/// The largest window, as a power of two: what every decoder must have (RFC 8878 section 3.1.1.1.2), and no more.
const WINDOW_LOG: u32 = 23;

/// A few bytes may unfold to any number: not to more than a body may have.
fn unfold(body: &[u8], bound: usize) -> Result<Bytes, Refusal> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut decoder = zstd::Decoder::with_buffer(body)?;
        decoder.window_log_max(WINDOW_LOG)?;
        let mut out = Vec::new();
        decoder.take(u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut out)?;
        Ok(out)
    };
    let out = read()
        .map_err(|_| Refusal::new(Code::InvalidRequest, "the body is not the zstd that it says it is"))?;
    if out.len() > bound { Err(too_large(bound)) } else { Ok(out.into()) }
}

fn too_large(bound: usize) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, format!("the body is larger than {bound} bytes"))
}

async fn read_all(mut body: Incoming, bounds: Bounds, tasks: &Tasks) -> Result<Bytes, Refusal> {
    let bound = bounds.body_bytes;
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared <= bound
        && let Some(bytes) = read_up_to(&mut body, bounds).await?
    {
        return Ok(bytes);
    }
    tasks.spawn(read_over(body));
    Err(too_large(bound))
}

/// The whole body; `None` as soon as it is longer than it may be.
async fn read_up_to(body: &mut Incoming, bounds: Bounds) -> Result<Option<Bytes>, Refusal> {
    let bound = bounds.body_bytes;
    let mut bytes = BytesMut::new();
    let start = Instant::now();
    loop {
        // Who keeps up a rate is given the time that it takes; who sends a byte now and then is not.
        let bought = Duration::from_secs((bytes.len() / bounds.body_rate.max(1)) as u64);
        let frame = timeout_at(start + bounds.body_timeout + bought, body.frame());
        let Ok(frame) = frame.await else { return Err(slow(bounds.body_timeout)) };
        let Some(frame) = frame else { break };
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
