//! The relay: one task per stream, which opens a backend, moves its frames into the journal, and sees to it that the stream
//! ends as it should. When nobody reads any more it returns, and the backend's connection closes with it.

mod meter;
mod pump;
mod rewrite;
mod timers;
mod whole;

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::journal::{Gone, Writer};
use crate::relay::meter::Meter;
use crate::relay::pump::{Ending, Pump};
use crate::relay::rewrite::Rewrite;
use crate::relay::timers::Timers;
use crate::telemetry::{Access, End, since_1970};
use crate::upstream::{Attempted, FrameStream, Opened, Plan, Pool, StreamError};
use crate::wire::{
    self, Code, Dialect, Dropped, Encode as _, Encoder, Event, Failure, Frames, Identity, Style, Timestamp,
};

pub use timers::{Limits, OnDisconnect};
pub use whole::{Collected, collect, gathered};

/// One stream to be relayed.
pub struct Job {
    pub pool: Pool,
    pub plan: Plan,
    pub client: Client,
    pub limits: Limits,
    pub writer: Writer,
    /// What is waited for before a backend is asked.
    pub after: Option<BoxFuture<'static, ()>>,
    /// Told when first content has come; or why none will come. Nobody there: the head is out already.
    pub opened: oneshot::Sender<Result<Begun, Attempted>>,
    pub access: Access,
    /// Resolves when the stream must end, whatever its backend does, with what its client is told.
    pub stopped: BoxFuture<'static, Failure>,
}

/// What the head of a stream says of its backend.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// What it was not told.
    pub dropped: Dropped,
    /// How it labels its event stream, if it says more than the media type.
    pub content_type: Option<HeaderValue>,
}

/// How the client wants its answer.
#[derive(Clone, Debug)]
pub struct Client {
    pub dialect: Dialect,
    pub identity: Identity,
    pub style: Style,
    /// Does it wait for a `[DONE]` behind a response, as at OpenAI's older routes?
    pub responses_done: bool,
}

/// What can end a stream besides its backend: its reader, its clocks, and the gateway, which ends or takes a key back.
struct Outside {
    writer: Writer,
    timers: Timers,
    stopped: BoxFuture<'static, Failure>,
}

/// The time now, for frames that carry one.
pub fn now() -> Timestamp {
    Timestamp::of(since_1970())
}

/// Relays one stream to its end. What is left to read behind the end, for the sake of the backend's connection, is given back:
/// [`FrameStream::rest`] is for a time when the stream no longer counts.
pub async fn run(job: Job) -> Option<Box<FrameStream>> {
    let Job { pool, plan, client, limits, writer, after, opened, access, stopped } = job;
    let _live = access.metrics().stream();
    access.asks(true);
    access.begins(pool.board(), &client.identity.id);
    let mut outside = Outside { writer, timers: Timers::new(access.started(), limits), stopped };
    let mut beginning = Beginning::of(&client, &plan, opened);
    // Boxed, so that a stream holds what opening it took only while it is opened: the request above all.
    let asking = async {
        let plan = plan;
        if let Some(after) = after {
            after.await;
        }
        pool.open(&plan, &access).await
    };
    let opening = AssertUnwindSafe(Box::pin(open(asking, &mut outside, &mut beginning))).catch_unwind().await;
    let stream = match opening.unwrap_or_else(|_| Err(Attempted::refusal(failed()))) {
        Ok(Ok(stream)) => stream,
        Ok(Err(gone)) => {
            access.ended(outcome(gone));
            if outside.writer.is_recorded() {
                give_up(&client, outside.writer, beginning, Attempted::refusal(abandoned(gone)));
            }
            return None;
        }
        Err(attempted) => {
            access.ended(End::Failed(attempted.failure.code.name()));
            give_up(&client, outside.writer, beginning, attempted);
            return None;
        }
    };
    if stream.content {
        access.first_content();
    }
    outside.timers.event(Instant::now());
    let Opened {
        backend,
        dialect,
        dropped,
        names,
        frames,
        held,
        content,
        hides_progress,
        limit,
        content_type,
    } = stream;
    let begun = beginning.begun();
    drop(beginning.opened.send(Ok(Begun { dropped, content_type }))); // nobody there: the head went out before the content came
    let mut rewrite = Rewrite::new(backend, (dialect, names), &client, begun);
    rewrite.told_besides(hides_progress, limit);
    let mut pump = Pump::new(rewrite, Meter::new(access, content), frames);
    let ending = match pump.take_all(held) {
        Some(ending) => ending,
        None => {
            let pumping = AssertUnwindSafe(pump.run(&mut outside)).catch_unwind().await;
            pumping.unwrap_or_else(|_| Ending::Failed(failed()))
        }
    };
    Box::pin(pump.end(ending, outside, limits.on_disconnect)).await
}

