//! A model is to answer: the request is read, planned, and relayed as a stream or gathered into one answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::api::plan::{self, Planned, plan};
use crate::api::serving::Settings;
use crate::api::{Parts, body};
use crate::downstream::{Body, StreamBody, json, stream};
use crate::edge::{Refusal, Slot, Traced};
use crate::journal;
use crate::relay::{self, Client, Job, now};
use crate::telemetry::{Access, End, random_id};
use crate::upstream::{Api, Attempted, Candidate, Forward, Plan};
use crate::wire::{
    Answer, Code, Dialect, Dropped, Encode as _, Encoder, Envelope, Event, Finish, Frames, Identity, Style,
    whole,
};

/// How many bytes may wait for a reader before its backend is held up.
const READER_BYTES: usize = 256 << 10;
const X_DROPPED_FIELDS: HeaderName = HeaderName::from_static("x-dropped-fields");

/// A request that is planned.
struct Asked {
    client: Client,
    settings: Settings,
    access: Access,
    stream: bool,
}

/// Serves one of the generating routes.
pub(super) async fn generate(
    parts: Arc<Parts>,
    dialect: Dialect,
    traced: Traced,
    slot: Option<Slot>,
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request } = traced;
    let body = body::read(request, parts.bounds, &parts.tasks).await?;
    let envelope = Envelope::parse(&body, dialect.streams_by_default(), parts.bounds.json_depth)
        .map_err(plan::refusal)?;
    access.model(&envelope.model);
    let served = parts.serving.find(&envelope.model).ok_or_else(|| {
        Refusal::from(
            crate::wire::Failure::new(
                Code::ModelNotFound,
                format!("model '{}' not found", shown(&envelope.model)),
            )
            .param("model"),
        )
    })?;
    let planned = plan(served, dialect, &envelope, &body)?;
    let identity = Identity { id: random_id(), model: envelope.model.clone(), started: now() };
    // Only OpenAI's clients must ask for usage, and only in a stream.
    let usage = !envelope.stream || envelope.usage || !dialect.has_stream_options();
    let style = Style { usage, reasoning_field: served.settings.reasoning_field.name(), ..Style::default() };
    let client = Client { dialect, identity, style };
    let asked = Asked { client, settings: served.settings, access, stream: envelope.stream };
    drop(body); // the candidates hold what they need of it
    let Planned::Ask { candidates, dropped } = planned else {
        return Ok(loaded(&asked));
    };
    let result = if asked.stream {
        streamed(&parts, asked, candidates, slot).await
    } else {
        gathered(&parts, &asked, candidates).await
    };
    result.map(|response| with_dropped(response, &dropped))
}

/// A model's name in a message: not longer than a line.
fn shown(model: &str) -> String {
    model.chars().take(100).collect()
}

/// Relays a stream, and commits to its head at the first content or when the client has waited long enough.
async fn streamed(
    parts: &Parts,
    asked: Asked,
    candidates: Vec<Candidate>,
    slot: Option<Slot>,
) -> Result<Response<Body>, Refusal> {
    let Asked { client, settings, access, .. } = asked;
    let framing = client.dialect.framing();
    let (writer, reader) = journal::open(READER_BYTES);
    let (opened, mut first) = oneshot::channel();
    let job = Job {
        pool: parts.pool.clone(),
        plan: the_plan(parts, &settings, candidates),
        client,
        limits: settings.limits,
        writer,
        opened,
        access: access.clone(),
        drained: parts.shutdown.clone().when_drained(),
    };
    parts.tasks.spawn(async move {
        let _slot = slot; // a limit that were freed at the head would not limit streams
        relay::run(job).await;
    });
    let early = match timeout(settings.commit_after, &mut first).await {
        Ok(Ok(Ok(()))) => false,
        Ok(Ok(Err(attempted))) => return Err(refused(attempted)),
        Ok(Err(_)) => {
            return Err(Refusal::new(Code::Internal, "the relay of this stream ended without a word"));
        }
        Err(_) => {
            // From here on a failure goes into the stream; one that has just come still gets its status.
            first.close();
            match first.try_recv() {
                Ok(Ok(())) => false,
                Ok(Err(attempted)) => return Err(refused(attempted)),
                Err(_) => true,
            }
        }
    };
    Ok(stream(framing, StreamBody::new(reader, access, framing, settings.keep_alive, early)))
}

