//! A whole answer from a stream: for clients that did not ask for one, where the backend speaks another dialect.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::relay::meter::Meter;
use crate::relay::timers::Timers;
use crate::relay::{Client, HELD_BYTES, Limits, broken, now, too_large, truncated};
use crate::telemetry::Access;
use crate::upstream::{Attempted, Backend, FrameStream, Next, Opened, Plan, Pool, StreamError};
use crate::wire::openai_chat::Assembly;
use crate::wire::{
    Answer, Code, Decode as _, Decoder, Dialect, Dropped, Event, Failure, Flow, Frame, Names, Splitter,
    Translation, whole,
};

/// An answer that was gathered.
pub struct Collected {
    pub body: Bytes,
    /// What the backend was not told.
    pub dropped: Dropped,
    /// What is left to read behind the end, for the sake of the backend's connection.
    pub rest: Box<FrameStream>,
}

/// Opens a backend and reads its answer to the end. Dropping the future closes the connection.
pub async fn collect(
    pool: &Pool,
    plan: &Plan,
    client: &Client,
    limits: Limits,
    access: &Access,
) -> Result<Collected, Attempted> {
    let mut timers = Timers::new(access.started(), limits);
    let opened = tokio::select! {
        biased;
        failure = timers.max_duration() => Err(Attempted::refusal(failure)),
        result = Box::pin(pool.open(plan, access)) => result,
    };
    let Opened { backend, dialect, dropped, names, mut frames, held, limit, .. } = opened?;
    access.first_content();
    timers.event(Instant::now());
    let assembled = plan.candidates.first().is_some_and(|candidate| candidate.assembled);
    let mut gathering = Gathering::new(backend, (dialect, names), client, access);
    gathering.decoder.limited(limit);
    gathering.assembly = assembled.then(Assembly::default);
    let mut state = held.into_iter().find_map(|frame| gathering.frame(&frame));
    while state.is_none() {
        let next = tokio::select! {
            biased;
            failure = timers.expired() => { state = Some(gathering.silent(failure)); break }
            next = frames.next() => next,
        };
        timers.event(Instant::now());
        state = gathering.take(next);
    }
    if let Some(Err(failure)) = &state {
        frames.failed(failure);
    }
    let size = gathering.assembly.as_ref().map_or(gathering.answer.size, Assembly::size);
    let client = client.clone();
    let end = move || gathering.end(state.unwrap_or_else(|| Err(truncated())), &client);
    let body = pool.offload().run(size, end).await?;
    Ok(Collected { body, dropped, rest: frames })
}

/// A whole answer from the events that a backend of the client's own dialect gave in its place.
pub fn gathered(
    backend: Arc<Backend>,
    body: Bytes,
    client: &Client,
    access: &Access,
) -> Result<Bytes, Attempted> {
    let dialect = client.dialect;
    let mut gathering = Gathering::new(backend, (dialect, Names::default()), client, access);
    gathering.assembly = (dialect == Dialect::OpenAiChat).then(Assembly::default);
    let mut splitter = Splitter::new(dialect.framing(), HELD_BYTES);
    splitter.push(body);
    let mut state = None;
    while state.is_none() {
        state = match splitter.next_frame() {
            Ok(Some(frame)) => gathering.take(Ok(Next::Frame(frame))),
            Ok(None) => gathering.take(Ok(Next::End(splitter.finish()))),
            Err(error) => gathering.take(Err(error.into())),
        };
    }
    gathering.end(state.unwrap_or_else(|| Err(truncated())), client)
}

/// An answer of an API that has no translation.
const PIECES: &str = "the backend answered with a stream where a whole answer was asked for";

struct Gathering {
    backend: Arc<Backend>,
    decoder: Decoder,
    names: Names,
    translation: Translation,
    answer: Answer,
    /// The answer in the client's own dialect, if it comes in that.
    assembly: Option<Assembly>,
    meter: Meter,
}

