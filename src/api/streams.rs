//! `/v1/streams`: what is recorded, read again, followed, looked at and cancelled.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::Parts;
use crate::api::cursor::Seen;
use crate::api::label::Label;
use crate::api::look::{Look, Wants};
use crate::api::reading::{self, Reading, find, follow, nothing, nothing_more};
use crate::api::recorded::{addresses_of, named, numbering, whole_of};
use crate::api::retry::{RETRY_LATER, spread};
use crate::api::stopped::until_lapsed;
use crate::api::view::{described, summary};
use crate::api::visitor::Visitor;
use crate::downstream::{Body, json as whole, retry_later};
use crate::edge::{Parameter, Query, Refusal};
use crate::journal::{Entry, Gone, Listed, OpenError, Page, Record};
use crate::wire::{Code, Failure, Framing};

/// `GET|HEAD|DELETE /v1/streams/{id}`.
pub(super) async fn one(
    parts: &Parts,
    id: &str,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let found = find(parts, &visitor, id).await;
    if found.as_ref().is_err_and(|refusal| look.must_wait(refusal)) {
        return Ok(retry_later(spread(RETRY_LATER)));
    }
    let (record, label) = found?;
    if look.method == Method::DELETE {
        return cancel(parts, &record, &label).await;
    }
    read(parts, &record, label, look, visitor).await
}

/// A stream of a conversation: as events, or (`raw`) as its bytes.
pub(super) async fn by_name(
    parts: &Parts,
    (name, raw): (&str, bool),
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    if raw {
        self::raw(parts, name, look, visitor).await
    } else {
        of_conversation(parts, name, look, visitor).await
    }
}

/// `GET /v1/conversations/{name}/stream`: the newest of the conversation, or the one that the cursor names.
async fn of_conversation(
    parts: &Parts,
    name: &str,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let found = newest(parts, name, &look, &visitor).await;
    if found.as_ref().is_err_and(|refusal| look.must_wait(refusal)) {
        return Ok(retry_later(spread(RETRY_LATER)));
    }
    let (record, label) = found?;
    read(parts, &record, label, look, visitor).await
}

/// `GET|DELETE /v1/stream/{conversation}`, and what llama.cpp has in its place: `?from=N` counts bytes.
pub(super) async fn raw(
    parts: &Parts,
    name: &str,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let (record, label) = newest(parts, name, &look, &visitor).await?;
    if look.method == Method::DELETE {
        return cancel(parts, &record, &label).await;
    }
    if label.whole() {
        let mut response = until_lapsed(&visitor.caller, whole_of(&record)).await??;
        named(&mut response, &record);
        return Ok(response);
    }
    let framing = label.dialect().framing();
    let reading = Reading {
        seen: Seen::NOTHING,
        viewer: None,
        numbering: label.numbered.then(|| numbering(&record, &label)),
        framing,
        filler: label.dialect().keep_alive(),
        events: false, // its reader counts bytes
        skip: look.from,
    };
    let mut response = follow(parts, &record, &label, reading, visitor).await?;
    named(&mut response, &record);
    Ok(response)
}

async fn newest(
    parts: &Parts,
    name: &str,
    look: &Look,
    visitor: &Visitor,
) -> Result<(Arc<Record>, Label), Refusal> {
    if let Some(cursor) = &look.cursor {
        match find(parts, visitor, &cursor.stream).await {
            Ok((record, label)) if record.meta().conversation.as_deref() == Some(name) => {
                return Ok((record, label));
            }
            // It is over, or cannot be known now: another stream of the conversation would be no answer.
            Err(refusal) if matches!(refusal.failure.status(), 410 | 503) => return Err(refusal),
            Ok(_) | Err(_) => {}
        }
    }
    let found = parts.journal.conversation(visitor.owner(), name).await;
    let record = found.map_err(|why| match why {
        OpenError::Unknown | OpenError::Expired => reading::unknown(),
        OpenError::Away => reading::refused(why),
    })?;
    let label = Label::of(&record).ok_or_else(reading::unknown)?;
    Ok((record, label))
}

