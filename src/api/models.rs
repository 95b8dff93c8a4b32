//! The lists of models, as OpenAI's and Ollama's clients expect them: what would be served if it were asked for.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::Parts;
use crate::api::generate::unknown_model;
use crate::api::serving::Destination;
use crate::downstream::{self, Body};
use crate::edge::{Caller, Refusal};
use crate::upstream::{Api, Model};

/// `GET /v1/models`.
pub(super) async fn list(parts: &Parts, caller: &Caller, anthropic: bool) -> Response<Body> {
    let models = served(parts, caller).await;
    if !anthropic {
        return answer(
            &json!({ "object": "list", "data": models.iter().map(described).collect::<Vec<_>>() }),
        );
    }
    let (first, last) = (models.first().map(|model| &model.name), models.last().map(|model| &model.name));
    let data: Vec<Value> = models.iter().map(described_to_anthropic).collect();
    answer(&json!({ "data": data, "has_more": false, "first_id": first, "last_id": last }))
}

/// `GET /v1/models/{id}`.
pub(super) async fn one(
    parts: Arc<Parts>,
    id: String,
    caller: Caller,
    anthropic: bool,
) -> Result<Response<Body>, Refusal> {
    let found = served(&parts, &caller).await.into_iter().find(|model| same_name(&model.name, &id));
    let described = if anthropic { described_to_anthropic } else { described };
    found.map(|model| answer(&described(&model))).ok_or_else(|| unknown_model(&id))
}

/// Ollama's names have a tag, and its clients leave the usual one out.
fn same_name(name: &str, asked: &str) -> bool {
    name == asked || name.strip_suffix(":latest") == Some(asked)
}

/// `GET /api/tags`.
pub(super) async fn tags(parts: &Parts, caller: &Caller) -> Response<Body> {
    let models: Vec<Value> = served(parts, caller).await.into_iter().map(|model| model.tag).collect();
    answer(&json!({ "models": models }))
}

/// `GET /api/ps`.
pub(super) async fn running(parts: &Parts, caller: &Caller) -> Response<Body> {
    let running = parts.catalog.running().await;
    let models: Vec<&Value> = running
        .iter()
        .filter(|model| is_served(parts, model) && caller.may_use(&model.name))
        .map(|model| &model.tag)
        .collect();
    answer(&json!({ "models": models }))
}

/// What clients of Ollama are told where there is no Ollama: the version whose API this is.
const OLLAMA_VERSION: &str = "0.33.0";

/// `GET /api/version`.
pub(super) async fn version(parts: &Parts) -> Response<Body> {
    let version = parts.catalog.version().await;
    answer(&version.unwrap_or_else(|| json!({ "version": OLLAMA_VERSION })))
}

/// What clients of Ollama are told of a model that no Ollama serves, for `POST /api/show`: llm-ollama, VS Code and aider ask it of
/// every model of the list, and leave out those that it refuses.
pub(super) async fn shown(parts: &Parts, caller: &Caller, name: &str) -> Shown {
    let found = served(parts, caller).await.into_iter().find(|model| same_name(&model.name, name));
    let is_ollama = |backend: &str| parts.pool.backend(backend).is_some_and(|it| it.api == Api::Ollama);
    let elsewhere = match &found {
        Some(model) => is_ollama(&model.backend),
        // A name of a route's own is one whatever its backend lists.
        None => parts.serving.exact().all(|(route, served)| {
            route != name || served.targets.iter().any(|target| target.backend.api == Api::Ollama)
        }),
    };
    if elsewhere {
        return Shown::Elsewhere;
    }
    let of_tag = |key: &str| found.as_ref().and_then(|model| model.tag.get(key)).cloned();
    Shown::Ours(answer(&json!({
        "license": "",
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": of_tag("details").unwrap_or_else(|| json!({
            "parent_model": "", "format": "", "family": "", "families": null,
            "parameter_size": "", "quantization_level": "",
        })),
        // No number that is not known: how long its context is, each client has a guess of its own.
        "model_info": { "general.architecture": ARCHITECTURE, "general.basename": name },
        "capabilities": ["completion", "tools"],
        "modified_at": of_tag("modified_at").unwrap_or_else(|| NO_TIME.into()),
    })))
}

/// Who shows a model.
pub(super) enum Shown {
    Ours(Response<Body>),
    /// An Ollama, if there is one.
    Elsewhere,
}

/// The family of a model that runs elsewhere.
const ARCHITECTURE: &str = "remote";
const NO_TIME: &str = "1970-01-01T00:00:00Z";

fn answer(value: &Value) -> Response<Body> {
    downstream::json(StatusCode::OK, value.to_string().into())
}

fn described(model: &Model) -> Value {
    let mut described =
        json!({ "id": model.name, "object": "model", "created": model.created, "owned_by": model.owned_by });
    if let Some(members) = described.as_object_mut() {
        members.extend(model.facts.clone());
    }
    described
}

fn described_to_anthropic(model: &Model) -> Value {
    let created = UNIX_EPOCH + Duration::from_secs(model.created);
    let created = humantime::format_rfc3339_seconds(created).to_string();
    json!({ "type": "model", "id": model.name, "display_name": model.name, "created_at": created })
}

/// The models of the backends that their routes lead to, and the names that routes give of their own.
async fn served(parts: &Parts, caller: &Caller) -> Vec<Model> {
    let known = parts.catalog.models().await;
    let mut models: Vec<Model> = Vec::with_capacity(known.len());
    for model in known.iter().filter(|model| is_served(parts, model)) {
        if models.iter().all(|listed| listed.name != model.name) {
            models.push(model.clone());
        }
    }
    for (name, route) in parts.serving.exact() {
        let target = route.targets.iter().find_map(|Destination { backend, alias, .. }| {
            let there = alias.as_deref().unwrap_or(name);
            known.iter().find(|model| model.backend == backend.name && same_name(&model.name, there))
        });
        if let Some(model) = target
            && models.iter().all(|listed| listed.name != name)
        {
            models.push(model.renamed(name));
        }
    }
    models.retain(|model| caller.may_use(&model.name));
    models
}

/// Does asking for the model lead to the backend that has it, under this name?
fn is_served(parts: &Parts, model: &Model) -> bool {
    let leads_there = |Destination { backend, alias, .. }: &Destination| {
        backend.name == model.backend && alias.as_ref().is_none_or(|alias| same_name(&model.name, alias))
    };
    parts.serving.find(&model.name).is_some_and(|route| route.targets.iter().any(leads_there))
}
