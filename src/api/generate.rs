//! A model is to answer: the request is read and planned, and its answer relayed as a stream or given whole.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::api::conversation::in_headers;
use crate::api::memory::Charge;
use crate::api::plan::{self, Planned};
use crate::api::recorded::Recording;
use crate::api::request::{Asking, Before, Parsed, Prepared, Terms};
use crate::api::serving::{Record, Settings};
use crate::api::stopped::stopped;
use crate::api::visitor::Visitor;
use crate::api::wishes::Wishes;
use crate::api::{ANTHROPIC_BETA, Parts, body, reading, recorded, responses, whole};
use crate::downstream::{Body, Manner, Numbering, StreamBody, json, stream};
use crate::edge::{ANTHROPIC_VERSION, Caller, Refusal, Slot, Traced};
use crate::journal::{self, Reader, Writer};
use crate::relay::{self, Begun, Client, Job, now};
use crate::telemetry::{Access, End, random_id};
use crate::upstream::{Attempted, Candidate, Choice, Plan, Ticket};
use crate::wire::{
    self, Answer, Code, Demand, Dialect, Dropped, Encode as _, Encoder, Event, Failure, Finish, Frames,
    Framing, Identity, KeepAliveAs, Pulse, Style,
};

/// How many bytes may wait for a reader before its backend is held up.
const READER_BYTES: usize = 256 << 10;
const X_DROPPED_FIELDS: HeaderName = HeaderName::from_static("x-dropped-fields");

/// A request that is understood.
pub(super) struct Asked {
    pub(super) client: Client,
    /// Does the client want a stream?
    pub(super) stream: bool,
    pub(super) settings: Settings,
    /// How the backend is chosen.
    pub(super) choice: Choice,
    /// As whom it waits for a backend.
    pub(super) ticket: Ticket,
    pub(super) caller: Caller,
    pub(super) access: Access,
    /// What is held of the request until its answer is over.
    pub(super) held: Charge,
}

/// Serves one of the generating routes.
pub(super) async fn generate(
    parts: Arc<Parts>,
    dialect: Dialect,
    (traced, alive): (Traced, Option<KeepAliveAs>),
    (slot, caller): (Option<Slot>, Caller),
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request, .. } = traced;
    let mut wishes = match Wishes::of(request.headers()) {
        Ok(wishes) => wishes,
        Err(refusal) => return Err(refusal.unread_of_caller(request)),
    };
    let visitor = Visitor::new(caller, &request, access.clone(), alive);
    let headers = passed_on(dialect, request.headers());
    let conversation = in_headers(&visitor.caller, wishes.conversation.as_deref(), request.headers());
    let account = parts.memory.account(&visitor.caller);
    let body = body::read_json(&parts, &account, request).await?;
    let (caller, parts_of) = (visitor.caller.clone(), Arc::clone(&parts));
    let asking = Asking { parts: parts_of, dialect, caller, account, access: access.clone() };
    let parsed = asking.parse(body).await?;
    let served = parts.serving.find_for(&visitor.caller, &parsed.envelope.model)?;
    if wishes.is_back {
        return Ok(reading::nothing_more());
    }
    wishes.fingerprint = parsed.fingerprint;
    if let Some(cursor) = wishes.cursor.take()
        && let Some(response) = recorded::resume(&parts, dialect, &cursor, &wishes, &visitor).await?
    {
        return Ok(response);
    }
    let streams = parsed.envelope.stream;
    // Only OpenAI's clients must ask for usage, and only in a stream.
    let usage = !streams || parsed.envelope.usage || !dialect.has_stream_options();
    let before = before(&parts, &parsed, &visitor, &mut wishes).await?;
    let runs_on = wishes.runs_on();
    let terms = Terms { before, headers, conversation, runs_on };
    let Prepared { planned, choice, demand, model, echo, input, held } =
        Box::pin(asking.prepare(parsed, terms)).await?;
    wishes.input = input;
    let slot = reserved(slot, &visitor.caller, demand, &access).await?;
    let identity = Identity { id: random_id(), model, started: now(), echo };
    let reasoning_field = served.settings.reasoning_field.name();
    let style = Style { usage, reasoning_field, ..Style::default() };
    let client = Client { dialect, identity, style, responses_done: served.settings.responses_done };
    let (settings, caller) = (served.settings.kept_alive(alive), visitor.caller.clone());
    let ticket = settings.ticket(&caller);
    let asked = Asked { client, stream: streams, settings, choice, ticket, caller, access, held };
    let (response, dropped) = match planned {
        Planned::Load(finish) => (loaded(&asked, finish), Dropped::default()),
        Planned::Ask(candidates) if wishes.records() || asked.settings.record == Record::Always => {
            recorded::answer(&parts, asked, candidates, Recording { wishes, slot, visitor }).await?
        }
        Planned::Ask(candidates) if asked.stream => {
            let (writer, reader) = journal::open(READER_BYTES);
            let channel = Channel { writer, reader, numbering: None, after: None };
            streamed(&parts, asked, candidates, slot, channel).await?
        }
        Planned::Ask(candidates) => {
            let (body, dropped) = whole::answer(&parts, &asked, candidates).await?;
            (json(StatusCode::OK, body), dropped)
        }
    };
    Ok(with_dropped(response, &dropped))
}

