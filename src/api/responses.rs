//! Responses that are kept: gone on from, read again, cancelled and deleted. The record and the request's items are the state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use crate::api::cursor::Seen;
use crate::api::label::Label;
use crate::api::reading::{Reading, find, follow, refused};
use crate::api::visitor::Visitor;
use crate::api::{Parts, transcript};
use crate::downstream::{Body, json as whole};
use crate::edge::{Parameter, Query, Refusal};
use crate::journal::{End, Gone, Meta, OpenError, Record};
use crate::wire::openai_responses::{joined_items, outline, response_in, sequence_number, with_status};
use crate::wire::{Code, Failure, Frame};

/// How long the end of a response that another replica has told its client may be on its way to this one.
const BEHIND: Duration = Duration::from_millis(300);

/// The items of a response that is kept here: what it was made from, and what it said. `None`: it is not.
pub(super) async fn previous(parts: &Parts, visitor: &Visitor, id: &str) -> Result<Option<String>, Refusal> {
    let (record, label) = match lookup(parts, visitor, id).await {
        Ok(found) => found,
        Err(refusal) if refusal.failure.status() == 503 => return Err(refusal),
        Err(_) => return Ok(None),
    };
    let refused =
        |words: &str| Refusal::from(Failure::new(Code::InvalidRequest, words).param("previous_response_id"));
    if record.is_running() && timeout(BEHIND, record.ended()).await.is_err() {
        return Err(refused("the response that this one goes on from still runs").with_status(409));
    }
    let items = off_worker(parts, (record, label), |record, label| {
        let (input, response) = (Label::input(record)?, response(record, label)?);
        let output = outline(&response).map(|outline| outline.output.get()).unwrap_or_default();
        Some(joined_items(&[&input, output]))
    });
    let whole = || refused("the response that this one goes on from is not kept whole");
    items.await.map(Some).ok_or_else(whole)
}

/// Finds a response by the id that its client knows: ours, or the backend's own.
async fn lookup(parts: &Parts, visitor: &Visitor, id: &str) -> Result<(Arc<Record>, Label), Refusal> {
    let unknown = || {
        let words = format!("there is no response `{}`", id.chars().take(100).collect::<String>());
        Refusal::new(Code::InvalidRequest, words).with_status(404)
    };
    if let Some(id) = id.strip_prefix("resp_") {
        match find(parts, visitor, id).await {
            Ok((record, label)) if label.kept => return Ok((record, label)),
            Err(refusal) if refusal.failure.status() == 503 => return Err(refusal),
            Ok(_) | Err(_) => {}
        }
    }
    match parts.journal.by_alias(visitor.owner(), id).await {
        Ok(record) => Label::of(&record).map(|label| (record, label)).ok_or_else(unknown),
        Err(why @ OpenError::Away) => Err(refused(why)),
        Err(OpenError::Unknown | OpenError::Expired) => Err(unknown()),
    }
}

/// What the backend calls the response whose first frame this is: it says so with its first event, or in the whole answer.
pub(super) fn called(meta: &Meta, frame: &[u8]) -> Option<String> {
    let label = Label::read(&meta.label)?;
    let id = if label.whole() {
        outline(std::str::from_utf8(frame).ok()?)?.id.to_owned()
    } else {
        let event = transcript::event_of(Bytes::copy_from_slice(frame), &label)?;
        outline(response_in(&event.data)?.get())?.id.to_owned()
    };
    (id.strip_prefix("resp_") != Some(&meta.id)).then_some(id) // ours is known
}

/// Reads a record where it does not hold up the worker if it is large.
async fn off_worker<T: Send + 'static>(
    parts: &Parts,
    (record, label): (Arc<Record>, Label),
    read: impl FnOnce(&Arc<Record>, &Label) -> T + Send + 'static,
) -> T {
    let bytes = record.meta().label.len() + record.status().bytes;
    parts.pool.offload().run(bytes, move || read(&record, &label)).await
}

