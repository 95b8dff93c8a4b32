//! Reads a request's body, within its bounds: of time, of bytes, and of the memory that there is for bodies.

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, EXPECT, HeaderValue};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::api::memory::{Account, Charge};
use crate::api::{Bounds, Parts};
use crate::edge::{Refusal, read_over};
use crate::upstream::INLINE_BYTES;
use crate::wire::Code;

/// Reads the body; it counts as held by `account` until its last copy is dropped. Cancel safe in that nothing is kept of a
/// request that is dropped.
pub(super) async fn read(
    parts: &Parts,
    account: &Account,
    request: Request<Incoming>,
) -> Result<Bytes, Refusal> {
    let (head, mut body) = request.into_parts();
    let coding = match coding(&head.headers) {
        Ok(coding) => coding,
        Err(refusal) => {
            return Err(refusal.unread_of_caller(Request::from_parts(head, body)));
        }
    };
    let (charge, buffer) = match read_all(&mut body, account, parts.bounds).await {
        Ok(read) => read,
        Err(Unread::Broken(refusal)) => return Err(refusal),
        Err(Unread::NoRoom(refusal)) => {
            // Who waits for `100 Continue` is not told to send what nobody reads (RFC 9110 section 10.1.1).
            if !head.headers.contains_key(EXPECT) {
                parts.tasks.spawn(read_over(body));
            }
            return Err(refusal);
        }
    };
    match coding {
        Coding::Identity => Ok(charge.keep(buffer)),
        Coding::Zstd => {
            let bound = parts.bounds.body_bytes;
            // A few bytes may unfold to many: it is never short work.
            let bytes = buffer.len().max(INLINE_BYTES);
            let own = account.clone();
            let unfold = move || unfold(&charge.keep(buffer), bound, &own);
            account.run(parts.pool.offload(), bytes, unfold).await
        }
    }
}

/// The same of a JSON text. Some programs begin it with a byte order mark, which a reader may pass over (RFC 8259 section 8.1) and
/// the backends' readers refuse.
pub(super) async fn read_json(
    parts: &Parts,
    account: &Account,
    request: Request<Incoming>,
) -> Result<Bytes, Refusal> {
    let body = read(parts, account, request).await?;
    Ok(if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body })
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a body was not read.
enum Unread {
    Broken(Refusal),
    /// The rest of it may still come.
    NoRoom(Refusal),
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

/// A few bytes may unfold to any number: not to more than a body may have, and not to more than there is room for.
fn unfold(body: &[u8], bound: usize, account: &Account) -> Result<Bytes, Refusal> {
    let wrong = |_| Refusal::new(Code::InvalidRequest, "the body is not the zstd that it says it is");
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(wrong)?;
    decoder.window_log_max(WINDOW_LOG).map_err(wrong)?;
    let (mut charge, mut out) = (account.charge(0)?, Vec::new());
    let mut piece = vec![0; PIECE];
    loop {
        let read = decoder.read(&mut piece).map_err(wrong)?;
        let Some(data) = piece.get(..read).filter(|data| !data.is_empty()) else { break };
        if out.len() + data.len() > bound {
            return Err(too_large(bound));
        }
        append(&mut out, data, bound, &mut charge)?;
    }
    Ok(charge.keep(out))
}

/// How much is unfolded at a time.
const PIECE: usize = 128 << 10;

fn too_large(bound: usize) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, format!("the body is larger than {bound} bytes"))
}

/// Adds to a buffer whose room is charged before it is taken: it doubles, but not beyond `bound`.
fn append(buffer: &mut Vec<u8>, data: &[u8], bound: usize, charge: &mut Charge) -> Result<(), Refusal> {
    let needed = buffer.len() + data.len();
    if needed > buffer.capacity() {
        let room = (buffer.capacity() * 2).clamp(needed, bound.max(needed));
        charge.resize(room)?;
        buffer.reserve_exact(room - buffer.len());
    }
    buffer.extend_from_slice(data);
    Ok(())
}

/// The whole body. A length that is declared has its room before anything is read, and its buffer is taken once.
async fn read_all(
    body: &mut Incoming,
    account: &Account,
    bounds: Bounds,
) -> Result<(Charge, Vec<u8>), Unread> {
    let bound = bounds.body_bytes;
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > bound {
        return Err(Unread::NoRoom(closing(too_large(bound))));
    }
    let mut charge = account.charge(declared).map_err(Unread::NoRoom)?;
    let mut bytes = Vec::with_capacity(declared);
    let start = Instant::now();
    loop {
        // Who keeps up a rate is given the time that it takes; who sends a byte now and then is not.
        let bought = Duration::from_secs((bytes.len() / bounds.body_rate.max(1)) as u64);
        let frame = timeout_at(start + bounds.body_timeout + bought, body.frame());
        let Ok(frame) = frame.await else { return Err(Unread::Broken(slow(bounds.body_timeout))) };
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|_| Unread::Broken(Refusal::new(Code::InvalidRequest, "the body broke off")))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing here
        if bytes.len() + data.len() > bound {
            return Err(Unread::NoRoom(closing(too_large(bound))));
        }
        append(&mut bytes, &data, bound, &mut charge).map_err(Unread::NoRoom)?;
    }
    Ok((charge, bytes))
}

/// What is still to come of the body may be more than is worth reading, so no request can come behind it.
fn closing(refusal: Refusal) -> Refusal {
    refusal.header(CONNECTION, HeaderValue::from_static("close"))
}

fn slow(limit: Duration) -> Refusal {
    let words = format!("the body did not come within {}", humantime::format_duration(limit));
    closing(Refusal::new(Code::InvalidRequest, words).with_status(408))
}
