//! A model is to answer: the request is read and planned, and its answer relayed as a stream or given whole.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::api::plan::{self, Planned, plan};
use crate::api::serving::Settings;
use crate::api::{ANTHROPIC_BETA, Parts, body, whole};
use crate::downstream::{Body, StreamBody, json, stream};
use crate::edge::{ANTHROPIC_VERSION, Refusal, Slot, Traced};
use crate::journal;
use crate::relay::{self, Client, Job, now};
use crate::telemetry::{Access, End, random_id};
use crate::upstream::{Attempted, Candidate, Plan};
use crate::wire::{
    self, Answer, Code, Dialect, Dropped, Echo, Encode as _, Encoder, Envelope, Event, Failure, Finish,
    Frames, Identity, ModelKey, Style, openai_responses,
};

/// How many bytes may wait for a reader before its backend is held up.
const READER_BYTES: usize = 256 << 10;
const X_DROPPED_FIELDS: HeaderName = HeaderName::from_static("x-dropped-fields");

/// A request that is planned.
pub(super) struct Asked {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) access: Access,
}

/// Serves one of the generating routes.
pub(super) async fn generate(
    parts: Arc<Parts>,
    dialect: Dialect,
    traced: Traced,
    slot: Option<Slot>,
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request } = traced;
    let headers = passed_on(dialect, request.headers());
    let body = body::read(request, parts.bounds, &parts.tasks).await?;
    let envelope =
        Envelope::parse(&body, ModelKey::Model, dialect.streams_by_default(), parts.bounds.json_depth)
            .map_err(|error| plan::refusal(&error))?;
    access.model(&envelope.model);
    let served = parts.serving.find(&envelope.model).ok_or_else(|| unknown_model(&envelope.model))?;
    if dialect == Dialect::OpenAiResponses {
        openai_responses::check_background(&body).map_err(|error| plan::refusal(&error))?;
    }
    let planned = plan(served, dialect, &envelope, &body, &headers)?;
    let echo = if dialect == Dialect::OpenAiResponses { Echo::of(&body) } else { Echo::default() };
    let identity = Identity { id: random_id(), model: envelope.model, started: now(), echo };
    // Only OpenAI's clients must ask for usage, and only in a stream.
    let usage = !envelope.stream || envelope.usage || !dialect.has_stream_options();
    let style = Style { usage, reasoning_field: served.settings.reasoning_field.name(), ..Style::default() };
    let client = Client { dialect, identity, style };
    let asked = Asked { client, settings: served.settings, access };
    drop(body); // the candidates hold what they need of it
    let (response, dropped) = match planned {
        Planned::Load(finish) => (loaded(&asked, envelope.stream, finish), Dropped::default()),
        Planned::Ask(candidates) if envelope.stream => streamed(&parts, asked, candidates, slot).await?,
        Planned::Ask(candidates) => whole::answer(&parts, &asked, candidates).await?,
    };
    Ok(with_dropped(response, &dropped))
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

/// Relays a stream, and commits to its head at the first content or when the client has waited long enough.
async fn streamed(
    parts: &Parts,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
) -> Result<(Response<Body>, Dropped), Refusal> {
    let Asked { client, settings, access } = asked;
    let dialect = client.dialect;
    let unknown = candidates.first().map(|candidate| candidate.dropped.clone()).unwrap_or_default();
    let (writer, reader) = journal::open(READER_BYTES);
    let (opened, mut first) = oneshot::channel();
    let job = Job {
        pool: parts.pool.clone(),
        plan: plan_of(parts, &settings, candidates),
        client,
        limits: settings.limits,
        writer,
        opened,
        access: access.clone(),
        drained: parts.shutdown.clone().when_drained(),
    };
    parts.tasks.spawn(async move {
        // A limit that were freed at the head would not limit streams, and one that were freed after the rest would hold up
        // the next client of the same key.
        let rest = relay::run(job).await;
        drop(slot);
        if let Some(frames) = rest {
            frames.rest().await;
        }
    });
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
    let dropped = told.transpose().map_err(refused)?.unwrap_or(unknown);
    let body = StreamBody::new(reader, access, dialect.keep_alive(), settings.keep_alive, early);
    Ok((stream(dialect.framing(), body), dropped))
}

pub(super) fn plan_of(parts: &Parts, settings: &Settings, candidates: Vec<Candidate>) -> Plan {
    Plan {
        candidates,
        first_token_timeout: settings.first_token_timeout,
        max_event_bytes: parts.bounds.event_bytes,
    }
}

/// What Ollama says when a model was loaded or unloaded.
fn loaded(asked: &Asked, streams: bool, finish: Finish) -> Response<Body> {
    let client = &asked.client;
    asked.access.asks(streams);
    asked.access.ended(End::Done);
    if !streams {
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
    let filler = client.dialect.keep_alive();
    let body = StreamBody::new(reader, asked.access.clone(), filler, asked.settings.keep_alive, false);
    stream(client.dialect.framing(), body)
}

/// An attempt that failed before anything was shown.
pub(super) fn refused(attempted: Attempted) -> Refusal {
    let mut refusal = Refusal::from(attempted.failure);
    refusal.retry_after = attempted.retry_after;
    refusal.generated = attempted.generated;
    refusal
}

fn with_dropped(mut response: Response<Body>, dropped: &Dropped) -> Response<Body> {
    if let Some(value) = dropped.header().and_then(|names| HeaderValue::try_from(names).ok()) {
        response.headers_mut().insert(X_DROPPED_FIELDS, value);
    }
    response
}