/// The response as it stands.
fn response(record: &Record, label: &Label) -> Option<String> {
    let its = |event: Option<Frame>| {
        event.and_then(|event| response_in(&event.data)).map(|response| response.get().to_owned())
    };
    let queued = || Label::queued(record);
    if label.whole() {
        let done = record.first_frame().filter(|_| record.answers());
        let failed = || queued().map(|queued| with_status(&queued, "failed"));
        return match done {
            Some(body) => String::from_utf8(body.to_vec()).ok(),
            None if record.is_running() => queued(),
            None => failed(),
        };
    }
    let first = || its(transcript::first_event(record, label));
    let last = || its(transcript::last_event(record, label));
    let Some(ended) = record.status().ended else {
        return first().or_else(queued);
    };
    let response = last().or_else(first).or_else(queued)?;
    Some(match ended.reason.as_deref() {
        Some("cancelled" | "superseded") => with_status(&response, "cancelled"),
        Some(_) if ended.end == End::Failed => with_status(&response, "failed"),
        _ => response,
    })
}

/// `GET|DELETE /v1/responses/{id}`.
pub(super) async fn one(
    parts: &Parts,
    id: &str,
    (method, query): (&Method, &Query),
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let (record, label) = lookup(parts, &visitor, id).await?;
    if method == Method::DELETE {
        parts.journal.delete(&record).await.map_err(refused)?;
        let told = json!({ "id": id, "object": "response", "deleted": true });
        return Ok(whole(StatusCode::OK, told.to_string().into()));
    }
    let stream = query.get(Parameter::Stream) == Some("true");
    let starting_after = query.number(Parameter::StartingAfter);
    if stream && label.whole() {
        let words = "This response cannot be streamed because it was not created with background=true.";
        return Err(Failure::new(Code::InvalidRequest, words).param("stream").into());
    }
    if stream {
        let seen = match starting_after {
            Some(number) => {
                let bytes = record.status().bytes;
                let its = Arc::clone(&record);
                Seen::Frame(parts.pool.offload().run(bytes, move || position(&its, number)).await)
            }
            None => Seen::NOTHING,
        };
        let reading = Reading {
            seen,
            viewer: None,
            numbering: None,
            framing: label.dialect().framing(),
            filler: label.dialect().keep_alive(),
            events: true,
            skip: 0,
        };
        return follow(parts, &record, &label, reading, visitor).await;
    }
    record.touch();
    Ok(told(parts, record, label).await)
}

/// The last frame that a reader has seen who has seen the event of a number. The number stands in the event, and where a
/// backend counts is its own affair. Where the next is no longer kept, the reader has seen nothing of what is.
fn position(record: &Record, number: u64) -> u64 {
    let (first, frames) = record.frames_after(0);
    let numbers = frames.iter().map(|frame| {
        let data = frame.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:"));
        data.and_then(sequence_number)
    });
    let is_next = |earliest: u64| earliest <= number.saturating_add(1);
    if first > 1 && !numbers.clone().flatten().next().is_none_or(is_next) {
        return 0;
    }
    first - 1 + numbers.take_while(|its| its.is_none_or(|its| its <= number)).count() as u64
}

/// How long a cancelled response may take to end before the answer is given all the same.
const CANCEL: Duration = Duration::from_secs(2);

/// `POST /v1/responses/{id}/cancel`.
pub(super) async fn cancel(parts: &Parts, id: &str, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let (record, label) = lookup(parts, visitor, id).await?;
    parts.journal.cancel(&record, Gone::Cancelled).await.map_err(refused)?;
    drop(timeout(CANCEL, record.ended()).await); // it ends in its own time, and the answer says how it stands
    Ok(told(parts, record, label).await)
}

/// The answer that tells how a response stands.
pub(super) async fn told(parts: &Parts, record: Arc<Record>, label: Label) -> Response<Body> {
    let response = off_worker(parts, (record, label), |record, label| response(record, label));
    whole(StatusCode::OK, response.await.unwrap_or_else(|| "{}".into()).into())
}