/// Puts aside the tokens that the caller's key may use for a request, until its work is over.
pub(super) async fn reserved(
    slot: Option<Slot>,
    caller: &Caller,
    demand: Demand,
    access: &Access,
) -> Result<Option<Slot>, Refusal> {
    let Some(allowance) = caller.allowance() else { return Ok(slot) };
    let reservation = allowance.reserve(demand, access).await?;
    Ok(slot.map(|slot| slot.with(reservation)))
}

/// What a request of Responses goes on from.
async fn before(
    parts: &Arc<Parts>,
    parsed: &Parsed,
    visitor: &Visitor,
    wishes: &mut Wishes,
) -> Result<Before, Refusal> {
    let Some(state) = &parsed.state else { return Ok(Before::Nothing) };
    let state = state.as_ref().map_err(plan::refusal)?;
    let before = match &state.previous {
        Some(id) => responses::previous(parts, visitor, id).await?.map_or(Before::Elsewhere, Before::Known),
        None => Before::Nothing,
    };
    wishes.background = state.background && !matches!(before, Before::Elsewhere);
    Ok(before)
}

/// Headers that belong to a dialect: a backend that speaks it is told them too.
pub(super) fn passed_on(dialect: Dialect, headers: &HeaderMap) -> HeaderMap {
    let own = [ANTHROPIC_VERSION, ANTHROPIC_BETA].into_iter().filter(|_| dialect == Dialect::Anthropic);
    let mut told = HeaderMap::new();
    for name in own {
        for value in headers.get_all(&name) {
            told.append(name.clone(), value.clone());
        }
    }
    told
}

pub(super) fn unknown_model(model: &str) -> Refusal {
    let shown: String = model.chars().take(100).collect(); // not longer than a line
    Failure::new(Code::ModelNotFound, format!("model '{shown}' not found")).param("model").into()
}

/// Where the frames of a stream go, and where its client reads them.
pub(super) struct Channel {
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    pub(super) numbering: Option<Box<Numbering>>,
    /// What the stream waits for before it begins.
    pub(super) after: Option<BoxFuture<'static, ()>>,
}

/// What is told of a stream when its content comes, or will not come.
type Opened = Result<Begun, Attempted>;

