//! The frames of one running stream, on their way from the backend to the journal.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout_at};

use crate::journal::{Backlog, Gone};
use crate::relay::meter::Meter;
use crate::relay::rewrite::{Rewrite, Step};
use crate::relay::timers::OnDisconnect;
use crate::relay::{Outside, abandoned, broken, outcome};
use crate::telemetry::End;
use crate::upstream::{FrameStream, Next, StreamError};
use crate::wire::{Code, Failure, Frame};

/// How a stream came to its end.
pub(super) enum Ending {
    Done,
    Abandoned(Gone),
    Failed(Failure),
    /// The backend said so itself, in the client's dialect.
    FailedSame {
        frame: Bytes,
        failure: Failure,
    },
}

/// A running stream.
pub(super) struct Pump {
    rewrite: Rewrite,
    meter: Meter,
    frames: Box<FrameStream>,
    /// Frames for the client that are not in the journal yet.
    out: Vec<Bytes>,
}

impl Pump {
    pub(super) fn new(rewrite: Rewrite, meter: Meter, frames: Box<FrameStream>) -> Self {
        Self { rewrite, meter, frames, out: Vec::with_capacity(4) }
    }

    /// Moves frames until the stream has come to its end, whose last words are still to be said.
    pub(super) async fn run(&mut self, outside: &mut Outside) -> Ending {
        let Outside { writer, timers, stopped } = outside;
        loop {
            match writer.append(self.out.drain(..)) {
                Backlog::Room => {}
                Backlog::Abandoned => return Ending::Abandoned(writer.abandoned().await),
                // The backend is held up now, so its silence does not count.
                Backlog::Full => tokio::select! {
                    biased;
                    () = writer.room() => {
                        timers.event(Instant::now());
                    }
                    failure = timers.max_duration() => return Ending::Failed(failure),
                    failure = stopped.as_mut() => return Ending::Failed(failure),
                },
            }
            // What comes is looked at first: the others are looked at when nothing has come, and that is often enough, for a
            // stream that never pauses is stopped by its reader or by the scheduler.
            let next = tokio::select! {
                biased;
                next = self.frames.next() => next,
                gone = writer.abandoned() => return Ending::Abandoned(gone),
                failure = timers.expired() => return self.silent(failure),
                failure = stopped.as_mut() => return Ending::Failed(failure),
            };
            let now = Instant::now();
            let gap = timers.event(now);
            if let Some(ending) = self.take(next, now) {
                return ending;
            }
            if gap < BURST
                && let Some(ending) = self.take_burst(now).await
            {
                return ending;
            }
        }
    }

    /// The backend has been silent for too long: an answer that is complete is one all the same.
    fn silent(&mut self, failure: Failure) -> Ending {
        if failure.code != Code::UpstreamStalled || !self.rewrite.is_complete() {
            return Ending::Failed(failure);
        }
        self.step(|rewrite, _, out| rewrite.end(out)).unwrap_or(Ending::Done)
    }

    /// Takes what else has come already of a backend that says much at once. hyper hands over chunk by chunk, each when the one
    /// before was taken: as long as every turn of the scheduler brings another, they go to the client together. A write for each
    /// would cost three times as much, and what comes alone waits for nothing.
    async fn take_burst(&mut self, now: Instant) -> Option<Ending> {
        let mut bytes = 0;
        let mut came = true;
        while bytes < BURST_BYTES {
            match self.frames.next().now_or_never() {
                Some(next) => {
                    let before = self.out.len();
                    if let Some(ending) = self.take(next, now) {
                        return Some(ending);
                    }
                    bytes += self.out.iter().skip(before).map(Bytes::len).sum::<usize>();
                    came = true;
                }
                None if came => {
                    came = false;
                    turn().await;
                }
                None => break,
            }
        }
        None
    }

