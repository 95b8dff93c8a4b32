//! Routes of Ollama that change which models there are: passed on, line by line where the answer is lines.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value};

use crate::api::errand::{Run, run};
use crate::api::generate::{refused, unknown_model};
use crate::api::pull::{no_ollama, ollamas};
use crate::api::stopped::stopped;
use crate::api::visitor::Visitor;
use crate::api::{Parts, body, plan, pull, whole};
use crate::downstream::{Body, Manner, StreamBody, json, stream};
use crate::edge::{Caller, Managed, Refusal};
use crate::journal;
use crate::upstream::Errand;
use crate::wire::{Ask, Code, Edits, Envelope, Failure, Framing, ModelKey, named, texts};

/// How many bytes may wait for the client before its backend is held up.
const READER_BYTES: usize = 64 << 10;

/// Passes one request on to the first backend of the model that can be reached.
pub(super) async fn manage(
    parts: &Arc<Parts>,
    managed: Managed,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    if managed == Managed::Pull {
        return pull::pull(parts, request, visitor).await;
    }
    let account = parts.memory.account(&visitor.caller);
    let body = body::read_json(parts, &account, request).await?;
    let (bytes, asked) = (body.len(), (Arc::clone(parts), visitor.clone()));
    let read = move || {
        let (parts, visitor) = asked;
        match managed {
            Managed::Copy => Ok((copy(&parts, &body, &visitor)?, false)),
            Managed::Pull | Managed::Push | Managed::Create | Managed::Delete => {
                change(&parts, managed, &body, &visitor)
            }
        }
    };
    let (errand, lines) = account.run(parts.pool.offload(), bytes, read).await?;
    let Visitor { caller, access, .. } = visitor;
    if !lines {
        let asking = Box::pin(parts.pool.done(&errand, &access));
        let answered = whole::until_stopped(parts, &caller, &access, asking).await.map_err(refused)?;
        let mut response = json(StatusCode::OK, answered.body);
        response.headers_mut().insert(CONTENT_TYPE, answered.content_type);
        return Ok(response);
    }
    let (writer, reader) = journal::open(READER_BYTES);
    let job = Run {
        pool: parts.pool.clone(),
        errand,
        writer,
        access: access.clone(),
        task: None,
        stopped: stopped(parts, &caller),
        failed: Arc::default(),
    };
    parts.tasks.spawn(async move { Box::pin(run(job)).await });
    let manner = Manner::plain(b" ", parts.keep_alive);
    Ok(stream(Framing::Ndjson, StreamBody::new(reader, access, manner)))
}

/// What names its model as all routes do. Is it answered by lines?
fn change(
    parts: &Parts,
    managed: Managed,
    body: &Bytes,
    visitor: &Visitor,
) -> Result<(Errand, bool), Refusal> {
    let streams = managed != Managed::Delete;
    let envelope = Envelope::parse(body, ModelKey::ModelOrName, streams, parts.bounds.json_depth)
        .map_err(|error| plan::refusal(&error))?;
    visitor.access.model(&envelope.model);
    let served = parts.serving.find_for(&visitor.caller, &envelope.model)?;
    if managed == Managed::Create {
        check_origin(body, &visitor.caller)?;
    }
    let targets = ollamas(served).ok_or_else(|| no_ollama(&envelope.model))?;
    let candidates = targets.into_iter().map(|(backend, alias)| {
        let body = envelope.rewrite(body, alias.as_deref(), Ask::default(), Edits::default());
        (backend, body)
    });
    let errand = Errand { candidates: candidates.collect(), method: managed.method(), path: managed.path() };
    Ok((errand, streams && envelope.stream))
}

/// Ways to say what a model is made from that the gateway cannot tell the models of.
const OPAQUE: [&str; 4] = ["modelfile", "path", "files", "adapters"];

/// What a model is made from must be one that its maker may use: whoever has the new one has the old one.
fn check_origin(body: &Bytes, caller: &Caller) -> Result<(), Refusal> {
    let [from] = texts(body, ["from"]).map_err(|error| plan::refusal(&error))?;
    if let Some(from) = from.filter(|from| !caller.may_use(from)) {
        return Err(unknown_model(&from));
    }
    if caller.is_confined() {
        let found = named(body, &OPAQUE).map_err(|error| plan::refusal(&error))?;
        if let Some(name) = found {
            let words = format!("this API key may make models `from` others alone, not from `{name}`");
            return Err(Failure::new(Code::Forbidden, words).param(name).into());
        }
    }
    Ok(())
}

/// What names two models: the one that is there says where.
fn copy(parts: &Parts, body: &Bytes, visitor: &Visitor) -> Result<Errand, Refusal> {
    let [source, destination] =
        texts(body, ["source", "destination"]).map_err(|error| plan::refusal(&error))?;
    let missing =
        || Failure::new(Code::InvalidRequest, "`source` and `destination` are required").param("source");
    let (source, destination) = source.zip(destination).ok_or_else(missing)?;
    let served = parts.serving.find_for(&visitor.caller, &source)?;
    // What is made there may have no route of its own; but who may not ask for it may not make it either.
    if !visitor.caller.may_use(&destination) {
        return Err(unknown_model(&destination));
    }
    let targets = ollamas(served).ok_or_else(|| no_ollama(&source))?;
    let candidates = targets.into_iter().map(|(backend, alias)| {
        let wish = Map::from_iter([
            ("source".to_owned(), Value::from(alias.unwrap_or_else(|| source.clone()))),
            ("destination".to_owned(), Value::from(destination.as_str())),
        ]);
        (backend, Value::Object(wish).to_string().into())
    });
    let managed = Managed::Copy;
    Ok(Errand { candidates: candidates.collect(), method: managed.method(), path: managed.path() })
}