/// Gives a whole answer: passed on where the backend speaks the client's dialect, gathered from a stream where it does not.
async fn gathered(
    parts: &Parts,
    asked: &Asked,
    candidates: Vec<Candidate>,
) -> Result<Response<Body>, Refusal> {
    let mut failed = None;
    for candidate in candidates {
        let same = candidate.dialect == asked.client.dialect && candidate.backend.api != Api::Demo;
        let result = if same {
            pass_on(parts, asked, candidate).await
        } else {
            let plan = the_plan(parts, &asked.settings, vec![candidate]);
            let collected = Box::pin(relay::collect(
                &parts.pool,
                &plan,
                &asked.client,
                asked.settings.limits,
                &asked.access,
            ));
            collected.await.map(|body| json(StatusCode::OK, body))
        };
        match result {
            Ok(response) => return Ok(response),
            Err(attempted) if attempted.retryable => failed = Some(attempted),
            Err(attempted) => return Err(refused(attempted)),
        }
    }
    Err(failed.map_or_else(|| Refusal::new(Code::Internal, "no backend was asked"), refused))
}

async fn pass_on(parts: &Parts, asked: &Asked, candidate: Candidate) -> Result<Response<Body>, Attempted> {
    let Candidate { backend, dialect, body } = candidate;
    let forward = Forward {
        candidates: vec![(backend, body)],
        path: dialect.path(),
        timeout: asked.settings.limits.max_duration,
    };
    match Box::pin(parts.pool.forward(&forward, &asked.access)).await {
        Ok(answered) => {
            asked.access.first_content();
            if let Some(usage) = read_usage(dialect, &answered.body) {
                asked.access.tokens(usage.input, usage.output);
            }
            asked.access.ended(End::Done, 1, false);
            Ok(json(StatusCode::OK, answered.body))
        }
        Err(attempted) => {
            if !attempted.retryable {
                asked.access.ended(End::Failed(attempted.failure.code.name()), 0, false);
            }
            Err(attempted)
        }
    }
}

fn read_usage(dialect: Dialect, body: &[u8]) -> Option<crate::wire::Usage> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => crate::wire::openai_chat::read_usage(body),
        Dialect::OllamaChat | Dialect::OllamaGenerate => crate::wire::ollama::read_usage(body),
    }
}

fn the_plan(parts: &Parts, settings: &Settings, candidates: Vec<Candidate>) -> Plan {
    Plan {
        candidates,
        first_token_timeout: settings.first_token_timeout,
        max_event_bytes: parts.bounds.event_bytes,
    }
}

/// What Ollama says when a model was loaded.
fn loaded(asked: &Asked) -> Response<Body> {
    let client = &asked.client;
    if !asked.stream {
        let answer = Answer { finish: Some(Finish::Load), ..Answer::default() };
        let written = whole(client.dialect, &answer, &client.identity, client.style, now());
        return json(StatusCode::OK, written.and_then(Result::ok).unwrap_or_default());
    }
    let mut frames = Frames::default();
    if let Some(mut encoder) = Encoder::new(client.dialect, &client.identity, client.style) {
        let said = encoder.encode(&Event::Finish(Finish::Load), now(), &mut frames);
        debug_assert_eq!(said, Ok(()), "a finish can always be said");
        encoder.finish(now(), &mut frames);
    }
    let (writer, reader) = journal::open(READER_BYTES);
    writer.append(frames.drain().collect::<Vec<Bytes>>());
    writer.close();
    let framing = client.dialect.framing();
    let body = StreamBody::new(reader, asked.access.clone(), framing, asked.settings.keep_alive, false);
    stream(framing, body)
}

/// An attempt that failed before anything was shown.
pub(super) fn refused(attempted: Attempted) -> Refusal {
    let refusal = Refusal::from(attempted.failure);
    match attempted.retry_after {
        Some(seconds) => refusal.retry_after(seconds),
        None => refusal,
    }
}

fn with_dropped(mut response: Response<Body>, dropped: &Dropped) -> Response<Body> {
    if let Some(value) = dropped.header().and_then(|names| HeaderValue::try_from(names).ok()) {
        response.headers_mut().insert(X_DROPPED_FIELDS, value);
    }
    response
}
