//! How many tokens a request of Anthropic's has: counted by a backend that can, estimated where none can.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::api::conversation::prefix;
use crate::api::generate::{passed_on, refused};
use crate::api::memory::Account;
use crate::api::serving::{Destination, Served};
use crate::api::{Parts, body, plan, whole};
use crate::downstream::{Body, json as json_answer};
use crate::edge::{Caller, Refusal, Slot, Traced};
use crate::upstream::{Addressed, Api, Forward};
use crate::wire::{Ask, Code, Dialect, Envelope, Failure, ModelKey, anthropic, own_history, parse_request};

/// Says that the number is an estimate.
const X_ESTIMATED: HeaderName = HeaderName::from_static("x-estimated");
const PATH: &str = "/v1/messages/count_tokens";

/// Counts the tokens of one request.
pub(super) async fn count_tokens(
    parts: Arc<Parts>,
    traced: Traced,
    (_slot, caller): (Option<Slot>, Caller),
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request, .. } = traced;
    let headers = passed_on(Dialect::Anthropic, request.headers());
    let account = parts.memory.account(&caller);
    let body = body::read_json(&parts, &account, request).await?;
    let asked = (Arc::clone(&parts), caller.clone(), access.clone(), body.clone(), account.clone());
    let read = move || {
        let (parts, caller, access, body, account) = asked;
        let envelope = Envelope::parse(&body, ModelKey::Model, false, parts.bounds.json_depth)
            .map_err(|error| plan::refusal(&error))?;
        access.model(&envelope.model);
        let served = parts.serving.find_for(&caller, &envelope.model)?;
        Ok::<_, Refusal>(Forward {
            candidates: counting(served, &envelope, &body, &account)?,
            choice: served.choice(|| prefix(&body)),
            path: PATH,
            headers,
            timeout: served.settings.limits().max_duration,
            ticket: None, // it generates nothing
        })
    };
    let bytes = body.len();
    let forward = account.run(parts.pool.offload(), bytes, read).await?;
    if !forward.candidates.is_empty() {
        let asking = Box::pin(parts.pool.forward(&forward, &access));
        let speaks = forward.candidates.iter().any(|asked| asked.backend.api == Api::Anthropic);
        match whole::until_stopped(&parts, &caller, &access, asking).await {
            Ok(answered) => return Ok(json_answer(StatusCode::OK, answered.body)),
            // A server of llama.cpp speaks this API besides its own: what it does not take there it may well take here.
            Err(attempted) if speaks && !knows_no_counting(&attempted.failure) => {
                return Err(refused(attempted));
            }
            Err(_) => {}
        }
    }
    let estimate = move || {
        let request = parse_request(Dialect::Anthropic, &body).map_err(|error| plan::refusal(&error))?;
        Ok::<_, Refusal>(anthropic::estimate_tokens(&request))
    };
    let estimate = account.run(parts.pool.offload(), bytes, estimate).await?;
    let estimate = json!({ "input_tokens": estimate });
    let mut response = json_answer(StatusCode::OK, estimate.to_string().into());
    response.headers_mut().insert(X_ESTIMATED, HeaderValue::from_static("input_tokens"));
    Ok(response)
}

/// The backends that can count, each with the body for it.
fn counting(
    served: &Served,
    envelope: &Envelope,
    body: &Bytes,
    account: &Account,
) -> Result<Vec<Addressed>, Refusal> {
    let fitting = served.fitting(&envelope.model).into_iter();
    let can_count = fitting.filter(|(target, _)| {
        let backend = &target.backend;
        backend.api == Api::Anthropic || backend.api == Api::OpenAi && backend.is_llama_cpp()
    });
    let asked = can_count.map(|(Destination { backend, alias, .. }, share)| {
        let (edits, _) = own_history(Dialect::Anthropic, body, backend.style().passed_on);
        let body =
            account.rewritten(body, envelope.rewrite(body, alias.as_deref(), Ask::default(), edits))?;
        Ok(Addressed { backend: Arc::clone(backend), share, body })
    });
    asked.collect()
}

/// Servers that took over Anthropic's API without this route answer 404, or 405 or 501.
fn knows_no_counting(failure: &Failure) -> bool {
    failure.code == Code::ModelNotFound || matches!(failure.status(), 404 | 405 | 501 | 502)
}
