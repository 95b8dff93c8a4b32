//! One attempt at one backend: the request out, its head and its first frames judged. Nothing of it has been shown to the
//! client when it fails, so another backend may be tried.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout_at};

use crate::telemetry::Access;
use crate::upstream::backend::{Api, Backend};
use crate::upstream::body::{Body, FrameStream, Next, StreamError};
use crate::upstream::demo;
use crate::upstream::offload::Offload;
use crate::upstream::plan::Candidate;
use crate::upstream::pool::Pool;
use crate::upstream::slots::Slot;
use crate::wire::{
    Block, Code, Decode as _, Decoder, Dialect, Dropped, Event, Failure, Flow, Frame, Framing, Names,
    progress, read_failure, simpler,
};

/// A backend that has sent first content.
#[derive(Debug)]
pub struct Opened {
    pub backend: Arc<Backend>,
    pub dialect: Dialect,
    /// Fields of the request that it was not told.
    pub dropped: Dropped,
    /// Names of tools that it was told in another form.
    pub names: Names,
    /// Boxed: it is handed on from stage to stage.
    pub frames: Box<FrameStream>,
    /// What came up to the first content.
    pub held: Vec<Frame>,
    /// Is there content in it? Else there is progress alone, for a client that wants it.
    pub content: bool,
    /// The answer ends at so many tokens, and the backend does not say so.
    pub limit: Option<u64>,
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub failure: Failure,
    /// May another backend do better?
    pub retryable: bool,
    /// Seconds after which the backend wants to be asked again.
    pub retry_after: Option<u32>,
    /// Had it begun to answer? A client that tried again would have it generate twice.
    pub generated: bool,
}

/// How much an answer may say before its first content.
const HELD_BYTES: usize = 1 << 20;
/// How much of an error body is read.
const ERROR_BYTES: usize = 64 << 10;
const EARLY: &str = "the backend ended its answer before its first token";
/// How long a client is asked to stay away where descriptors are lacking, in seconds.
const LACKING: u32 = 5;
/// The longest `Retry-After` that is passed on, in seconds.
const RETRY_AFTER_CAP: u32 = 300;

impl Attempted {
    pub fn new(failure: Failure, retryable: bool) -> Self {
        Self { failure, retryable, retry_after: None, generated: false }
    }

    pub fn retryable(code: Code, message: &str) -> Self {
        Self::new(Failure::new(code, message), true)
    }

    /// A failure that no other backend could mend.
    pub fn refusal(failure: Failure) -> Self {
        Self::new(failure, false)
    }

    /// What a backend told in a frame or with status 200; the status that it should have had says whether another is asked.
    pub(super) fn told(backend: &Backend, failure: Failure) -> Self {
        let retryable = failure.status.is_none_or(is_worth_retrying);
        Self::new(backend.scrub_failure(failure), retryable)
    }
}

impl From<StreamError> for Attempted {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Broken => Self::retryable(
                Code::UpstreamTruncated,
                "the backend's answer broke off before its first token",
            ),
            StreamError::TooLarge(_) => Self::retryable(Code::FrameTooLarge, &error.to_string()),
        }
    }
}

/// Asks one backend for a stream and reads on to its first content. Dropping the future closes the connection.
pub(super) async fn open(
    mut candidate: Candidate,
    slot: Option<Slot>,
    limit: usize,
    (pool, access): (&Pool, &Access),
) -> Result<Opened, Attempted> {
    let framing = candidate.dialect.framing();
    let body = match candidate.backend.api {
        Api::Demo => {
            let body = candidate.body.clone();
            let answer = pool.offload().run(body.len(), move || demo::ask(&body)).await?;
            Body::Demo(Box::new(answer))
        }
        Api::Ollama | Api::OpenAi | Api::Anthropic => {
            let response = ask_simply(&mut candidate, pool.offload()).await?;
            check_media_type(&response, framing)?;
            Body::Http(response.into())
        }
    };
    let mut frames = Box::new(
        FrameStream::new(body, framing, limit, pool.metrics().clone())
            .holding(slot)
            .redacting(candidate.backend.redactor()),
    );
    let (held, content) = until_content(&mut frames, &candidate, access).await?;
    let Candidate { backend, dialect, dropped, names, limit, .. } = candidate;
    Ok(Opened { backend, dialect, dropped, names, frames, held, content, limit })
}

