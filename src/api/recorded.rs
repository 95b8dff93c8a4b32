//! Requests whose answers are recorded: those that begin a record, and those that are answered by one that is there already.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;

use crate::api::cursor::{Cursor, Seen};
use crate::api::generate::{Asked, Channel, relay, streamed};
use crate::api::label::{Label, Told};
use crate::api::line::{interrupt, turn};
use crate::api::reading::{self, Reading};
use crate::api::stopped::until_lapsed;
use crate::api::visitor::Visitor;
use crate::api::wishes::{OnConflict, Wishes};
use crate::api::{Parts, responses, room, whole};
use crate::downstream::{self, Body, Numbering};
use crate::edge::{Grant, Refusal, Resource, Slot};
use crate::journal::{self, AliasOf, Busy, Created, Key, Meta, New, Reader, Record, Writer};
use crate::relay::abandoned;
use crate::server::Tasks;
use crate::upstream::Candidate;
use crate::wire::openai_responses::queued;
use crate::wire::{Code, Dialect, Dropped, Failure, Framing};

/// The id of the stream that answers.
pub(super) const STREAM_ID: HeaderName = HeaderName::from_static("stream-id");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a record is begun with.
pub(super) struct Recording {
    pub(super) wishes: Wishes,
    pub(super) slot: Option<Slot>,
    pub(super) visitor: Visitor,
}

/// A record that has begun.
struct Begun {
    writer: Writer,
    record: Arc<Record>,
    /// What it waits for: its turn in its conversation.
    after: Option<BoxFuture<'static, ()>>,
    /// How its client sees it.
    label: Label,
}

/// Answers a request by a record: a new one, or the one that it repeats.
pub(super) async fn answer(
    parts: &Arc<Parts>,
    asked: Asked,
    candidates: Vec<Candidate>,
    recording: Recording,
) -> Result<(Response<Body>, Dropped), Refusal> {
    let Recording { wishes, slot, visitor } = recording;
    let label = label(&asked, &wishes);
    let meta = meta(parts, &asked, &wishes, &visitor, &label);
    let key = wishes.key.clone().map(|name| Key { name, fingerprint: wishes.fingerprint });
    let is_nameless = key.is_none() && meta.conversation.is_none();
    let busy = busy_of(wishes.on_conflict);
    let alias = label.kept.then_some(responses::called as AliasOf);
    let (writer, record, mut after) = match parts.journal.create(New { meta, key, busy, alias }).await {
        Created::New { writer, record, before } => (writer, record, before),
        Created::Repeats(record) => return join(parts, &record, &label, visitor).await.map(undropped),
        Created::Busy(record) if wishes.on_conflict == OnConflict::Attach => {
            return join(parts, &record, &label, visitor).await.map(undropped);
        }
        Created::Busy(record) => return Err(busy_with(&record)),
        refused @ (Created::Differs | Created::LineFull | Created::OverShare | Created::NoRoom) => {
            return Err(room::refused(&refused));
        }
    };
    visitor.access.recorded(&record.meta().id);
    visitor.access.metrics().recorded();
    if let Some(before) = after.take_if(|_| wishes.on_conflict == OnConflict::Interrupt) {
        interrupt(parts, &record, before).await;
    }
    let after = turn(&parts.journal, &record, after).await;
    let begun = Begun { writer, record, after, label };
    let record = Arc::clone(&begun.record);
    let answered = match begun.label.told {
        Told::Addresses | Told::Response => Ok(detached(parts, asked, candidates, slot, begun)),
        Told::Whole => {
            let reader = read_all(&begun.record, &visitor)?;
            let answer = answer_whole(Arc::clone(parts), asked, candidates, slot, begun).await;
            drop(reader);
            answer
        }
        Told::Stream => {
            let reader = read_all(&begun.record, &visitor)?;
            let Begun { writer, after, label, .. } = begun;
            let numbering = label.numbered.then(|| Box::new(numbering(&record, &label)));
            streamed(parts, asked, candidates, slot, Channel { writer, reader, numbering, after }).await
        }
    };
    match answered {
        Ok((mut response, dropped)) => {
            named(&mut response, &record);
            Ok((response, dropped))
        }
        // Nobody else can have known of it: it needs no room.
        Err(refusal) if is_nameless && is_refused(&refusal) => {
            if parts.journal.delete(&record).await.is_err() {
                tracing::debug!("the store is away: what was refused is kept for its time");
            }
            Err(refusal)
        }
        // The error is kept, too.
        Err(refusal) => Err(match HeaderValue::try_from(record.meta().id.as_str()) {
            Ok(id) => refusal.header(STREAM_ID, id),
            Err(_) => refusal,
        }),
    }
}

