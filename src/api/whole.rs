//! Whole answers: passed on where the backend speaks the client's dialect, gathered from a stream where it does not.

use std::sync::Arc;

use bytes::Bytes;

use crate::api::Parts;
use crate::api::generate::{Asked, plan_of, refused};
use crate::api::stopped::stopped;
use crate::edge::{Caller, Refusal};
use crate::relay::{self, Collected};
use crate::telemetry::{Access, End};
use crate::upstream::{Addressed, Api, Attempted, Candidate, Choice, Forward, comes_in_pieces};
use crate::wire::{self, Code, Dropped};

/// Asks the candidates in order for a whole answer.
pub(super) async fn answer(
    parts: &Parts,
    asked: &Asked,
    candidates: Vec<Candidate>,
) -> Result<(Bytes, Dropped), Refusal> {
    let asking = Box::pin(first_of(parts, asked, candidates));
    until_stopped(parts, &asked.caller, &asked.access, asking).await.map_err(refused)
}

/// Waits for an answer, at most until the caller's work must end, and records how it ended.
pub(super) async fn until_stopped<T>(
    parts: &Parts,
    caller: &Caller,
    access: &Access,
    asking: impl Future<Output = Result<T, Attempted>>,
) -> Result<T, Attempted> {
    access.asks(false);
    let result = tokio::select! {
        biased;
        result = asking => result,
        failure = stopped(parts, caller) => Err(Attempted::refusal(failure)),
    };
    access.ended(match &result {
        Ok(_) => End::Done,
        Err(attempted) => End::Failed(attempted.failure.code.name()),
    });
    result
}

async fn first_of(
    parts: &Parts,
    asked: &Asked,
    candidates: Vec<Candidate>,
) -> Result<(Bytes, Dropped), Attempted> {
    let backends = candidates.iter().map(|candidate| (Arc::clone(&candidate.backend), candidate.share));
    let ask = |at: usize| ask_one(parts, asked, candidates.get(at).cloned());
    let line = (&asked.ticket, &asked.access);
    parts.pool.each(&asked.choice, backends.collect(), line, ask).await
}

async fn ask_one(
    parts: &Parts,
    asked: &Asked,
    candidate: Option<Candidate>,
) -> Result<(Bytes, Dropped), Attempted> {
    let candidate = candidate.ok_or_else(|| Attempted::retryable(Code::Internal, "no backend was asked"))?;
    let own = candidate.dialect == asked.client.dialect && candidate.backend.api != Api::Demo;
    if own && !candidate.assembled {
        return pass_on(parts, asked, candidate).await.map(|body| (body, Dropped::default()));
    }
    let plan = plan_of(parts, &asked.settings, vec![candidate], (Choice::made(), None));
    let limits = asked.settings.limits();
    let Collected { body, dropped, rest } =
        relay::collect(&parts.pool, &plan, &asked.client, limits, &asked.access).await?;
    parts.tasks.spawn(rest.rest());
    Ok((body, dropped))
}

async fn pass_on(parts: &Parts, asked: &Asked, candidate: Candidate) -> Result<Bytes, Attempted> {
    let Candidate { backend, share, dialect, body, headers, .. } = candidate;
    let asking = Arc::clone(&backend);
    let forward = Forward {
        candidates: vec![Addressed { backend: asking, share, body }],
        choice: Choice::made(),
        path: dialect.path(),
        headers,
        timeout: asked.settings.limits().max_duration,
        ticket: None,
    };
    let answered = parts.pool.forward(&forward, &asked.access).await?;
    let body = answered.body.clone();
    if comes_in_pieces(dialect, &body) {
        let (client, access) = (asked.client.clone(), asked.access.clone());
        let gather = move || relay::gathered(backend, body, &client, &access);
        return parts.pool.offload().run(answered.body.len(), gather).await;
    }
    let usage = parts.pool.offload().run(body.len(), move || wire::read_usage(dialect, &body));
    if let Some(usage) = usage.await {
        asked.access.tokens(usage.input, usage.output);
    }
    Ok(answered.body)
}