/// How often a request is put more simply: each refusal names one thing.
const SIMPLER: u32 = 4;

/// Sends the request, and again without what the backend refuses by name, as long as it is something that can be left out.
async fn ask_simply(candidate: &mut Candidate, offload: &Offload) -> Result<Response, Attempted> {
    let path = candidate.dialect.path();
    let mut asked = ask(&candidate.backend, path, &candidate.headers, &candidate.body).await;
    for _ in 0..SIMPLER {
        let attempted = match asked {
            Err(attempted) if candidate.translated && matches!(attempted.failure.status(), 400 | 422) => {
                attempted
            }
            result => return result,
        };
        let (dialect, body, failure) = (candidate.dialect, candidate.body.clone(), attempted.failure.clone());
        let simpler = move || simpler(dialect, &body, &failure);
        let Some(simpler) = offload.run(candidate.body.len(), simpler).await else { return Err(attempted) };
        candidate.body = simpler.body;
        if let Some(name) = simpler.dropped {
            candidate.dropped.add(name);
        }
        asked = ask(&candidate.backend, path, &candidate.headers, &candidate.body).await;
    }
    asked
}

/// Sends the request; gives the response if its status is one of success.
pub(super) async fn ask(
    backend: &Backend,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Attempted> {
    send(backend, backend.post(path).headers(headers.clone()), body).await
}

/// The same for a request that is begun.
pub(super) async fn send(
    backend: &Backend,
    request: RequestBuilder,
    body: &Bytes,
) -> Result<Response, Attempted> {
    let request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
    let response = request.send().await.map_err(|error| unreachable(backend, error))?;
    backend.heard(response.headers());
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refused(backend, response).await)
}

/// Has the gateway no file descriptor left for the connection (`EMFILE`, `ENFILE`)? The backend may be well.
pub(super) fn lacks_descriptors(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let codes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    codes.into_iter().any(|code| matches!(code, 23 | 24))
}

fn unreachable(backend: &Backend, error: reqwest::Error) -> Attempted {
    if lacks_descriptors(&error) {
        tracing::debug!("no file descriptor is left for a connection to a backend");
        let words = "the gateway has no file descriptor left for a connection to a backend";
        let failure = Failure::new(Code::Internal, words).with_status(503);
        return Attempted { retry_after: Some(LACKING), ..Attempted::new(failure, true) };
    }
    let error = error.without_url();
    tracing::debug!(backend = backend.name, error = ?error, "unreachable");
    let why = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "closed the connection without an answer"
    };
    Attempted::retryable(Code::UpstreamUnreachable, &format!("the backend `{}` {why}", backend.name))
}

/// Judges an answer whose status says that it failed.
async fn refused(backend: &Backend, response: Response) -> Attempted {
    let status = response.status();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = read_bounded(backend, response, ERROR_BYTES).await.unwrap_or_default();
    // A server that does not know the route, or a proxy before it, says so without an error object.
    let said = is_object(&body).then(|| read_failure(&backend.scrub(&body)));
    let retryable = is_worth_retrying(status.as_u16());
    let name = &backend.name;
    let failure = match (status, said) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => backend.refused_us(status.as_u16()),
        (StatusCode::NOT_FOUND, Some(said)) => Failure { code: Code::ModelNotFound, status: None, ..said },
        // Servers differ in the status for that.
        (_, Some(said)) if said.code == Code::ContextLengthExceeded => Failure { status: None, ..said },
        (_, Some(said)) if status.is_client_error() || status.is_server_error() => {
            said.with_status(status.as_u16())
        }
        (_, _) => {
            let words = format!("the backend `{name}` answered with status {}", status.as_u16());
            let failure = Failure::new(Code::UpstreamError, words);
            let ours = status.is_server_error() || retryable;
            if ours { failure.with_status(status.as_u16()) } else { failure }
        }
    };
    Attempted { retry_after, ..Attempted::new(failure, retryable) }
}

/// What `Retry-After` says, in seconds or as a date (RFC 9110 section 10.2.3), as seconds from `now` on.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<u32> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().ok().or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        let left = date.duration_since(now).unwrap_or_default();
        Some(u32::try_from((left + Duration::from_millis(999)).as_secs()).unwrap_or(u32::MAX))
    });
    seconds.map(|seconds: u32| seconds.min(RETRY_AFTER_CAP))
}

