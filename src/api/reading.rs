//! Records that are read: found for a visitor, and followed by any number of readers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::api::Parts;
use crate::api::cursor::{Cursor, Seen};
use crate::api::label::Label;
use crate::api::stopped::lapsed;
use crate::api::visitor::Visitor;
use crate::downstream::{Body, Manner, Numbering, StreamBody, stream};
use crate::edge::{Refusal, Signed};
use crate::journal::{OpenError, Record, Trimmed, Viewer};
use crate::relay::{Client, PRODUCER_LOST};
use crate::wire::{Code, Failure, Framing, Identity, KeepAliveAs, Pulse, Style, failed};

/// Where a replay begins.
const STREAM_RESUMED_AFTER: HeaderName = HeaderName::from_static("stream-resumed-after");
/// The first event that is still kept.
const STREAM_EARLIEST_ID: HeaderName = HeaderName::from_static("stream-earliest-id");

/// `local`: other replicas cannot read this, though they should.
const STREAM_DURABILITY: HeaderName = HeaderName::from_static("stream-durability");

/// After how many seconds a store that does not answer may do so again.
pub(super) const AWAY: u32 = 2;

/// How a record is read.
pub(super) struct Reading {
    /// What the reader has seen.
    pub(super) seen: Seen,
    pub(super) viewer: Option<Viewer>,
    pub(super) numbering: Option<Numbering>,
    /// How the reader takes it.
    pub(super) framing: Framing,
    pub(super) filler: &'static [u8],
    /// May events of no record stand among those that are read?
    pub(super) events: bool,
    pub(super) skip: u64,
}

/// The record of an id, if the visitor may see it. Somebody else's is as unknown as one that never was.
pub(super) async fn find(
    parts: &Parts,
    visitor: &Visitor,
    id: &str,
) -> Result<(Arc<Record>, Label), Refusal> {
    let found = match visitor.caller.signed() {
        Some(signed) if signed.id() == id => signed_for(parts, signed).await,
        Some(_) => Err(OpenError::Unknown),
        None => parts.journal.find(visitor.owner(), id).await,
    };
    let record = found.map_err(refused)?;
    let label = Label::of(&record).ok_or_else(unknown)?;
    Ok((record, label))
}

/// The record that a signed address opens, and no other: the id and the owner are those that stand under the signature.
pub(super) async fn signed_for(parts: &Parts, signed: &Signed) -> Result<Arc<Record>, OpenError> {
    parts.journal.find(signed.owner(), signed.id()).await
}

/// Follows a record to its end. Where nothing is left to read, there is nothing to answer: that is what stops an `EventSource`.
pub(super) async fn follow(
    parts: &Parts,
    record: &Arc<Record>,
    label: &Label,
    reading: Reading,
    visitor: Visitor,
) -> Result<Response<Body>, Refusal> {
    let Reading { seen, viewer, numbering, framing, filler, events, skip } = reading;
    let status = record.status();
    let over = match (&status.ended, seen) {
        // However much it has seen, it does not know how the stream ended: no answer would mean a good end.
        (Some(ended), Seen::Frame(_)) if ended.is_lost() => false,
        (Some(_), Seen::Frame(after)) => after >= status.last,
        (Some(_), Seen::Lost) => true,
        (None, _) => false,
    };
    if over {
        return Ok(nothing_more());
    }
    let after = seen.frame();
    let Visitor { hangup, access, caller, alive } = visitor;
    let viewer = if caller.signed().is_some() { Some(Viewer::guest(viewer)) } else { viewer };
    let viewer = parts.journal.admit(record, viewer).await.map_err(|why| trimmed(record, why))?;
    let reader = record.read(after, viewer, hangup).map_err(|why| trimmed(record, why))?;
    access.model(&label.model);
    access.recorded(&record.meta().id);
    let superseded = Failure::new(Code::Superseded, "a newer viewer has taken this one's place");
    let identity =
        Identity { id: record.meta().id.clone(), model: label.model.clone(), ..Identity::default() };
    let client =
        Client { dialect: label.dialect(), identity, style: Style::default(), responses_done: false };
    let pulse = match Pulse::new(client.dialect, &client.identity, wanted(parts, label, alive)) {
        Some(pulse) if events => caught_up(parts, record, pulse, after).await,
        Some(_) | None => None,
    };
    let manner = Manner {
        filler,
        keep_alive: parts.keep_alive,
        pulse,
        early: false,
        fails_properly: client.dialect.fails_properly(),
        superseded: failed(client.dialect, &client.identity, client.style, &superseded),
        lost: lost(&client, numbering.as_ref()),
        numbering: numbering.map(Box::new),
        skip,
    };
    let body = StreamBody::new(reader, access, manner).until(async move {
        let failure = lapsed(&caller).await;
        failed(client.dialect, &client.identity, client.style, &failure)
    });
    let mut response = stream(framing, body);
    if after > 0 {
        let cursor = Cursor::new(&record.meta().id, record.resumes_after(after));
        resumed_after(&mut response, &cursor);
    }
    Ok(response)
}