/// What becomes of a request in a busy conversation.
fn busy_of(on_conflict: OnConflict) -> Busy {
    match on_conflict {
        OnConflict::Interrupt => Busy::Begin,
        OnConflict::Enqueue => Busy::Wait,
        OnConflict::Attach | OnConflict::Reject => Busy::Yield,
    }
}

/// Is it the request's own fault that there is no answer?
fn is_refused(refusal: &Refusal) -> bool {
    (400..500).contains(&refusal.failure.status()) && refusal.failure.code != Code::Cancelled
}

/// Goes on where a reader was cut off. `None`: that stream was cancelled or has failed, and the request is done anew.
pub(super) async fn resume(
    parts: &Arc<Parts>,
    dialect: Dialect,
    cursor: &Cursor,
    wishes: &Wishes,
    visitor: &Visitor,
) -> Result<Option<Response<Body>>, Refusal> {
    let (record, label) = reading::find(parts, visitor, &cursor.stream).await?;
    if label.dialect() != dialect || label.fingerprint != wishes.fingerprint {
        let words = "`Last-Event-ID` names a stream that answers a request with another content";
        return Err(Refusal::new(Code::InvalidRequest, words).with_status(422));
    }
    if !record.answers() {
        return Ok(None);
    }
    let mut response = if label.whole() {
        until_lapsed(&visitor.caller, whole_of(&record)).await??
    } else {
        read_along(parts, &record, &label, cursor.seen, visitor.clone()).await?
    };
    visitor.access.recorded(&record.meta().id);
    named(&mut response, &record);
    Ok(Some(response))
}

/// Answers a request that would have been labelled `mine` with a record that is there already.
async fn join(
    parts: &Arc<Parts>,
    record: &Arc<Record>,
    mine: &Label,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let label = Label::of(record).ok_or_else(reading::unknown)?;
    if label.dialect() != mine.dialect() {
        return Err(busy_with(record));
    }
    visitor.access.recorded(&record.meta().id);
    let mut response = match (mine.told, label.told) {
        (Told::Addresses, _) => accepted(parts, record),
        (Told::Whole, Told::Whole) => until_lapsed(&visitor.caller, whole_of(record)).await??,
        (Told::Response, _) => responses::told(parts, Arc::clone(record), label).await,
        (Told::Stream, Told::Stream | Told::Addresses | Told::Response) => {
            read_along(parts, record, &label, Seen::NOTHING, visitor).await?
        }
        (Told::Stream, Told::Whole) | (Told::Whole, _) => return Err(busy_with(record)),
    };
    named(&mut response, record);
    Ok(response)
}

/// A whole answer, once it is there.
pub(super) async fn whole_of(record: &Arc<Record>) -> Result<Response<Body>, Refusal> {
    record.ended().await;
    let ended = record.status().ended;
    let done = ended.as_ref().is_some_and(|ended| ended.end == journal::End::Done);
    let body = record.first_frame().filter(|_| done).ok_or_else(|| {
        let code = match ended.and_then(|ended| ended.reason).as_deref() {
            Some("cancelled") => Code::Cancelled,
            Some("superseded") => Code::Superseded,
            _ => Code::UpstreamError,
        };
        Refusal::new(code, "the request that this one repeats has failed")
    })?;
    Ok(downstream::json(StatusCode::OK, body))
}

/// Reads a record as the client of its request did.
async fn read_along(
    parts: &Parts,
    record: &Arc<Record>,
    label: &Label,
    seen: Seen,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let reading = Reading {
        seen,
        viewer: None,
        numbering: label.numbered.then(|| numbering(record, label)),
        framing: label.dialect().framing(),
        filler: label.dialect().keep_alive(),
        events: true,
        skip: 0,
    };
    reading::follow(parts, record, label, reading, visitor).await
}

fn read_all(record: &Arc<Record>, visitor: &Visitor) -> Result<Reader, Refusal> {
    record.read(0, None, visitor.hangup.clone()).map_err(|trimmed| reading::trimmed(record, trimmed))
}

/// How the events of a record are numbered.
pub(super) fn numbering(record: &Record, label: &Label) -> Numbering {
    Numbering { stream: record.meta().id.clone(), framing: label.dialect().framing() }
}

/// Begins the work and answers at once: 202 with the addresses, or the response that has not begun.
fn detached(
    parts: &Arc<Parts>,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
    begun: Begun,
) -> (Response<Body>, Dropped) {
    let Begun { writer, record, after, label } = begun;
    let unknown = candidates.first().map(|candidate| candidate.dropped.clone()).unwrap_or_default();
    let queued = queued(&asked.client.identity);
    drop(relay(parts, asked, candidates, slot, (writer, after)));
    let response = if label.told == Told::Addresses {
        accepted(parts, &record)
    } else {
        downstream::json(StatusCode::OK, queued.into())
    };
    (response, unknown)
}