async fn read(
    parts: &Parts,
    record: &Arc<Record>,
    label: Label,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let seen = look.seen(record)?;
    let takes_over = look.viewer.as_ref().is_some_and(|viewer| viewer.exclusive);
    if takes_over && visitor.caller.signed().is_some() {
        let words = "an address for reading takes the place of no other viewer";
        return Err(Refusal::new(Code::Forbidden, words));
    }
    if look.method == Method::HEAD {
        let mut response = nothing(StatusCode::OK);
        named(&mut response, record);
        return Ok(response);
    }
    if look.wants == Wants::Json {
        if !look.wait.is_zero() && record.is_running() {
            // What there is by then is told.
            drop(until_lapsed(&visitor.caller, timeout(look.wait, record.changed(seen.frame()))).await?);
        }
        record.touch();
        let mut response = whole(StatusCode::OK, described(parts, record, label).await);
        named(&mut response, record);
        return Ok(response);
    }
    if look.comes_back() && parts.shutdown.is_draining() {
        return Ok(retry_later(spread(RETRY_LATER)));
    }
    let lines = look.wants == Wants::Lines && label.dialect().framing() == Framing::Ndjson && !label.whole();
    let reading = Reading {
        seen,
        viewer: look.viewer.clone(),
        numbering: (!lines).then(|| {
            let mut numbering = numbering(record, &label);
            if label.whole() {
                numbering.framing = Framing::Ndjson; // one text, to be put into one event
            }
            numbering
        }),
        framing: if lines { Framing::Ndjson } else { Framing::Sse },
        filler: if lines { b" " } else { b": keep-alive\n" },
        events: !label.whole(),
        skip: 0,
    };
    match follow(parts, record, &label, reading, visitor).await {
        Ok(mut response) => {
            named(&mut response, record);
            Ok(response)
        }
        // An error status would end it for ever, or have it come back at once.
        Err(refusal) if look.comes_back() && refusal.failure.code == Code::Superseded => Ok(nothing_more()),
        Err(refusal) if look.comes_back() && refusal.failure.code == Code::RateLimited => {
            Ok(retry_later(spread(RETRY_LATER)))
        }
        Err(refusal) => Err(refusal),
    }
}

/// `POST /v1/streams/{id}/cancel`, and `DELETE`. As often as one likes.
pub(super) async fn cancel_one(
    parts: &Parts,
    id: &str,
    visitor: &Visitor,
) -> Result<Response<Body>, Refusal> {
    let (record, label) = find(parts, visitor, id).await?;
    cancel(parts, &record, &label).await
}

/// How long a cancelled stream may take to end before the answer is given all the same.
const CANCEL: Duration = Duration::from_secs(2);

async fn cancel(parts: &Parts, record: &Arc<Record>, label: &Label) -> Result<Response<Body>, Refusal> {
    parts.journal.cancel(record, Gone::Cancelled).await.map_err(reading::refused)?;
    drop(timeout(CANCEL, record.ended()).await); // it ends in its own time, and the answer says how it stands
    Ok(whole(StatusCode::OK, summary(record.meta(), record.status(), label).to_string().into()))
}

/// `POST /v1/streams/{id}/token`.
pub(super) async fn sign(parts: &Parts, id: &str, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let (record, _) = find(parts, visitor, id).await?;
    Ok(whole(StatusCode::OK, addresses_of(parts, &record).to_string().into()))
}

/// How many streams a page has where its reader does not say.
const PAGE: usize = 100;
/// How many it may have.
const MAX_PAGE: usize = 1000;

/// `GET /v1/streams?limit=N&after=id`: the newest first, page by page as OpenAI's lists.
pub(super) async fn list(parts: &Parts, query: &Query, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let wrong = |param, words: String| Refusal::from(Failure::new(Code::InvalidRequest, words).param(param));
    let lawful = |limit: &str| limit.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    let limit = match query.get(Parameter::Limit).map(lawful) {
        None => PAGE,
        Some(Some(limit)) => limit,
        Some(None) => return Err(wrong("limit", format!("`limit` is a number from 1 to {MAX_PAGE}"))),
    };
    let page = Page { after: query.get(Parameter::After), limit };
    let Listed { entries, more } =
        parts.journal.list(visitor.owner(), page).await.map_err(|why| match why {
            OpenError::Away => reading::refused(why),
            OpenError::Unknown | OpenError::Expired => {
                wrong("after", "`after` is no stream of the list".into())
            }
        })?;
    let id = |entry: Option<&Entry>| entry.map(|entry| entry.meta.id.clone());
    let (first, last) = (id(entries.first()), id(entries.last()));
    let summary = |Entry { meta, status }| {
        let label = Label::read(&meta.label)?;
        Some(summary(&meta, status, &label))
    };
    let data: Vec<Value> = entries.into_iter().filter_map(summary).collect();
    let list =
        json!({ "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more });
    Ok(whole(StatusCode::OK, list.to_string().into()))
}
