//! `/v1/streams`: what is recorded, read again, followed, looked at and cancelled.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::ACCEPT;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::Parts;
use crate::api::cursor::{Cursor, Seen};
use crate::api::label::Label;
use crate::api::reading::{self, Reading, find, follow, nothing};
use crate::api::recorded::{Visitor, addresses_of, named, numbering, whole_of};
use crate::downstream::{Body, json as whole, retry_later};
use crate::edge::{Refusal, Traced};
use crate::journal::{End, Entry, Gone, Listed, Meta, OpenError, Page, Record, Status, Viewer};
use crate::wire::{Answer, AnswerBlock, Code, Failure, Framing, Text};

/// The longest poll.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// How long an `EventSource` waits before it comes back to a channel, in milliseconds: a crowd spread out.
pub(super) const RETRY: std::ops::Range<u64> = 500..1500;
/// The same where there is no room for it now.
pub(super) const RETRY_LATER: std::ops::Range<u64> = 3000..9000;

/// What a request for a stream says.
#[derive(Debug)]
pub(super) struct Look {
    method: Method,
    wants: Wants,
    cursor: Option<Cursor>,
    starting_after: Option<u64>,
    wait: Duration,
    viewer: Option<Viewer>,
    from: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Events,
    /// The lines of an Ollama stream, as they are.
    Lines,
    Json,
    Whatever,
}

impl Look {
    pub(super) fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wants = [
            ("text/event-stream", Wants::Events),
            ("application/x-ndjson", Wants::Lines),
            ("application/json", Wants::Json),
        ];
        let wants = wants
            .into_iter()
            .find(|(media, _)| accept.contains(media))
            .map_or(Wants::Whatever, |(_, wants)| wants);
        let mut look = Self {
            method: method.clone(),
            wants,
            cursor: None,
            starting_after: None,
            wait: Duration::ZERO,
            viewer: None,
            from: 0,
        };
        let mut exclusive = false;
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match key.as_ref() {
                "last_event_id" => look.cursor = Cursor::parse(&value),
                "starting_after" => look.starting_after = value.parse().ok(),
                "wait" => look.wait = wait(&value),
                "viewer" if !value.is_empty() => {
                    let id = value.chars().take(128).collect();
                    look.viewer = Some(Viewer::new(id));
                }
                "exclusive" => exclusive = matches!(value.as_ref(), "1" | "true"),
                "from" => look.from = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        if let Some(viewer) = &mut look.viewer {
            viewer.exclusive = exclusive;
        }
        if let Some(cursor) = Cursor::of_header(headers) {
            look.cursor = Some(cursor);
        }
        look
    }

    /// What was seen of this stream.
    fn seen(&self, record: &Record) -> Result<Seen, Refusal> {
        match &self.cursor {
            Some(cursor) if cursor.stream != record.meta().id => {
                Err(Refusal::new(Code::InvalidRequest, "the cursor belongs to another stream"))
            }
            Some(cursor) => Ok(cursor.seen),
            None => Ok(self.starting_after.map_or(Seen::NOTHING, Seen::Frame)),
        }
    }

    /// Is it one of those, and told to come back? An error status would end it for ever.
    fn must_wait(&self, refusal: &Refusal) -> bool {
        self.comes_back() && refusal.failure.status() == 503
    }

    /// Is it a browser that comes back by itself until it is told 204? It asks for nothing but events.
    fn comes_back(&self) -> bool {
        self.wants == Wants::Events && self.method == Method::GET
    }
}

/// How long a poll may take: `25s`, or seconds alone. What is no time is none.
fn wait(value: &str) -> Duration {
    let seconds = || value.parse().ok().map(Duration::from_secs);
    humantime::parse_duration(value).ok().or_else(seconds).unwrap_or_default().min(MAX_WAIT)
}

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
    read(parts, &record, &label, look, visitor).await
}

/// `GET /v1/conversations/{name}/stream`: the newest of the conversation, or the one that the cursor names.
pub(super) async fn of_conversation(
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
    read(parts, &record, &label, look, visitor).await
}

