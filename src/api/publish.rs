//! `/v1/channels/{name}`: back ends publish events there, and pages see them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::api::cursor::Cursor;
use crate::api::reading::{self, AWAY, nothing, nothing_more, resumed_after};
use crate::api::retry::{RETRY, RETRY_LATER, spread};
use crate::api::stopped::why;
use crate::api::visitor::Visitor;
use crate::api::{Parts, body, plan};
use crate::downstream::{Body, Manner, Numbering, StreamBody, json as whole, retry_later, stream};
use crate::edge::{Caller, Grant, Lapse, Parameter, Query, Refusal, Resource};
use crate::journal::{ChannelError, End, OpenError, Published, Record, Trimmed, Viewer};
use crate::wire::{self, Code, Failure, Framing};

/// The longest name.
const NAME_BYTES: usize = 200;

/// Serves a request for one channel.
pub(super) async fn channel(
    parts: &Parts,
    name: &str,
    (request, query): (Request<Incoming>, &Query),
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    if let Err(refusal) = check(name) {
        return Err(refusal.unread_of_caller(request));
    }
    match *request.method() {
        Method::POST => publish(parts, name, request, visitor).await,
        Method::DELETE => {
            if parts.journal.end_channel(visitor.owner(), name).await.map_err(refused)? {
                Ok(nothing(StatusCode::NO_CONTENT))
            } else {
                Err(unknown())
            }
        }
        _ => {
            let ask = Ask::new(query, request.headers());
            if request.method() == Method::HEAD {
                return exists(parts, name, &visitor).await;
            }
            subscribe(parts, name, ask, visitor).await
        }
    }
}