    /// Takes what came, and everything that has come with it.
    fn take(&mut self, next: Result<Next, StreamError>, now: Instant) -> Option<Ending> {
        match next {
            Ok(Next::Frame(frame)) => {
                let mut frame = frame;
                loop {
                    self.meter.event(now);
                    if let Some(ending) = self.step(|rewrite, meter, out| rewrite.frame(frame, meter, out)) {
                        return Some(ending);
                    }
                    frame = match self.frames.ready() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => return None,
                        Err(error) => return Some(Ending::Failed(broken(error))),
                    };
                }
            }
            Ok(Next::End(tail)) => {
                let ending =
                    tail.and_then(|tail| self.step(|rewrite, meter, out| rewrite.tail(tail, meter, out)));
                ending.or_else(|| self.step(|rewrite, _, out| rewrite.end(out)))
            }
            Err(error) => Some(Ending::Failed(broken(error))),
        }
    }

    /// Takes what came before the stream was opened.
    pub(super) fn take_all(&mut self, held: Vec<Frame>) -> Option<Ending> {
        let now = Instant::now();
        held.into_iter().find_map(|frame| {
            self.meter.event(now);
            self.step(|rewrite, meter, out| rewrite.frame(frame, meter, out))
        })
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Rewrite, &mut Meter, &mut Vec<Bytes>) -> Step,
    ) -> Option<Ending> {
        match step(&mut self.rewrite, &mut self.meter, &mut self.out) {
            Step::More => self.meter.over().map(Ending::Failed),
            Step::Ended => Some(Ending::Done),
            Step::Failed(failure) => Some(Ending::Failed(failure)),
            Step::FailedSame { frame, failure } => Some(Ending::FailedSame { frame, failure }),
        }
    }

    /// Says how it ended. What is left to read of a backend that has said all is given back.
    pub(super) async fn end(
        mut self,
        ending: Ending,
        outside: Outside,
        on_disconnect: OnDisconnect,
    ) -> Option<Box<FrameStream>> {
        let Outside { writer, mut stopped, .. } = outside;
        // What is left of an answer that nobody waits for any more is not read.
        let mut left = false;
        let ending = match ending {
            Ending::Abandoned(Gone::Left) if self.rewrite.is_complete() => {
                left = true;
                tokio::select! {
                    biased;
                    ending = self.read_behind() => ending,
                    _ = &mut stopped => ending,
                }
            }
            ending
            @ (Ending::Done | Ending::Abandoned(_) | Ending::Failed(_) | Ending::FailedSame { .. }) => ending,
        };
        self.meter.left_out(self.rewrite.lost());
        writer.append(self.out.drain(..));
        if let Some(usage) = self.meter.last_usage() {
            writer.tokens(usage.input, usage.output);
        }
        match ending {
            Ending::Done => {
                if !left {
                    writer.append(self.done_behind().await);
                }
                writer.close();
                self.meter.ended(End::Done);
                return (!left).then_some(self.frames);
            }
            Ending::Abandoned(gone) => {
                // Told first: whoever comes while the rest is read would wait for nothing.
                if writer.is_recorded() {
                    let failure = abandoned(gone);
                    writer.fail(self.rewrite.last_words(&failure), failure.code.name());
                }
                if let (Gone::Left, OnDisconnect::Drain(limit)) = (gone, on_disconnect) {
                    tokio::select! {
                        biased;
                        () = self.read_on() => {}
                        () = sleep(limit) => {} // the work is cancelled as ever
                        _ = stopped => {}
                    }
                }
                self.meter.ended(outcome(gone));
            }
            Ending::Failed(failure) => {
                self.frames.failed(&failure);
                self.meter.ended(End::Failed(failure.code.name()));
                writer.fail(self.rewrite.last_words(&failure), failure.code.name());
            }
            Ending::FailedSame { frame, failure } => {
                self.frames.failed(&failure);
                self.meter.ended(End::Failed(failure.code.name()));
                writer.fail(frame, failure.code.name());
            }
        }
        None
    }

    /// A `[DONE]` behind a response that has ended by itself: the backend's, or one for a client that waits for it.
    async fn done_behind(&mut self) -> Option<Bytes> {
        let own = if self.rewrite.may_be_done_twice() { self.done_twice().await } else { None };
        own.or_else(|| self.rewrite.adds_done().then(|| Bytes::from_static(b"data: [DONE]\n\n")))
    }

    /// The one that some servers (`OpenRouter`) send.
    async fn done_twice(&mut self) -> Option<Bytes> {
        match timeout_at(Instant::now() + BEHIND, self.frames.next()).await {
            Ok(Ok(Next::Frame(frame) | Next::End(Some(frame)))) => {
                (frame.data.trim_ascii() == b"[DONE]").then_some(frame.raw)
            }
            Ok(Ok(Next::End(None)) | Err(_)) | Err(_) => None,
        }
    }

    /// The reader has left behind the reason for which the answer ends, as many do: the backend has nothing more to compute, and
    /// its usage comes within a moment. If more of the answer comes, it was not over.
    async fn read_behind(&mut self) -> Ending {
        if self.meter.last_usage().is_some() {
            return Ending::Done; // there is nothing to wait for
        }
        let said = self.meter.said();
        let end = Instant::now() + BEHIND;
        while let Ok(next) = timeout_at(end, self.frames.next()).await {
            let ending = self.take(next, Instant::now());
            if self.meter.said() > said {
                return Ending::Abandoned(Gone::Left);
            }
            if ending.is_some() {
                break;
            }
        }
        Ending::Done
    }

    /// Reads to the end for the sake of the usage, and shows it to nobody.
    async fn read_on(&mut self) {
        loop {
            let next = self.frames.next().await;
            if self.take(next, Instant::now()).is_some() {
                return;
            }
            self.out.clear();
        }
    }
}

/// Lets every task have its turn that can go on now.
async fn turn() {
    let mut over = false;
    poll_fn(|cx| {
        if over {
            return Poll::Ready(());
        }
        over = true;
        cx.waker().wake_by_ref(); // behind them in the queue; tokio's `yield_now` would look at all sockets, too
        Poll::Pending
    })
    .await;
}

/// How long is read behind the reason for which an answer ends, when nobody reads any more.
const BEHIND: Duration = Duration::from_millis(400);
/// A backend whose chunks come so soon behind one another has more than one to say.
const BURST: Duration = Duration::from_millis(1);
/// How much of it is taken at once.
const BURST_BYTES: usize = 16 << 10;