/// llama.cpp's `GET|DELETE /v1/stream/{conversation}`: `?from=N` counts bytes.
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
        let mut response = whole_of(&record).await?;
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
    if let Some(cursor) = &look.cursor
        && let Ok((record, label)) = find(parts, visitor, &cursor.stream).await
        && record.meta().conversation.as_deref() == Some(name)
    {
        return Ok((record, label));
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
    label: &Label,
    look: Look,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let seen = look.seen(record)?;
    if look.method == Method::HEAD {
        let mut response = nothing(StatusCode::OK);
        named(&mut response, record);
        return Ok(response);
    }
    if look.wants == Wants::Json {
        if !look.wait.is_zero() && record.is_running() {
            drop(timeout(look.wait, record.changed(seen.frame())).await); // what there is by then is told
        }
        record.touch();
        let mut response = whole(StatusCode::OK, described(parts, record, label).to_string().into());
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
            let mut numbering = numbering(record, label);
            if label.whole() {
                numbering.framing = Framing::Ndjson; // one text, to be put into one event
            }
            numbering
        }),
        framing: if lines { Framing::Ndjson } else { Framing::Sse },
        filler: if lines { b" " } else { b": keep-alive\n" },
        skip: 0,
    };
    match follow(parts, record, label, reading, visitor).await {
        Ok(mut response) => {
            named(&mut response, record);
            Ok(response)
        }
        // An error status would end it for ever, or have it come back at once.
        Err(refusal) if look.comes_back() && refusal.failure.code == Code::Superseded => {
            Ok(nothing(StatusCode::NO_CONTENT))
        }
        Err(refusal) if look.comes_back() && refusal.failure.code == Code::RateLimited => {
            Ok(retry_later(spread(RETRY_LATER)))
        }
        Err(refusal) => Err(refusal),
    }
}

/// A time within a range, another for everyone: a crowd that was cut off together shall not come back together.
pub(super) fn spread(range: std::ops::Range<u64>) -> u32 {
    let random = getrandom::u32().unwrap_or_default();
    let width = range.end - range.start;
    u32::try_from(range.start + u64::from(random) % width).unwrap_or_default()
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
pub(super) async fn list(
    parts: &Parts,
    traced: &Traced,
    visitor: &Visitor,
) -> Result<Response<Body>, Refusal> {
    let wrong = |param, words: String| Refusal::from(Failure::new(Code::InvalidRequest, words).param(param));
    let (mut limit, mut after) = (PAGE, None);
    for (key, value) in form_urlencoded::parse(traced.request.uri().query().unwrap_or_default().as_bytes()) {
        match key.as_ref() {
            "limit" => {
                let lawful = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                let words = || wrong("limit", format!("`limit` is a number from 1 to {MAX_PAGE}"));
                limit = lawful.ok_or_else(words)?;
            }
            "after" => after = Some(value.into_owned()),
            _ => {}
        }
    }
    let page = Page { after: after.as_deref(), limit };
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

/// How a stream stands, without what it says.
fn summary(meta: &Meta, status: Status, label: &Label) -> Value {
    let state = match &status.ended {
        None => "running",
        Some(ended) if ended.end == End::Done => "done",
        Some(ended) if matches!(ended.reason.as_deref(), Some("cancelled" | "superseded")) => "cancelled",
        Some(_) => "failed",
    };
    json!({
        "id": meta.id,
        "object": "stream",
        "state": state,
        "error": status.ended.and_then(|ended| ended.reason),
        "path": label.dialect().path(),
        "model": label.model,
        "conversation": meta.conversation,
        "created_at": meta.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        "first_event": status.first,
        "last_event": status.last,
        "last_event_id": format!("{}.{}", meta.id, status.last),
        "bytes": status.bytes,
        "readers": status.readers,
    })
}

/// How a stream stands and what it says so far.
fn described(parts: &Parts, record: &Record, label: &Label) -> Value {
    let mut value = summary(record.meta(), record.status(), label);
    let Some(members) = value.as_object_mut() else { return value };
    if label.whole() {
        let frame = record.first_frame();
        let response = frame.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or(Value::Null);
        members.insert("response".into(), response);
        return value;
    }
    parts.transcripts.read(record, label, |answer| describe(answer, record, members));
    value
}

/// What an answer says so far.
fn describe(answer: &Answer, record: &Record, members: &mut serde_json::Map<String, Value>) {
    let text = |kind: fn(&AnswerBlock) -> bool| answer.joined(kind).map(|escaped| unescaped(&escaped));
    let said = text(|block| matches!(block, AnswerBlock::Text { .. })).unwrap_or_default();
    members.insert("text".into(), said.into());
    let thought = text(|block| matches!(block, AnswerBlock::Reasoning { .. }));
    members.insert("reasoning".into(), thought.into());
    let call = |(id, name, arguments): (&str, &str, Text<'_>)| json!({ "id": id, "name": name, "arguments": arguments.plain() });
    members.insert("tool_calls".into(), answer.tool_calls().map(call).collect());
    let usage = answer.usage.map(|usage| (usage.input, usage.output)).or_else(|| record.status().tokens);
    let usage = usage
        .map_or(Value::Null, |(input, output)| json!({ "input_tokens": input, "output_tokens": output }));
    members.insert("usage".into(), usage);
}

fn unescaped(escaped: &str) -> String {
    Text::Escaped(escaped).plain().into_owned()
}
