//! Whole answers: a request that is passed on to a backend which speaks its API, and its answer, read to the end before any of
//! it is shown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use reqwest::Response;
use serde::de::IgnoredAny;
use tokio::time::timeout_at;

use crate::telemetry::Access;
use crate::upstream::attempt::{ask, read_bounded};
use crate::upstream::backend::Backend;
use crate::upstream::balance::{Choice, Share};
use crate::upstream::loading::Patience;
use crate::upstream::offload::Offload;
use crate::upstream::opening::{First, Looks, strange};
use crate::upstream::pool::{InLine, Pool, no_backend};
use crate::upstream::refused::Attempted;
use crate::upstream::slots::Ticket;
use crate::upstream::turns::Further;
use crate::wire::{Code, Dialect, Failure, Framing, read_failure, tells_failure};

/// A request for a whole answer.
#[derive(Clone, Debug)]
pub struct Forward {
    pub candidates: Vec<Addressed>,
    pub choice: Choice,
    pub path: &'static str,
    /// Headers of the client that belong to the API.
    pub headers: HeaderMap,
    /// From the request to the end of the answer, whoever gives it.
    pub timeout: Duration,
    /// As whom it waits for a slot; `None`: it has one, or needs none.
    pub ticket: Option<Ticket>,
}

/// One backend and the body for it.
#[derive(Clone, Debug)]
pub struct Addressed {
    pub backend: Arc<Backend>,
    pub share: Share,
    pub body: Bytes,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answered {
    pub body: Bytes,
    pub content_type: HeaderValue,
}

/// The largest whole answer: a few thousand embeddings.
pub(super) const ANSWER_BYTES: usize = 128 << 20;

impl Pool {
    /// Tries the backends until one has answered in full. Dropping the future closes the connection.
    pub async fn forward(&self, forward: &Forward, access: &Access) -> Result<Answered, Attempted> {
        let (mut failed, mut patience) = (None, Patience::new(forward.ticket.as_ref()));
        let deadline = access.started() + forward.timeout;
        let backends = forward.candidates.iter().map(|candidate| (&candidate.backend, candidate.share));
        let mut turns = self.turns(&forward.choice, backends);
        let names = forward.candidates.iter().map(|candidate| candidate.backend.name.as_str()).collect();
        let line = InLine { names, ticket: forward.ticket.as_ref(), access };
        loop {
            let next = timeout_at(deadline, self.next(&mut turns, Further::Failover, &line)).await;
            let Some(next) = next.unwrap_or_else(|_| Err(too_long()))? else {
                if turns.awaits() && timeout_at(deadline, patience.wait()).await.unwrap_or(false) {
                    turns.recall();
                    continue;
                }
                break;
            };
            let (mut turn, _slot) = (next.turn.whole(), next.slot);
            let Some(Addressed { backend, body, .. }) = forward.candidates.get(next.at) else { break };
            access.attempt(&backend.name);
            let result = timeout_at(deadline, answer(backend, forward, body, self.offload()));
            let result = result.await.unwrap_or_else(|_| {
                let words = format!("the backend `{}` did not answer in time", backend.name);
                Err(Attempted::refusal(Failure::new(Code::MaxDuration, words)))
            });
            match &result {
                Ok(_) => turn.well(),
                Err(attempted) if attempted.loading => turns.loads(next.at),
                Err(_) => {}
            }
            if let Some(done) = self.judged(&backend.name, result, Some(&mut turn), &mut failed) {
                if let Ok(answered) = &done {
                    self.metrics().bytes_in(answered.body.len());
                }
                return done;
            }
        }
        Err(failed.unwrap_or_else(no_backend))
    }
}

fn too_long() -> Attempted {
    Attempted::refusal(Failure::new(Code::MaxDuration, "all backends of this model were busy for too long"))
}

async fn answer(
    backend: &Arc<Backend>,
    forward: &Forward,
    body: &Bytes,
    offload: &Offload,
) -> Result<Answered, Attempted> {
    let response = ask(backend, forward.path, &forward.headers, body).await?;
    let content_type = content_type(backend, &response);
    let body = read_bounded(backend, response, ANSWER_BYTES).await;
    let body =
        body.ok_or_else(|| Attempted::retryable(Code::UpstreamTruncated, "the backend's answer broke off"))?;
    let (asked, answer) = (Arc::clone(backend), body.clone());
    let dialect = Dialect::at(forward.path);
    offload.run(body.len(), move || check(&asked, &answer, dialect)).await?;
    Ok(Answered { body, content_type })
}

/// The media type of an answer; that of JSON if it says none, or too much.
pub(super) fn content_type(backend: &Backend, response: &Response) -> HeaderValue {
    let told = response.headers().get(CONTENT_TYPE).cloned();
    let tells = |value: &HeaderValue| {
        let said = Bytes::copy_from_slice(value.as_bytes());
        backend.scrub(&said) != said
    };
    told.filter(|value| !tells(value)).unwrap_or(HeaderValue::from_static("application/json"))
}

/// What an answer must be that has a status of success. A page is none, and neither is an error; of what generates, events are one,
/// which its caller puts together.
fn check(backend: &Backend, body: &Bytes, dialect: Option<Dialect>) -> Result<(), Attempted> {
    if dialect.is_some_and(|dialect| comes_in_pieces(dialect, body)) {
        return Ok(());
    }
    let is_object = body.trim_ascii().first() == Some(&b'{');
    if !is_object || serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return Err(strange(backend, body));
    }
    if tells_failure(body) { Err(Attempted::told(backend, read_failure(body))) } else { Ok(()) }
}

/// Is it a stream, though none was asked for?
pub fn comes_in_pieces(dialect: Dialect, body: &[u8]) -> bool {
    match dialect.framing() {
        Framing::Sse => First::default().add(body, Framing::Sse, false) == Some(Looks::Frames),
        Framing::Ndjson => {
            let body = body.trim_ascii();
            let line = body.iter().position(|byte| *byte == b'\n').and_then(|at| body.get(..at));
            line.is_some_and(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok())
        }
    }
}