/// 202: it is worked on, and can be read there.
fn accepted(parts: &Parts, record: &Record) -> Response<Body> {
    let mut response = downstream::json(StatusCode::ACCEPTED, addresses_of(parts, record).to_string().into());
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    response
}

/// Where a stream can be read and cancelled, without a key.
pub(super) fn addresses_of(parts: &Parts, record: &Record) -> serde_json::Value {
    let (id, owner) = (&record.meta().id, record.meta().owner.as_deref());
    let (read, expires) = parts.signer.query(Resource::Stream(id), Grant::Read, owner);
    let (cancel, _) = parts.signer.query(Resource::Stream(id), Grant::Cancel, owner);
    json!({
        "id": id,
        "stream_url": format!("/v1/streams/{id}?{read}"),
        "cancel_url": format!("/v1/streams/{id}/cancel?{cancel}"),
        "expires_at": expires,
    })
}

/// Works for a whole answer in a task of its own, which goes on when the client leaves if the record says so.
async fn answer_whole(
    parts: Arc<Parts>,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
    begun: Begun,
) -> Result<(Response<Body>, Dropped), Refusal> {
    let Begun { writer, after, .. } = begun;
    let (tell, told) = oneshot::channel();
    let tasks: Tasks = parts.tasks.clone();
    tasks.spawn(async move {
        let _slot = slot;
        let dialect = asked.client.dialect;
        let work = async {
            if let Some(turn) = after {
                turn.await;
            }
            whole::answer(&parts, &asked, candidates).await
        };
        let result = tokio::select! {
            biased;
            gone = writer.abandoned() => Err(abandoned(gone).into()),
            result = work => result,
        };
        match &result {
            Ok((body, _)) => {
                writer.append([body.clone()]);
                writer.close();
            }
            Err(Refusal { failure, .. }) => writer.fail(failure.body(dialect, None), failure.code.name()),
        }
        drop(tell.send(result)); // nobody there: the client has left
    });
    let result = told.await.unwrap_or_else(|_| {
        Err(Refusal::new(Code::Internal, "the work on this answer ended without a word"))
    });
    result.map(|(body, dropped)| (downstream::json(StatusCode::OK, body), dropped))
}

fn label(asked: &Asked, wishes: &Wishes) -> Label {
    let client = &asked.client;
    let told = if wishes.detached {
        Told::Addresses
    } else if asked.stream {
        Told::Stream
    } else if wishes.background {
        Told::Response
    } else {
        Told::Whole
    };
    let mut label = Label::new(client.dialect, &client.identity.model, told, wishes.fingerprint);
    label.numbered = wishes.conversation.is_some() && client.dialect.framing() == Framing::Sse;
    label.kept = wishes.input.is_some();
    label
}

fn meta(parts: &Parts, asked: &Asked, wishes: &Wishes, visitor: &Visitor, label: &Label) -> Meta {
    let named = wishes.conversation.is_some();
    // Whoever sends a key alone means a repeated request, not a reader that comes back.
    let short = !named && !wishes.runs_on() && wishes.input.is_none() && wishes.key.is_some();
    let identity = &asked.client.identity;
    let queued = (label.dialect() == Dialect::OpenAiResponses).then(|| queued(identity));
    Meta {
        id: identity.id.clone(),
        owner: visitor.owner().map(String::from),
        conversation: wishes.conversation.clone(),
        channel: None,
        created: SystemTime::now(),
        linger: asked.settings.linger(named, wishes.runs_on()),
        retention: if short {
            KEY_RETENTION.min(parts.journal.retention())
        } else {
            parts.journal.retention()
        },
        label: label.bytes(queued.as_deref(), wishes.input.as_deref()),
    }
}

/// How long an answer is kept for nothing but a request that may be repeated.
const KEY_RETENTION: Duration = Duration::from_mins(1);

/// Says which stream answers, and where it can be read.
pub(super) fn named(response: &mut Response<Body>, record: &Record) {
    let id = &record.meta().id;
    let headers = response.headers_mut();
    if let (Ok(stream), Ok(location)) =
        (HeaderValue::try_from(id.as_str()), HeaderValue::try_from(format!("/v1/streams/{id}")))
    {
        headers.insert(STREAM_ID, stream);
        headers.insert(LOCATION, location);
    }
    if record.is_kept_here() {
        reading::durability(response);
    }
}

fn busy_with(record: &Record) -> Refusal {
    let failure = Failure::new(Code::InvalidRequest, "this conversation has a stream that still runs");
    let refusal = Refusal::from(failure.with_status(409));
    let id = &record.meta().id;
    match HeaderValue::try_from(format!("/v1/streams/{id}")) {
        Ok(location) => refusal.header(LOCATION, location),
        Err(_) => refusal,
    }
}

fn undropped(response: Response<Body>) -> (Response<Body>, Dropped) {
    (response, Dropped::default())
}