/// Is it the backend's trouble, so that another may do better?
fn is_worth_retrying(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

/// Reads a body up to a bound, without the key that the backend was shown; `None` if it breaks off or is larger.
pub(super) async fn read_bounded(backend: &Backend, mut response: Response, bound: usize) -> Option<Bytes> {
    let mut body = bytes::BytesMut::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > bound {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    let body = body.freeze();
    let redactor = backend.redactor().filter(|redactor| redactor.may_be_in(&body));
    Some(redactor.map_or_else(|| body.clone(), |redactor| redactor.redact(&body)))
}

/// A page of HTML with status 200 is not a stream, and a whole JSON document is none either.
fn check_media_type(response: &Response, framing: Framing) -> Result<(), Attempted> {
    let value =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let wrong = match framing {
        Framing::Sse => media_type == "text/html" || media_type == "application/json",
        Framing::Ndjson => media_type == "text/html",
    };
    if wrong {
        let message = format!("the backend answered with `{media_type}` where a stream was asked for");
        return Err(Attempted::retryable(Code::UpstreamError, &message));
    }
    Ok(())
}

/// The next frame; `None`: it has not come by then.
async fn next_before(frames: &mut FrameStream, at: Option<Instant>) -> Option<Result<Next, StreamError>> {
    match at {
        Some(at) => timeout_at(at, frames.next()).await.ok(),
        None => Some(frames.next().await),
    }
}

/// Reads frames up to the first content, or to an answer that ends well without any.
async fn until_content(
    frames: &mut FrameStream,
    candidate: &Candidate,
    access: &Access,
) -> Result<(Vec<Frame>, bool), Attempted> {
    let mut decoder = Decoder::new(candidate.dialect, "");
    let (mut held, mut size) = (Vec::new(), 0_usize);
    // Who asked for progress wants it now; the head is out by then.
    let shown = candidate.progress_after.map(|after| Instant::now() + after);
    let mut progressed = false;
    loop {
        let Some(next) = next_before(frames, shown.filter(|_| progressed)).await else {
            return Ok((held, false));
        };
        let (frame, last) = match next? {
            Next::Frame(frame) => (Some(frame), false),
            Next::End(frame) => (frame, true),
        };
        let mut content = false;
        if let Some(frame) = frame.filter(|frame| !frame.data.is_empty()) {
            let read = progress(&frame).inspect(|read| access.prefilled(read.percent));
            progressed |= read.is_some();
            let alone = read.is_some_and(|read| read.alone);
            let mut failure = None;
            let flow = decoder.decode(&frame, &mut |event| match event {
                Event::Delta { .. }
                | Event::Open { block: Block::Picture(_), .. }
                | Event::Other { .. }
                | Event::Finish(_) => content = true,
                Event::Fail(failed) => failure = Some(failed),
                Event::Start
                | Event::Open { .. }
                | Event::Aside { .. }
                | Event::Signature { .. }
                | Event::Close { .. }
                | Event::Citation { .. }
                | Event::StopSequence(_)
                | Event::Usage(_) => {}
            });
            if let Some(failure) = failure {
                return Err(Attempted::told(&candidate.backend, failure));
            }
            if matches!(flow, Ok(Flow::Truncated)) {
                return Err(Attempted::retryable(Code::UpstreamTruncated, EARLY));
            }
            // Nor is it content of a further choice.
            content = content && !alone || matches!(flow, Ok(Flow::Ended)) || decoder.complete();
            if flow.is_err() && !last {
                let words = "the backend answered with something that is not an event of its API";
                return Err(Attempted::retryable(Code::UpstreamError, words));
            }
            if !alone || shown.is_some() {
                size += frame.raw.len();
                held.push(frame);
            }
        }
        if content || size > HELD_BYTES {
            return Ok((held, true));
        }
        if last {
            return Err(Attempted::retryable(Code::UpstreamTruncated, EARLY));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(read(" 7 "), Some(7));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(read("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
        assert_eq!(read("86400"), Some(RETRY_AFTER_CAP));
        assert_eq!(read("Sun, 06 Nov 2044 08:49:37 GMT"), Some(RETRY_AFTER_CAP));
        assert_eq!(read("soon"), None);
    }
}
