//! `/v1/channels/{name}`: back ends publish events there, and pages see them.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::json;

use crate::api::channels::is_of;
use crate::api::cursor::Cursor;
use crate::api::reading::{self, nothing, resumed_after};
use crate::api::recorded::Visitor;
use crate::api::streams::{RETRY, RETRY_LATER, spread};
use crate::api::{Parts, body, plan};
use crate::downstream::{Body, Manner, Numbering, StreamBody, json as whole, retry_later, stream};
use crate::edge::{Grant, Refusal};
use crate::journal::{OpenError, Record, Trimmed};
use crate::wire::{Code, Framing, Published};

/// The longest name.
const NAME_BYTES: usize = 200;

/// Serves a request for one channel.
pub(super) async fn channel(
    parts: &Parts,
    name: &str,
    request: Request<Incoming>,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    if let Err(refusal) = check(name) {
        return Err(refusal.unread(request));
    }
    match *request.method() {
        Method::POST => publish(parts, name, request, visitor).await,
        Method::DELETE => {
            if parts.channels.end(visitor.owner(), name).await {
                Ok(nothing(StatusCode::NO_CONTENT))
            } else {
                Err(Refusal::new(Code::InvalidRequest, "there is no such channel").with_status(404))
            }
        }
        _ => {
            let ask = Ask::new(request.uri(), request.headers());
            if request.method() == Method::HEAD {
                return Ok(nothing(StatusCode::OK));
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
        return Err(Refusal::new(Code::InvalidRequest, words).with_status(415).unread(request));
    }
    let body = body::read(request, parts.bounds, &parts.tasks).await?;
    let published = if media == "application/x-www-form-urlencoded" {
        Published::of_form(form_urlencoded::parse(&body))
    } else {
        Published::of_json(&body)
    };
    let frame = published.map_err(|error| plan::refusal(&error))?.frame();
    if frame.len() > parts.bounds.event_bytes {
        let words = format!("the event is larger than {} bytes", parts.bounds.event_bytes);
        return Err(Refusal::new(Code::PayloadTooLarge, words));
    }
    if parts.shutdown.is_draining() {
        return Err(draining());
    }
    loop {
        let channel = parts.channels.open(&parts.journal, visitor.owner(), name).await?;
        // It may have ended since it was found: then there is another.
        if let Some(number) = channel.publish(frame.clone()).await {
            let id = Cursor { stream: channel.record.meta().id.clone(), number };
            let said = json!({ "channel": name, "id": id.to_string() });
            return Ok(whole(StatusCode::OK, said.to_string().into()));
        }
    }
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
    /// The record that a signed address names.
    id: String,
    /// It comes back until it is told 204, unless an error ends it for ever.
    comes_back: bool,
}

impl Ask {
    fn new(uri: &Uri, headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let mut ask = Self {
            cursor: None,
            number: None,
            from_now: false,
            id: String::new(),
            comes_back: accept.contains("text/event-stream"),
        };
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match key.as_ref() {
                "last_event_id" => ask.cursor = Cursor::parse(&value),
                "starting_after" => ask.number = value.parse().ok(),
                "from" => ask.from_now = value == "now",
                "id" => ask.id = value.into_owned(),
                _ => {}
            }
        }
        ask.cursor = Cursor::of_header(headers).or(ask.cursor);
        ask
    }
}

/// A subscriber without a cursor is given all that is kept: a page that comes a moment late misses nothing.
async fn subscribe(parts: &Parts, name: &str, ask: Ask, visitor: Visitor) -> Result<Response<Body>, Refusal> {
    if parts.shutdown.is_draining() {
        return if ask.comes_back { Ok(retry_later(spread(RETRY_LATER))) } else { Err(draining()) };
    }
    let record = find(parts, name, &ask, &visitor).await?;
    let status = record.status();
    let after = match (&ask.cursor, ask.number) {
        (Some(cursor), _) => cursor.number,
        (None, _) if ask.from_now => status.last,
        (None, Some(number)) => number,
        (None, None) => status.first.saturating_sub(1),
    };
    let after = after.min(status.last);
    if status.ended.is_some() && after == status.last {
        return Ok(nothing(StatusCode::NO_CONTENT));
    }
    let Visitor { hangup, access, .. } = visitor;
    let reader = match record.read(after, None, hangup) {
        Ok(reader) => reader,
        Err(Trimmed::Full) if ask.comes_back => return Ok(retry_later(spread(RETRY_LATER))),
        Err(why) => return Err(reading::trimmed(&record, why)),
    };
    let cursor = Cursor { stream: record.meta().id.clone(), number: after };
    let greeting = format!(
        "id: {cursor}\nretry: {}\nevent: connected\ndata: {}\n\n",
        spread(RETRY),
        json!({ "channel": name, "after": after })
    );
    let numbering = Numbering { stream: record.meta().id.clone(), framing: Framing::Sse };
    let plain = Manner::plain(b": keep-alive\n", parts.keep_alive);
    let manner = Manner { numbering: Some(Box::new(numbering)), ..plain };
    let body = StreamBody::new(reader, access, manner).greeting(greeting.into());
    let mut response = stream(Framing::Sse, body);
    if after > 0 {
        resumed_after(&mut response, &cursor);
    }
    Ok(response)
}

/// The record that is to be read: the one that an address or a cursor names, if it is or was this channel's, or the one that the
/// name stands for now.
async fn find(parts: &Parts, name: &str, ask: &Ask, visitor: &Visitor) -> Result<Arc<Record>, Refusal> {
    let signed = visitor.caller.is_signed();
    if let Some(cursor) = ask.cursor.as_ref().filter(|cursor| signed && cursor.stream != ask.id) {
        let words = format!("the cursor `{cursor}` belongs to another channel");
        return Err(Refusal::new(Code::InvalidRequest, words));
    }
    let found = match &ask.cursor {
        _ if signed => parts.journal.find_signed(&ask.id).await,
        Some(cursor) => parts.journal.find(visitor.owner(), &cursor.stream).await,
        None => {
            let channel = parts.channels.open(&parts.journal, visitor.owner(), name).await?;
            return Ok(Arc::clone(&channel.record));
        }
    };
    // What came behind a cursor that is not known any more cannot be told, and a gap is not passed over in silence.
    let gone = |why: OpenError| match why {
        OpenError::Away => reading::refused(why),
        OpenError::Unknown | OpenError::Expired => {
            Refusal::new(Code::InvalidRequest, "the events behind this cursor are no longer kept")
                .with_status(410)
        }
    };
    found
        .map_err(gone)
        .and_then(|record| if is_of(&record, name) { Ok(record) } else { Err(gone(OpenError::Unknown)) })
}

/// `POST /v1/channels/{name}/token`: an address for pages, which have no key.
pub(super) async fn sign(parts: &Parts, name: &str, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    check(name)?;
    let channel = parts.channels.open(&parts.journal, visitor.owner(), name).await?;
    let id = &channel.record.meta().id;
    let (query, expires) = parts.signer.query(id, Grant::Read);
    let path: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let path = path.replace('+', "%20");
    let said = json!({
        "id": id,
        "stream_url": format!("/v1/channels/{path}?id={id}&{query}"),
        "expires_at": expires,
    });
    Ok(whole(StatusCode::OK, said.to_string().into()))
}
