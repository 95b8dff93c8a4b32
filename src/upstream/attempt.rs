//! One attempt at one backend: the request out, its head and its first frames judged. Nothing of it has been shown to the
//! client when it fails, so another backend may be tried.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use tokio::time::Instant;

use crate::telemetry::Access;
use crate::upstream::backend::{Api, Backend};
use crate::upstream::body::{Body, FrameStream, StreamError};
use crate::upstream::demo;
use crate::upstream::offload::Offload;
use crate::upstream::opening;
use crate::upstream::plan::Candidate;
use crate::upstream::pool::Pool;
use crate::upstream::refused::{Attempted, refused};
use crate::upstream::slots::Slot;
use crate::wire::{Code, Dialect, Dropped, Failure, Frame, Framing, Names, Retreat};

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
    /// It was asked to tell of progress, and the client does not want to know.
    pub hides_progress: bool,
    /// The answer ends at so many tokens, and the backend does not say so.
    pub limit: Option<u64>,
    /// The label of its event stream, if that says more than its media type.
    pub content_type: Option<HeaderValue>,
}

/// How long a client is asked to stay away where descriptors are lacking, in seconds.
const LACKING: u32 = 5;
/// A connection that closes so soon behind a request was closed for its idleness. What takes longer was worked on.
const CLOSING: Duration = Duration::from_secs(3);

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
    let mut label = Label::default();
    let body = match candidate.backend.api {
        Api::Demo => {
            let body = candidate.body.clone();
            let answer = pool.offload().run(body.len(), move || demo::ask(&body)).await?;
            Body::Demo(Box::new(answer))
        }
        Api::Ollama | Api::OpenAi | Api::Anthropic => {
            let response = ask_simply(&mut candidate, pool.offload()).await?;
            label = Label::of(&response, &candidate);
            Body::Http(response.into())
        }
    };
    let mut frames = Box::new(
        FrameStream::new(body, framing, limit, pool.metrics().clone())
            .holding(slot)
            .redacting(candidate.backend.redactor()),
    );
    let (held, content) = opening::read(&mut frames, &candidate, label.events, access).await?;
    let Candidate { backend, dialect, dropped, names, hides_progress, limit, .. } = candidate;
    let content_type = label.told;
    Ok(Opened {
        backend,
        dialect,
        dropped,
        names,
        frames,
        held,
        content,
        hides_progress,
        limit,
        content_type,
    })
}

/// How an answer is labelled.
#[derive(Debug, Default)]
struct Label {
    /// As an event stream.
    events: bool,
    /// The label, if it has parameters that are for the client too.
    told: Option<HeaderValue>,
}

impl Label {
    fn of(response: &Response, candidate: &Candidate) -> Self {
        let Some(value) = response.headers().get(CONTENT_TYPE) else { return Self::default() };
        let said = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let (media_type, parameters) = said.split_once(';').unwrap_or((&said, ""));
        let events = media_type.trim() == Framing::Sse.content_type();
        // Without it some clients read the text as Latin-1. What is translated has this coding and no other.
        let is_utf8 = matches!(parameters.trim().replace('"', "").as_str(), "charset=utf-8" | "charset=utf8");
        let told = match (events, candidate.translated) {
            (true, true) if is_utf8 => Some(HeaderValue::from_static("text/event-stream; charset=utf-8")),
            (true, false) if !parameters.trim().is_empty() && value.len() <= LABEL_BYTES => {
                let bytes = Bytes::copy_from_slice(value.as_bytes());
                Some(value.clone()).filter(|_| candidate.backend.scrub(&bytes) == bytes)
            }
            (true | false, true | false) => None,
        };
        Self { events, told }
    }
}

/// The longest label that is passed on.
const LABEL_BYTES: usize = 128;

/// Sends the request, and again without what the backend refuses by name, as long as it is something that can be left out, or as one
/// for a whole answer where it does not stream.
async fn ask_simply(candidate: &mut Candidate, offload: &Offload) -> Result<Response, Attempted> {
    let path = candidate.dialect.path();
    let mut retreat = Retreat::new(candidate.dialect, candidate.translated);
    loop {
        let attempted = match ask(&candidate.backend, path, &candidate.headers, &candidate.body).await {
            Err(attempted) if retreat.may_help(&attempted.failure) => attempted,
            result => return result,
        };
        let (body, failure, mut tried) = (candidate.body.clone(), attempted.failure.clone(), retreat);
        let simpler = move || tried.simpler(&body, &failure).map(|simpler| (simpler, tried));
        let Some((simpler, tried)) = offload.run(candidate.body.len(), simpler).await else {
            return Err(attempted);
        };
        candidate.body = simpler.body;
        if let Some(name) = simpler.dropped {
            candidate.dropped.add(name);
        }
        retreat = tried;
    }
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
    let response = reach(backend, request).await.map_err(|error| unreachable(backend, error))?;
    backend.heard(response.headers());
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refused(backend, response).await)
}

/// Sends a request; once more, on a new connection, where a connection that was kept closes before any of the answer has come. The
/// backend closed it for its idleness, and nobody has seen the request. One that dies of a request takes its time over it, or
/// dies on new connections too: that is not tried again.
async fn reach(backend: &Backend, request: RequestBuilder) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let again = request.try_clone();
    let began = Instant::now();
    let result = client.execute(request).await;
    let served = backend.served();
    let response = match (result, again) {
        (Err(error), Some(again)) if served.closed_on(&error) && began.elapsed() < CLOSING => {
            let Some(fresh) = backend.fresh() else { return Err(error) };
            tracing::debug!(backend = backend.name, "an idle connection was closed under a request");
            fresh.execute(again).await?
        }
        (result, _) => result?,
    };
    served.by(&response);
    Ok(response)
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
