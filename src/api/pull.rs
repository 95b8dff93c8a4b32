//! Models that are pulled: once each, however many clients ask, and on when they leave. Asked for in Ollama's words, which show
//! every line from the first, or in Cortex's, which show them on `/events`. Where replicas share a store, once over all of them:
//! the others read the record of the one that pulls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync;
use tokio::time::timeout;

use crate::api::errand::{Run, run};
use crate::api::generate::refused;
use crate::api::serving::Served;
use crate::api::stopped::{lapsed, stopped, until_lapsed};
use crate::api::visitor::Visitor;
use crate::api::{Parts, body, plan, reading, room};
use crate::downstream::{Body, Manner, StreamBody, json as whole, stream};
use crate::edge::{Caller, Refusal};
use crate::journal::{Busy, Created, End, Gone, Meta, New, OpenError, Record};
use crate::relay::PRODUCER_LOST;
use crate::telemetry::random_id;
use crate::upstream::{Api, Attempted, Backend, Errand};
use crate::wire::{Code, Dialect, Envelope, Failure, Framing, ModelKey, read_failure, texts};

/// All pulls that run here; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Pulls(Arc<sync::Mutex<HashMap<String, Pull>>>);

/// How many may run at a time.
const MAX_PULLS: usize = 64;

/// One that runs.
#[derive(Clone, Debug)]
struct Pull {
    /// What it is called on `/events`.
    task: String,
    record: Arc<Record>,
    /// Why it failed, if it ran here.
    failed: Arc<Mutex<Option<Attempted>>>,
}

/// `POST /api/pull`.
pub(super) async fn pull(
    parts: &Arc<Parts>,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let account = parts.memory.account(&visitor.caller);
    let body = body::read_json(parts, &account, request).await?;
    let (bytes, depth, read) = (body.len(), parts.bounds.json_depth, body.clone());
    let read = move || Envelope::parse(&read, ModelKey::ModelOrName, true, depth);
    let envelope =
        account.run(parts.pool.offload(), bytes, read).await.map_err(|error| plan::refusal(&error))?;
    visitor.access.model(&envelope.model);
    let pull = join(parts, &envelope.model, &body, &visitor).await?;
    if !envelope.stream {
        until_lapsed(&visitor.caller, pull.record.ended()).await?;
        pull.check()?;
        let last = pull.record.frames().pop().unwrap_or_default();
        return Ok(whole(StatusCode::OK, last.slice_ref(last.trim_ascii())));
    }
    pull.begun(parts).await?;
    // What lies further back than is kept is progress that is over.
    let status = pull.record.status();
    let Visitor { hangup, access, caller, .. } = visitor;
    let reader = pull.record.read(status.first.saturating_sub(1), None, hangup);
    let reader = reader.map_err(|why| reading::trimmed(&pull.record, why))?;
    let lost = Failure::new(Code::ProducerLost, PRODUCER_LOST).frame(Dialect::OllamaChat);
    let manner = Manner { early: status.last == 0, lost, ..Manner::plain(b" ", parts.keep_alive) };
    let body = StreamBody::new(reader, access, manner)
        .until(async move { lapsed(&caller).await.frame(Dialect::OllamaChat) });
    Ok(stream(Framing::Ndjson, body))
}

/// `POST /v1/models/pull` begins a download, `DELETE` stops it.
pub(super) async fn task(
    parts: &Arc<Parts>,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let stop = request.method() == Method::DELETE;
    let body = body::read_json(parts, &parts.memory.account(&visitor.caller), request).await?;
    let field = if stop { "taskId" } else { "model" };
    let [name] = texts(&body, [field]).map_err(|error| plan::refusal(&error))?;
    let missing = || Failure::new(Code::InvalidRequest, format!("{field} is required")).param(field);
    let name = name.ok_or_else(missing)?;
    visitor.access.model(&name);
    if stop {
        let may = visitor.caller.may_use(&name);
        let stopped = may && (parts.pulls.stop(&name).await || stop_elsewhere(parts, &name).await?);
        let said = json!({ "message": "Download stopped successfully", "taskId": name });
        let unknown = || Refusal::new(Code::InvalidRequest, "there is no such download").with_status(404);
        return stopped.then(|| whole(StatusCode::OK, said.to_string().into())).ok_or_else(unknown);
    }
    let pull = join(parts, &name, &body, &visitor).await?;
    pull.begun(parts).await?;
    let said = json!({
        "message": "Model start downloading!",
        "task": { "id": pull.task, "items": [], "type": "Model" },
    });
    Ok(whole(StatusCode::OK, said.to_string().into()))
}