/// Says that there will be no content: to whoever waits for the head, else in the stream. A record keeps it in any case.
fn give_up(client: &Client, writer: Writer, mut beginning: Beginning, attempted: Attempted) {
    let failure = attempted.failure.clone().with_pause(attempted.retry_after);
    let begun = beginning.begun();
    let told = beginning.opened.send(Err(attempted)).is_ok();
    if !told || writer.is_recorded() {
        let Client { dialect, identity, style, .. } = client;
        let words = match begun {
            Some(mut encoder) => {
                let mut frames = Frames::default();
                encoder.fail(&failure, &mut frames);
                frames.joined()
            }
            None => wire::failed(*dialect, identity, *style, &failure),
        };
        writer.fail(words, failure.code.name());
    }
}

/// The first words of an answer, which are told as soon as its head is out if they do not depend on who will answer: an answer of
/// Responses can be kept alive by events only behind them.
struct Beginning {
    /// Told when content has come. It is closed when the head went out before that.
    opened: oneshot::Sender<Result<Begun, Attempted>>,
    encoder: Option<Encoder>,
    begun: bool,
}

impl Beginning {
    fn of(client: &Client, plan: &Plan, opened: oneshot::Sender<Result<Begun, Attempted>>) -> Self {
        // A backend of the same dialect has a name of its own for the response, and some clients take only one.
        let ours = client.dialect == Dialect::OpenAiResponses
            && plan.candidates.iter().all(|candidate| candidate.translated);
        let encoder = ours.then(|| Encoder::new(client.dialect, &client.identity, client.style)).flatten();
        Self { opened, encoder, begun: false }
    }

    /// Resolves when the head is out, with what begins the answer. Once, or never. Cancel safe.
    async fn due(&mut self) -> Vec<Bytes> {
        let Some(encoder) = self.encoder.as_mut().filter(|_| !self.begun) else { return pending().await };
        self.opened.closed().await;
        self.begun = true;
        let mut frames = Frames::default();
        let said = encoder.encode(&Event::Start, now(), &mut frames);
        debug_assert_eq!(said, Ok(()), "a beginning can always be said");
        frames.drain().collect()
    }

    /// What writes the rest of an answer that has begun.
    fn begun(&mut self) -> Option<Encoder> {
        self.encoder.take().filter(|_| self.begun)
    }
}

/// How a stream ends that nobody reads, in the words of the log.
fn outcome(gone: Gone) -> End {
    match gone {
        Gone::Left => End::ClientGone,
        Gone::Cancelled | Gone::Superseded | Gone::Lost => End::Failed(abandoned(gone).code.name()),
    }
}

/// What the readers of a stream are told that went away with its replica.
pub const PRODUCER_LOST: &str = "the replica that ran this stream is gone";

/// What those are told who come back to a stream that did not go on.
pub fn abandoned(gone: Gone) -> Failure {
    match gone {
        Gone::Left => Failure::new(Code::Cancelled, "nobody read this stream any more"),
        Gone::Cancelled => Failure::new(Code::Cancelled, "this stream was cancelled"),
        Gone::Superseded => {
            Failure::new(Code::Superseded, "a newer request of this conversation took its place")
        }
        Gone::Lost => Failure::new(Code::ProducerLost, PRODUCER_LOST),
    }
}

/// Opens a backend, unless the stream is abandoned meanwhile.
async fn open(
    asking: impl Future<Output = Result<Opened, Attempted>>,
    outside: &mut Outside,
    beginning: &mut Beginning,
) -> Result<Result<Opened, Gone>, Attempted> {
    let mut asking = pin!(asking);
    loop {
        tokio::select! {
            biased;
            gone = outside.writer.abandoned() => return Ok(Err(gone)),
            failure = &mut outside.stopped => return Err(Attempted::refusal(failure)),
            failure = outside.timers.max_duration() => return Err(Attempted::refusal(failure)),
            result = &mut asking => return result.map(Ok),
            frames = beginning.due() => {
                outside.writer.append(frames); // the first there are: nobody is behind
            }
        }
    }
}

/// The gateway itself has failed, at this stream alone.
fn failed() -> Failure {
    Failure::new(Code::Internal, "the gateway failed at this stream")
}

/// How much of an answer may be kept until it can be told.
const HELD_BYTES: usize = 64 << 20;

fn too_large() -> Failure {
    Failure::new(
        Code::FrameTooLarge,
        "more of the answer had to be kept until it could be told than the gateway keeps",
    )
}

fn broken(error: StreamError) -> Failure {
    match error {
        StreamError::Broken => truncated(),
        StreamError::TooLarge(_) => Failure::new(Code::FrameTooLarge, error.to_string()),
    }
}

fn truncated() -> Failure {
    Failure::new(Code::UpstreamTruncated, "the backend's answer broke off before its end")
}