/// As what a reader is kept alive: as it says, or as the route of the model says.
fn wanted(parts: &Parts, label: &Label, said: Option<KeepAliveAs>) -> KeepAliveAs {
    said.unwrap_or_else(|| {
        parts.serving.find(&label.model).map(|served| served.settings.keep_alive_as).unwrap_or_default()
    })
}

/// What keeps a reader alive who has seen the frames up to `after`. `None` where those are no longer kept: events that repeat
/// what was said would lack them.
async fn caught_up(parts: &Parts, record: &Arc<Record>, pulse: Pulse, after: u64) -> Option<Box<Pulse>> {
    if after == 0 {
        return Some(Box::new(pulse));
    }
    let (bytes, record) = (record.status().bytes, Arc::clone(record));
    let read = move || {
        let (first, frames) = record.frames_after(0);
        let seen = usize::try_from(after).unwrap_or(usize::MAX);
        let mut pulse = Box::new(pulse);
        frames.iter().take(seen).for_each(|frame| pulse.see(frame));
        (first == 1).then_some(pulse)
    };
    parts.pool.offload().run(bytes, read).await
}

/// What a reader is told whose stream went away with its replica.
pub(super) fn lost(client: &Client, numbering: Option<&Numbering>) -> Bytes {
    let failure = Failure::new(Code::ProducerLost, PRODUCER_LOST);
    let words = failed(client.dialect, &client.identity, client.style, &failure);
    match numbering {
        Some(numbering) => numbering.lost(&words),
        None => words,
    }
}

/// Says where a replay begins.
pub(super) fn resumed_after(response: &mut Response<Body>, cursor: &Cursor) {
    if let Ok(value) = HeaderValue::try_from(cursor.to_string()) {
        response.headers_mut().insert(STREAM_RESUMED_AFTER, value);
    }
}

/// Why a record cannot be read from there.
pub(super) fn trimmed(record: &Record, why: Trimmed) -> Refusal {
    match why {
        Trimmed::Earlier { earliest } => {
            let words = "the events behind this cursor are no longer kept";
            let refusal = Refusal::new(Code::InvalidRequest, words).with_status(410);
            self::earliest(refusal, record, earliest)
        }
        Trimmed::Superseded => Refusal::new(Code::Superseded, "a newer viewer has taken this one's place"),
        Trimmed::Full => {
            Refusal::new(Code::RateLimited, "this stream has as many readers as it may have").retry_after(5)
        }
    }
}

/// Says that other replicas do not know what is read here.
pub(super) fn durability(response: &mut Response<Body>) {
    response.headers_mut().insert(STREAM_DURABILITY, HeaderValue::from_static("local"));
}

/// Says which event is the first that is kept.
pub(super) fn earliest(refusal: Refusal, record: &Record, first: u64) -> Refusal {
    let cursor = Cursor::new(&record.meta().id, first);
    match HeaderValue::try_from(cursor.to_string()) {
        Ok(value) => refusal.header(STREAM_EARLIEST_ID, value),
        Err(_) => refusal,
    }
}

pub(super) fn refused(why: OpenError) -> Refusal {
    match why {
        OpenError::Unknown => unknown(),
        OpenError::Expired => {
            Refusal::new(Code::InvalidRequest, "this stream is no longer kept").with_status(410)
        }
        OpenError::Away => {
            let words = "the store of streams does not answer, and this replica does not know this stream";
            Refusal::new(Code::Internal, words).with_status(503).retry_after(AWAY)
        }
    }
}

/// The same words for what never was and for what is somebody else's.
pub(super) fn unknown() -> Refusal {
    Refusal::new(Code::InvalidRequest, "there is no such stream").with_status(404)
}

/// 204: there is nothing more to read, so that an `EventSource` does not come back. With the media type of a stream: without it
/// fetch-event-source takes the answer for an error, and asks again every second.
pub(super) fn nothing_more() -> Response<Body> {
    let mut response = nothing(StatusCode::NO_CONTENT);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Framing::Sse.content_type()));
    response
}

/// An answer without anything: `status` says it all.
pub(super) fn nothing(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