impl Pulls {
    /// Stops the pull of this name; false if there is none.
    async fn stop(&self, task: &str) -> bool {
        let pulls = self.0.lock().await;
        let named = tagged(task);
        let found = pulls.values().filter(|pull| tagged(&pull.task) == named && pull.record.is_running());
        found.map(|pull| pull.record.cancel(Gone::Cancelled)).count() > 0
    }

    /// Does this process run the pull of this id?
    pub(super) async fn runs_here(&self, id: &str) -> bool {
        self.0.lock().await.values().any(|pull| pull.record.meta().id == id)
    }
}

impl Pull {
    /// Waits for the first line, but not for long. `Err`: there will be none.
    async fn begun(&self, parts: &Parts) -> Result<(), Refusal> {
        let patience = parts.serving.find(&self.task).map(|served| served.settings.commit_after);
        drop(timeout(patience.unwrap_or_default(), self.record.changed(0)).await); // what is known by then counts
        if self.record.status().last <= 1 { self.check() } else { Ok(()) }
    }

    /// `Err`: it has failed.
    fn check(&self) -> Result<(), Refusal> {
        match self.record.status().ended {
            Some(ended) if ended.end == End::Failed => {
                let failed = self.failed.lock().clone();
                Err(failed.map_or_else(|| why_failed(&self.record, ended.reason.as_deref()), refused))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What another replica says of why a pull failed: one word, and the last line.
pub(super) fn why_failed(record: &Record, reason: Option<&str>) -> Refusal {
    let code = match reason {
        Some("cancelled") => return Refusal::new(Code::Cancelled, "this download was stopped"),
        Some("producer_lost") => return Refusal::new(Code::ProducerLost, PRODUCER_LOST),
        Some("draining") => Code::Draining,
        Some("upstream_unreachable") => Code::UpstreamUnreachable,
        Some(_) | None => Code::UpstreamError,
    };
    let last = record.last_frame().unwrap_or_default();
    Refusal::from(Failure::new(code, read_failure(&last).message))
}

/// Whom the records of pulls belong to: no caller, whoever may pull sees them.
pub(super) const OWNER: &str = "\npulls";

/// Where a pull is found by all replicas.
fn place(key: &str) -> String {
    format!("pull {key}")
}

/// Stops the pull of a model that another replica runs; false if there is none.
async fn stop_elsewhere(parts: &Parts, task: &str) -> Result<bool, Refusal> {
    let Some(key) = parts.serving.find(task).and_then(|served| key_of(served, task)) else {
        return Ok(false);
    };
    let found = match parts.journal.conversation(Some(OWNER), &place(&key)).await {
        Ok(record) => record.is_running().then_some(record),
        Err(OpenError::Unknown | OpenError::Expired) => None,
        Err(why @ OpenError::Away) => return Err(reading::refused(why)),
    };
    let Some(record) = found else { return Ok(false) };
    parts.journal.cancel(&record, Gone::Cancelled).await.map_err(reading::refused)?;
    Ok(true)
}

/// What is pulled: a model of the first backend of its route that has models of its own.
fn key_of(served: &Served, model: &str) -> Option<String> {
    let targets = ollamas(served)?;
    let (first, alias) = targets.first()?;
    Some(format!("{} {}", first.name, tagged(alias.as_deref().unwrap_or(model))))
}

/// Models without a tag are the latest.
fn tagged(model: &str) -> String {
    let tagged = model.rsplit('/').next().is_some_and(|name| name.contains(':'));
    if tagged { model.to_owned() } else { format!("{model}:latest") }
}

/// The pull of a model that runs already, or a new one.
async fn join(parts: &Arc<Parts>, model: &str, body: &Bytes, visitor: &Visitor) -> Result<Pull, Refusal> {
    let served = parts.serving.find_for(&visitor.caller, model)?;
    let targets = ollamas(served).ok_or_else(|| no_ollama(model))?;
    let key = key_of(served, model).ok_or_else(|| no_ollama(model))?;
    let mut pulls = parts.pulls.0.lock().await;
    if let Some(pull) = pulls.get(&key).filter(|pull| pull.record.is_running()) {
        return Ok(pull.clone());
    }
    if pulls.len() >= MAX_PULLS {
        return Err(Refusal::new(Code::QueueFull, "as many models are pulled as may be").retry_after(60));
    }
    let candidates = targets.into_iter().map(|(backend, alias)| {
        let body = wish(body, alias.as_deref().unwrap_or(model));
        (backend, body)
    });
    let errand = Errand { candidates: candidates.collect(), method: Method::POST, path: "/api/pull" };
    let meta = Meta {
        id: random_id(),
        owner: Some(OWNER.into()),
        conversation: Some(place(&key)),
        channel: None,
        created: SystemTime::now(),
        linger: None,
        retention: parts.journal.retention(),
        label: model.to_owned().into(),
    };
    let pull = |record| Pull { task: model.to_owned(), record, failed: Arc::default() };
    let (writer, record) =
        match parts.journal.create(New { meta, key: None, busy: Busy::Yield, alias: None }).await {
            Created::New { writer, record, .. } => (writer, record),
            Created::Busy(record) => return Ok(pull(record)), // another replica's
            refused @ (Created::Repeats(_)
            | Created::Differs
            | Created::LineFull
            | Created::OverShare
            | Created::NoRoom) => return Err(room::refused(&refused)),
        };
    let pull = pull(record);
    pulls.insert(key.clone(), pull.clone());
    drop(pulls);
    let job = Run {
        pool: parts.pool.clone(),
        errand,
        writer,
        access: visitor.access.clone(),
        task: Some(model.to_owned()),
        stopped: stopped(parts, &Caller::anyone()), // it is not one caller's alone
        failed: Arc::clone(&pull.failed),
    };
    let (all, own) = (parts.pulls.clone(), Arc::clone(&pull.record));
    parts.tasks.spawn(async move {
        Box::pin(run(job)).await;
        let mut pulls = all.0.lock().await;
        if pulls.get(&key).is_some_and(|pull| Arc::ptr_eq(&pull.record, &own)) {
            pulls.remove(&key);
        }
    });
    Ok(pull)
}

/// The backends of a route that have models of their own, each with what it calls the model.
pub(super) fn ollamas(served: &Served) -> Option<Vec<(Arc<Backend>, Option<String>)>> {
    let targets = served.targets.iter().filter(|target| target.backend.api == Api::Ollama);
    let targets: Vec<_> = targets.map(|target| (Arc::clone(&target.backend), target.alias.clone())).collect();
    (!targets.is_empty()).then_some(targets)
}

pub(super) fn no_ollama(model: &str) -> Refusal {
    let shown: String = model.chars().take(100).collect();
    let words = format!("no backend of the model '{shown}' has models of its own: only Ollama does");
    Failure::new(Code::InvalidRequest, words).param("model").into()
}

/// What the backend is asked: as the client did, but with its own name for the model, and for a stream, which all can read.
fn wish(body: &[u8], model: &str) -> Bytes {
    let mut wish: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    wish.remove("name");
    wish.insert("model".into(), model.into());
    wish.insert("stream".into(), true.into());
    Value::Object(wish).to_string().into()
}