/// Sets a relay to work.
pub(super) fn relay(
    parts: &Parts,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
    to: (Writer, Option<BoxFuture<'static, ()>>),
) -> oneshot::Receiver<Opened> {
    let (opened, first) = oneshot::channel();
    let (writer, after) = to;
    let job = Job {
        pool: parts.pool.clone(),
        plan: plan_of(parts, &asked.settings, candidates, (asked.choice, Some(asked.ticket))),
        client: asked.client,
        limits: asked.settings.limits(),
        writer,
        after,
        opened,
        access: asked.access,
        stopped: stopped(parts, &asked.caller),
    };
    let held = asked.held;
    parts.tasks.spawn(async move {
        // A limit that were freed at the head would not limit streams, and one that were freed after the rest would hold up
        // the next client of the same key.
        let rest = relay::run(job).await;
        drop((slot, held));
        if let Some(frames) = rest {
            frames.rest().await;
        }
    });
    first
}

/// Relays a stream, and commits to its head at the first content or when the client has waited long enough.
pub(super) async fn streamed(
    parts: &Parts,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
    channel: Channel,
) -> Result<(Response<Body>, Dropped), Refusal> {
    let Channel { writer, reader, numbering, after } = channel;
    let (dialect, settings, access) = (asked.client.dialect, asked.settings, asked.access.clone());
    let unknown = candidates.first().map(|candidate| candidate.dropped.clone()).unwrap_or_default();
    let lost =
        if writer.is_recorded() { reading::lost(&asked.client, numbering.as_deref()) } else { Bytes::new() };
    let pulse = Pulse::new(dialect, &asked.client.identity, settings.keep_alive_as).map(Box::new);
    let mut first = relay(parts, asked, candidates, slot, (writer, after));
    let told = match timeout(settings.commit_after, &mut first).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(_)) => {
            return Err(Refusal::new(Code::Internal, "the relay of this stream ended without a word"));
        }
        Err(_) => {
            // From here on a failure goes into the stream; one that has just come still gets its status.
            first.close();
            first.try_recv().ok()
        }
    };
    let early = told.is_none();
    // An early head cannot know which backend will serve; the first one will, most likely.
    let early_head = Begun { dropped: unknown, content_type: None };
    let Begun { dropped, content_type } = told.transpose().map_err(refused)?.unwrap_or(early_head);
    let plain = Manner::plain(dialect.keep_alive(), settings.keep_alive);
    let fails_properly = dialect.fails_properly();
    let manner = Manner { pulse, early, fails_properly, numbering, lost, ..plain };
    let mut response = stream(dialect.framing(), StreamBody::new(reader, access, manner));
    if let Some(label) = content_type.filter(|_| dialect.framing() == Framing::Sse) {
        response.headers_mut().insert(CONTENT_TYPE, label);
    }
    Ok((response, dropped))
}

/// What is asked of the candidates; without a ticket where a slot is held already.
pub(super) fn plan_of(
    parts: &Parts,
    settings: &Settings,
    candidates: Vec<Candidate>,
    (choice, ticket): (Choice, Option<Ticket>),
) -> Plan {
    Plan {
        candidates,
        choice,
        first_token_timeout: settings.first_token_timeout,
        max_event_bytes: parts.bounds.event_bytes,
        ticket,
    }
}

/// What Ollama says when a model was loaded or unloaded.
fn loaded(asked: &Asked, finish: Finish) -> Response<Body> {
    let client = &asked.client;
    asked.access.asks(asked.stream);
    asked.access.ended(End::Done);
    if !asked.stream {
        let answer = Answer { finish: Some(finish), ..Answer::default() };
        let written = wire::whole(client.dialect, &answer, &client.identity, client.style, now());
        return json(StatusCode::OK, written.and_then(Result::ok).unwrap_or_default());
    }
    let mut frames = Frames::default();
    if let Some(mut encoder) = Encoder::new(client.dialect, &client.identity, client.style) {
        let said = encoder.encode(&Event::Finish(finish), now(), &mut frames);
        debug_assert_eq!(said, Ok(()), "a finish can always be said");
        encoder.finish(now(), &mut frames);
    }
    let (writer, reader) = journal::open(READER_BYTES);
    writer.append(frames.drain().collect::<Vec<Bytes>>());
    writer.close();
    let manner = Manner::plain(client.dialect.keep_alive(), asked.settings.keep_alive);
    stream(client.dialect.framing(), StreamBody::new(reader, asked.access.clone(), manner))
}

/// An attempt that failed before anything was shown.
pub(super) fn refused(attempted: Attempted) -> Refusal {
    let mut refusal = Refusal::from(attempted.failure);
    refusal.retry_after = attempted.retry_after;
    refusal
}

fn with_dropped(mut response: Response<Body>, dropped: &Dropped) -> Response<Body> {
    if let Some(value) = dropped.header().and_then(|names| HeaderValue::try_from(names).ok()) {
        response.headers_mut().insert(X_DROPPED_FIELDS, value);
    }
    response
}
