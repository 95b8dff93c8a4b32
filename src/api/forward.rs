//! Requests that are passed on, whole, to a backend that speaks their API: embeddings, ranks, tokens, and what is known of a
//! model.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};

use crate::api::conversation::prefix;
use crate::api::generate::{refused, reserved, unknown_model};
use crate::api::memory::Account;
use crate::api::models::Shown;
use crate::api::serving::Destination;
use crate::api::{Parts, body, models, plan, whole};
use crate::downstream::{Body, json};
use crate::edge::{Caller, Forwarded, Refusal, Slot, Traced};
use crate::telemetry::Access;
use crate::upstream::{Addressed, Api, Forward};
use crate::wire::{Ask, Code, Demand, Edits, Envelope, Failure, ModelKey};

/// Passes one request on.
pub(super) async fn forward(
    parts: Arc<Parts>,
    forwarded: Forwarded,
    traced: Traced,
    (slot, caller): (Option<Slot>, Caller),
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request, .. } = traced;
    let account = parts.memory.account(&caller);
    let body = body::read_json(&parts, &account, request).await?;
    let bytes = body.len();
    let asked = (Arc::clone(&parts), caller.clone(), access.clone(), account.clone());
    let read = move || {
        let (parts, caller, access, account) = asked;
        addressed(&parts, forwarded, (&caller, &account), &body, &access)
    };
    let (forward, demand) = match account.run(parts.pool.offload(), bytes, read).await? {
        Asked::Backends(forward, demand) => (forward, demand),
        Asked::Show { model, ollamas } => match models::shown(&parts, &caller, &model).await {
            Shown::Ours(response) => return Ok(response),
            Shown::Elsewhere if !ollamas.candidates.is_empty() => (ollamas, None),
            Shown::Elsewhere => return Err(unknown_model(&model)),
        },
    };
    // To count and to look costs nothing, and is not waited for.
    let _slot = match demand {
        Some(demand) => reserved(slot, &caller, demand, &access).await?,
        None => slot,
    };
    let asking = Box::pin(parts.pool.forward(&forward, &access));
    let answered = whole::until_stopped(&parts, &caller, &access, asking).await.map_err(refused)?;
    let mut response = json(StatusCode::OK, answered.body);
    response.headers_mut().insert(CONTENT_TYPE, answered.content_type);
    Ok(response)
}

/// Who can tell what is asked.
enum Asked {
    /// These backends; and what is asked of them.
    Backends(Box<Forward>, Option<Demand>),
    /// What a model is, of which these may know more than the list of models says. Nothing is generated.
    Show { model: String, ollamas: Box<Forward> },
}

/// The backends that are asked, each with the body for it.
fn addressed(
    parts: &Parts,
    forwarded: Forwarded,
    (caller, account): (&Caller, &Account),
    body: &Bytes,
    access: &Access,
) -> Result<Asked, Refusal> {
    // Ollama's older clients name a model to be shown by `name`.
    let key = if forwarded == Forwarded::Show { ModelKey::ModelOrName } else { ModelKey::Model };
    let envelope =
        Envelope::parse(body, key, false, parts.bounds.json_depth).map_err(|error| plan::refusal(&error))?;
    access.model(&envelope.model);
    let served = parts.serving.find_for(caller, &envelope.model)?;
    let fitting = served.fitting(&envelope.model).into_iter();
    let fitting = fitting.filter(|(target, _)| speaks(target.backend.api, forwarded));
    let candidates = fitting.map(|(Destination { backend, alias, .. }, share)| {
        let written = envelope.rewrite(body, alias.as_deref(), Ask::default(), Edits::default());
        Ok(Addressed { backend: Arc::clone(backend), share, body: account.rewritten(body, written)? })
    });
    let candidates = candidates.collect::<Result<Vec<_>, Refusal>>()?;
    if candidates.is_empty() && forwarded != Forwarded::Show {
        let words = format!("no backend of this model speaks {}", forwarded.path());
        return Err(Failure::new(Code::InvalidRequest, words).param("model").into());
    }
    let works = forwarded.works();
    let forward = Box::new(Forward {
        candidates,
        choice: served.choice(|| prefix(body)),
        path: forwarded.path(),
        headers: HeaderMap::new(),
        timeout: served.settings.limits().max_duration,
        ticket: works.then(|| served.settings.ticket(caller)),
    });
    if forwarded == Forwarded::Show {
        return Ok(Asked::Show { model: envelope.model, ollamas: forward });
    }
    Ok(Asked::Backends(forward, works.then(|| Demand::of(body).read_only())))
}

fn speaks(api: Api, forwarded: Forwarded) -> bool {
    match (api, forwarded) {
        (Api::Ollama | Api::OpenAi, Forwarded::Embeddings)
        | (Api::Ollama, Forwarded::Embed | Forwarded::OldEmbeddings | Forwarded::Show)
        | (
            Api::OpenAi,
            Forwarded::Rerank | Forwarded::Tokenize | Forwarded::CountChat | Forwarded::CountResponse,
        ) => true,
        (Api::Ollama | Api::OpenAi | Api::Demo | Api::Anthropic, _) => false,
    }
}