impl Gathering {
    fn new(
        backend: Arc<Backend>,
        (dialect, names): (Dialect, Names),
        client: &Client,
        access: &Access,
    ) -> Self {
        Self {
            backend,
            decoder: Decoder::new(dialect, &client.identity.id),
            names,
            translation: Translation::new(&client.identity.echo, client.dialect),
            answer: Answer::default(),
            assembly: None,
            meter: Meter::new(access.clone(), true),
        }
    }

    /// `Some` when the answer is over, well or not.
    fn take(&mut self, next: Result<Next, StreamError>) -> Option<Result<(), Failure>> {
        match next {
            Ok(Next::Frame(frame)) => self.frame(&frame),
            Ok(Next::End(tail)) => {
                let ended = tail.filter(Frame::is_complete).and_then(|tail| self.frame(&tail));
                Some(ended.unwrap_or_else(|| self.ended()))
            }
            Err(error) => Some(Err(broken(error))),
        }
    }

    fn frame(&mut self, frame: &Frame) -> Option<Result<(), Failure>> {
        if frame.data.is_empty() {
            return None;
        }
        self.meter.event(Instant::now());
        let at = now();
        let Self { answer, translation, names, meter, assembly, .. } = self;
        let mut refused = None;
        let flow = self.decoder.decode(frame, &mut |event| {
            if let Event::Usage(usage) = &event {
                meter.usage(*usage);
            }
            meter.content(&event);
            let mut add = |event: &Event<'_>| {
                answer.add(event, at);
                Ok(())
            };
            if assembly.is_none() {
                if refused.is_none() {
                    refused = translation.pass(&names.restore(event), &mut add).err();
                }
            } else if let Event::Fail(failure) = event {
                answer.failure = Some(failure);
            }
        });
        if let Some(assembly) = assembly {
            assembly.add(&frame.data);
        }
        if let Some(failure) = answer.failure.take() {
            return Some(Err(self.backend.scrub_failure(failure)));
        }
        if let Some(error) = refused {
            return Some(Err(Failure::new(Code::UpstreamError, error.to_string())));
        }
        let assembled = assembly.as_ref().map_or(0, Assembly::size);
        if answer.size + assembled + translation.held() + self.decoder.held() > HELD_BYTES {
            return Some(Err(too_large()));
        }
        match flow {
            Ok(Flow::More) => self.meter.over().map(Err),
            Ok(Flow::Ended) => Some(Ok(())),
            Ok(Flow::Truncated) => Some(Err(truncated())),
            Err(error) => Some(Err(Failure::new(Code::UpstreamError, error.to_string()))),
        }
    }

    /// The body has ended, or nothing more comes.
    fn ended(&mut self) -> Result<(), Failure> {
        if !self.decoder.complete() {
            return Err(truncated());
        }
        if self.assembly.is_some() {
            return Ok(());
        }
        let at = now();
        let Self { decoder, answer, translation, names, .. } = self;
        let mut result = Ok(());
        decoder.end(&mut |event| {
            if result.is_ok() {
                result = translation.pass(&names.restore(event), &mut |event| {
                    answer.add(event, at);
                    Ok(())
                });
            }
        });
        result.map_err(|error| Failure::new(Code::UpstreamError, error.to_string()))
    }

    /// The backend has been silent for too long: an answer that is complete is one all the same.
    fn silent(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.code == Code::UpstreamStalled && self.decoder.complete() {
            self.ended()
        } else {
            Err(failure)
        }
    }

    fn end(self, state: Result<(), Failure>, client: &Client) -> Result<Bytes, Attempted> {
        let written = state.and_then(|()| {
            if let Some(assembly) = &self.assembly {
                return Ok(assembly.write());
            }
            whole(client.dialect, &self.answer, &client.identity, client.style, now())
                .ok_or_else(|| Failure::new(Code::UpstreamError, PIECES))?
                .map_err(|error| Failure::new(Code::UpstreamError, error.to_string()))
        });
        self.meter.left_out(self.translation.lost());
        self.meter.finish();
        written.map_err(Attempted::refusal)
    }
}