fn check(name: &str) -> Result<(), Refusal> {
    if (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let words = format!("a channel's name has 1 to {NAME_BYTES} bytes and no control characters");
    Err(Refusal::new(Code::InvalidRequest, words))
}

async fn publish(
    parts: &Parts,
    name: &str,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let media = media_type(request.headers());
    if !matches!(media.as_str(), "" | "application/json" | "application/x-www-form-urlencoded") {
        let words = "an event is published as JSON or as a form";
        return Err(Refusal::new(Code::InvalidRequest, words).with_status(415).unread_of_caller(request));
    }
    let account = parts.memory.account(&visitor.caller);
    let body = body::read(parts, &account, request).await?;
    let bytes = body.len();
    let frame = move || {
        let published = if media == "application/x-www-form-urlencoded" {
            wire::Published::of_form(form_urlencoded::parse(&body))
        } else {
            wire::Published::of_json(&body)
        };
        published.map(|published| published.frame())
    };
    let frame =
        account.run(parts.pool.offload(), bytes, frame).await.map_err(|error| plan::refusal(&error))?;
    if frame.len() > parts.bounds.event_bytes {
        let words = format!("the event is larger than {} bytes", parts.bounds.event_bytes);
        return Err(Refusal::new(Code::PayloadTooLarge, words));
    }
    if parts.shutdown.is_draining() {
        return Err(draining());
    }
    let Published { stream, number } =
        parts.journal.publish(visitor.owner(), name, frame).await.map_err(refused)?;
    let id = Cursor::new(&stream, number);
    let said = json!({ "channel": name, "id": id.to_string() });
    Ok(whole(StatusCode::OK, said.to_string().into()))
}

fn unknown() -> Refusal {
    Refusal::new(Code::InvalidRequest, "there is no such channel").with_status(404)
}

fn refused(why: ChannelError) -> Refusal {
    match why {
        ChannelError::Away => {
            let words = "the store of channels does not answer, and may not have done what was asked";
            Refusal::new(Code::Internal, words).with_status(503).retry_after(AWAY)
        }
        ChannelError::Refused => Refusal::new(Code::Internal, "the store of channels refuses this one"),
        ChannelError::Full => {
            let words = "the gateway has no room for another channel";
            Refusal::new(Code::QueueFull, words).retry_after(60)
        }
        ChannelError::OverShare => {
            let words = "this key has as many channels as one may have: end those that are over";
            Refusal::new(Code::RateLimited, words).retry_after(60)
        }
    }
}

/// `HEAD`: 200 or 404.
async fn exists(parts: &Parts, name: &str, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let found = match visitor.caller.signed() {
        Some(signed) => {
            let found = reading::signed_for(parts, signed).await.ok();
            found.filter(|record| is_of(record, name) && record.is_running())
        }
        None => parts.journal.channel(visitor.owner(), name).await.map_err(refused)?,
    };
    found.map(|_| nothing(StatusCode::OK)).ok_or_else(unknown)
}

/// Is it the record of the channel `name`, or was it?
fn is_of(record: &Record, name: &str) -> bool {
    record.meta().channel.as_deref() == Some(name)
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn draining() -> Refusal {
    Refusal::new(Code::Draining, "the gateway is being restarted").retry_after(1)
}

/// What a subscriber says.
struct Ask {
    cursor: Option<Cursor>,
    /// The same without the channel's id.
    number: Option<u64>,
    /// Only what is still to come.
    from_now: bool,
    /// It comes back until it is told 204, unless an error ends it for ever.
    comes_back: bool,
}

impl Ask {
    fn new(query: &Query, headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let cursor = || Cursor::parse(query.get(Parameter::LastEventId)?);
        Self {
            cursor: Cursor::of_header(headers).or_else(cursor),
            number: query.number(Parameter::StartingAfter),
            from_now: query.get(Parameter::From) == Some("now"),
            comes_back: accept.contains("text/event-stream"),
        }
    }
}

/// A subscriber without a cursor is given all that is kept: a page that comes a moment late misses nothing.
async fn subscribe(parts: &Parts, name: &str, ask: Ask, visitor: Visitor) -> Result<Response<Body>, Refusal> {
    if parts.shutdown.is_draining() {
        return if ask.comes_back { Ok(retry_later(spread(RETRY_LATER))) } else { Err(draining()) };
    }
    let record = match find(parts, name, &ask, &visitor).await {
        // An error status would end an `EventSource` for ever.
        Err(refusal) if ask.comes_back && matches!(refusal.failure.status(), 429 | 503) => {
            return Ok(retry_later(spread(RETRY_LATER)));
        }
        found => found?,
    };
    let status = record.status();
    let after = match (&ask.cursor, ask.number) {
        (Some(cursor), _) => cursor.seen.frame(),
        (None, _) if ask.from_now => status.last,
        (None, Some(number)) => number,
        (None, None) => status.first.saturating_sub(1),
    };
    let after = record.resumes_after(after);
    match &status.ended {
        Some(ended) if after >= status.last && ended.end == End::Done => {
            return Ok(nothing_more());
        }
        Some(_) if after >= status.last => return Err(gone(parts, name, &visitor).await),
        Some(_) | None => {}
    }
    let Visitor { hangup, access, caller, .. } = visitor;
    let viewer = caller.signed().map(|_| Viewer::guest(None));
    let reader = match record.read(after, viewer, hangup) {
        Ok(reader) => reader,
        Err(Trimmed::Full) if ask.comes_back => return Ok(retry_later(spread(RETRY_LATER))),
        Err(why) => return Err(reading::trimmed(&record, why)),
    };
    let cursor = Cursor::new(&record.meta().id, after);
    let greeting = format!(
        "id: {cursor}\nretry: {}\nevent: connected\ndata: {}\n\n",
        spread(RETRY),
        json!({ "channel": name, "after": after })
    );
    let numbering = Numbering { stream: record.meta().id.clone(), framing: Framing::Sse };
    let plain = Manner::plain(b": keep-alive\n", parts.keep_alive);
    let manner = Manner { numbering: Some(Box::new(numbering)), lost: lost(name), ..plain };
    let until = farewell(name.to_owned(), caller);
    let body = StreamBody::new(reader, access, manner).greeting(greeting.into()).until(until);
    let mut response = stream(Framing::Sse, body);
    if after > 0 {
        resumed_after(&mut response, &cursor);
    }
    if parts.journal.is_away() {
        reading::durability(&mut response);
    }
    Ok(response)
}

/// Resolves when a subscriber may go on no longer, with what it is told.
async fn farewell(channel: String, caller: Caller) -> Bytes {
    let lapse = caller.lapsed().await;
    let event = match lapse {
        Lapse::Revoked => "revoked",
        Lapse::Expired => "expired",
    };
    let Failure { code, message, .. } = why(lapse);
    let data = json!({ "channel": channel, "error": { "code": code.name(), "message": message } });
    format!("event: {event}\ndata: {data}\n\n").into()
}

/// What a subscriber is told whose channel went away with the store. The empty `id` has an `EventSource` come back without its
/// cursor, to the channel that has taken this one's place (WHATWG HTML section 9.2.6).
fn lost(name: &str) -> Bytes {
    let words = "the store of channels has lost this one: the next of its name begins anew";
    let data = json!({ "channel": name, "error": { "code": Code::ProducerLost.name(), "message": words } });
    format!("id:\nevent: lost\ndata: {data}\n\n").into()
}

/// What came behind a cursor that is not known any more cannot be told, and a gap is not passed over in silence. Where the
/// channel of this name begins now, if there is one, is told along.
async fn gone(parts: &Parts, name: &str, visitor: &Visitor) -> Refusal {
    let words = "the events behind this cursor are no longer kept";
    let refusal = Refusal::new(Code::InvalidRequest, words).with_status(410);
    if visitor.caller.signed().is_some() {
        return refusal;
    }
    match parts.journal.channel(visitor.owner(), name).await {
        Ok(Some(record)) => reading::earliest(refusal, &record, record.status().first),
        Ok(None) | Err(_) => refusal,
    }
}

/// The record that is to be read: the one that an address or a cursor names, if it is or was this channel's, or the one that the
/// name stands for now.
async fn find(parts: &Parts, name: &str, ask: &Ask, visitor: &Visitor) -> Result<Arc<Record>, Refusal> {
    let signed = visitor.caller.signed();
    let other = |cursor: &&Cursor| signed.is_some_and(|signed| cursor.stream != signed.id());
    if let Some(cursor) = ask.cursor.as_ref().filter(other) {
        let words = format!("the cursor `{cursor}` belongs to another channel");
        return Err(Refusal::new(Code::InvalidRequest, words));
    }
    let found = match (signed, &ask.cursor) {
        (Some(signed), _) => reading::signed_for(parts, signed).await,
        (None, Some(cursor)) => parts.journal.find(visitor.owner(), &cursor.stream).await,
        (None, None) => return parts.journal.open_channel(visitor.owner(), name).await.map_err(refused),
    };
    match found {
        Ok(record) if is_of(&record, name) => Ok(record),
        Err(OpenError::Away) => Err(reading::refused(OpenError::Away)),
        Ok(_) | Err(OpenError::Unknown | OpenError::Expired) => Err(gone(parts, name, visitor).await),
    }
}

/// `POST /v1/channels/{name}/token`: an address for pages, which have no key.
pub(super) async fn sign(parts: &Parts, name: &str, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    check(name)?;
    let record = parts.journal.open_channel(visitor.owner(), name).await.map_err(refused)?;
    let id = &record.meta().id;
    let (query, expires) = parts.signer.query(Resource::Channel { id, name }, Grant::Read, visitor.owner());
    let path: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let path = path.replace('+', "%20");
    let said = json!({
        "id": id,
        "stream_url": format!("/v1/channels/{path}?id={id}&{query}"),
        "expires_at": expires,
    });
    Ok(whole(StatusCode::OK, said.to_string().into()))
}
