//! From a request to a plan: what each backend of the route is to be asked, in its own dialect.

use bytes::Bytes;

use crate::api::serving::Served;
use crate::edge::Refusal;
use crate::upstream::{Api, Candidate};
use crate::wire::{
    Code, Dialect, Dropped, Envelope, Failure, ParseError, Request, Style, parse_request, write_request,
};

/// What is to be asked, or that there is nothing to ask.
#[derive(Debug)]
pub(super) enum Planned {
    Ask {
        candidates: Vec<Candidate>,
        /// What no backend of another dialect can be told.
        dropped: Dropped,
    },
    /// An Ollama client wants the model loaded, and these backends need no loading.
    Load,
}

/// Writes the request for every backend of the route that can serve it.
pub(super) fn plan(
    served: &Served,
    client: Dialect,
    envelope: &Envelope,
    body: &Bytes,
) -> Result<Planned, Refusal> {
    let mut candidates = Vec::with_capacity(served.targets.len());
    let mut dropped = Dropped::default();
    let mut refused = None;
    let mut request = None;
    for (backend, alias) in &served.targets {
        let Some(dialect) = backend.dialect_for(client) else {
            continue;
        };
        let model = alias.as_deref().unwrap_or(&envelope.model);
        let body = if dialect == client {
            let usage =
                backend.reports_usage_on_request(dialect) && (envelope.stream || backend.api == Api::Demo);
            envelope.rewrite(body, alias.as_deref(), usage)
        } else {
            let parsed = match &request {
                Some(request) => request,
                None => request.insert(parse_request(client, body).map_err(refusal)?),
            };
            if wants_load(client, parsed) {
                return Ok(Planned::Load);
            }
            let style = Style { reasoning_field: served.settings.reasoning_field.name(), ..backend.style() };
            match write_request(dialect, parsed, model, style) {
                Ok((body, lost)) => {
                    dropped.extend(&lost);
                    body
                }
                Err(error) => {
                    let failure = Failure::new(Code::InvalidRequest, error.message).param(error.param);
                    refused.get_or_insert(failure);
                    continue;
                }
            }
        };
        candidates.push(Candidate { backend: backend.clone(), dialect, body });
    }
    if candidates.is_empty() {
        let words = || format!("no backend of this model speaks {}", client.path());
        return Err(refused
            .unwrap_or_else(|| Failure::new(Code::InvalidRequest, words()).param("model"))
            .into());
    }
    Ok(Planned::Ask { candidates, dropped })
}

/// Without a prompt Ollama loads the model and says so.
fn wants_load(client: Dialect, request: &Request<'_>) -> bool {
    matches!(client, Dialect::OllamaChat | Dialect::OllamaGenerate) && request.messages.is_empty()
}

/// A body that cannot be read.
pub(super) fn refusal(error: ParseError) -> Refusal {
    let failure = Failure::new(Code::InvalidRequest, error.message);
    match error.param {
        Some(param) => failure.param(param).into(),
        None => failure.into(),
    }
}
