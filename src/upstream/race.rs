//! The opening of a stream: one backend is asked at a time, and a second one beside it where the first is slow and the route
//! hedges. The first content wins, and whoever else was asked is dropped at once.

use std::pin::pin;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout};

use crate::telemetry::Access;
use crate::upstream::attempt::{self, Opened};
use crate::upstream::loading::Patience;
use crate::upstream::plan::{Candidate, Plan};
use crate::upstream::pool::{InLine, Next, Pool, no_backend};
use crate::upstream::refused::Attempted;
use crate::upstream::slots::Slot;
use crate::upstream::standing::Turn;
use crate::upstream::turns::{Further, Turns};
use crate::wire::Code;

/// One request and those who are asked for it.
pub(super) struct Race<'r> {
    pool: &'r Pool,
    plan: &'r Plan,
    line: InLine<'r>,
    turns: Turns,
    running: FuturesUnordered<BoxFuture<'r, Finished<'r>>>,
    /// The second backend that was asked beside the first.
    hedge: Option<usize>,
    failed: Option<Attempted>,
    /// For models that are being loaded.
    patience: Patience,
}

/// An attempt that is over.
struct Finished<'r> {
    at: usize,
    backend: &'r str,
    turn: Turn,
    result: Result<Opened, Attempted>,
}

impl<'r> Race<'r> {
    pub(super) fn new(pool: &'r Pool, plan: &'r Plan, access: &'r Access) -> Self {
        let backends = plan.candidates.iter().map(|candidate| (&candidate.backend, candidate.share));
        let turns = pool.turns(&plan.choice, backends);
        let names = plan.candidates.iter().map(|candidate| candidate.backend.name.as_str()).collect();
        let line = InLine { names, ticket: plan.ticket.as_ref(), access };
        let patience = Patience::new(plan.ticket.as_ref());
        let running = FuturesUnordered::new();
        Self { pool, plan, line, turns, running, hedge: None, failed: None, patience }
    }

    /// Dropping the future closes the connections.
    pub(super) async fn run(mut self) -> Result<Opened, Attempted> {
        let after = self.plan.choice.hedge_after;
        let mut slow = pin!(sleep(after.unwrap_or_default()));
        let mut hedges = after.is_some();
        loop {
            if self.running.is_empty() {
                if self.start(Further::Failover).await?.is_none() {
                    if self.turns.awaits() && self.patience.wait().await {
                        self.turns.recall();
                        continue;
                    }
                    return Err(self.failed.unwrap_or_else(no_backend));
                }
                slow.as_mut().reset(Instant::now() + after.unwrap_or_default());
            }
            tokio::select! {
                biased;
                Some(finished) = self.running.next() => {
                    if let Some(done) = self.finish(finished) {
                        return done;
                    }
                }
                () = slow.as_mut(), if hedges => {
                    hedges = false; // one is enough
                    self.hedge = self.start(Further::Hedge).await?;
                }
                else => {}
            }
        }
    }

    /// Asks the next backend; tells its place. Waits until one may be asked, but not for a hedge.
    async fn start(&mut self, further: Further) -> Result<Option<usize>, Attempted> {
        let next = self.pool.next(&mut self.turns, further, &self.line).await?;
        let Some(Next { at, turn, slot }) = next else { return Ok(None) };
        let Some(candidate) = self.plan.candidates.get(at) else { return Ok(None) };
        let backend = candidate.backend.name.as_str();
        self.line.access.attempt(backend);
        let (to, plan) = ((self.pool, self.line.access), self.plan);
        self.running.push(Box::pin(async move {
            let result = attempt(to, plan, candidate, slot).await;
            Finished { at, backend, turn, result }
        }));
        Ok(Some(at))
    }

    /// Judges an attempt; `Some` if the race is over.
    fn finish(&mut self, finished: Finished<'r>) -> Option<Result<Opened, Attempted>> {
        let Finished { at, backend, mut turn, result } = finished;
        match &result {
            Ok(_) => {
                turn.content();
                self.line.access.served_by(backend);
            }
            Err(attempted) if attempted.loading => self.turns.loads(at),
            Err(_) => {}
        }
        let done = self.pool.judged(backend, result, Some(&mut turn), &mut self.failed);
        let is_over = done.is_some() || self.running.is_empty();
        if let Some(hedge) = self.hedge.take_if(|_| is_over) {
            self.pool.metrics().hedge(match &done {
                Some(Ok(_)) if at == hedge => "won",
                Some(Ok(_)) => "lost",
                Some(Err(_)) | None => "failed",
            });
        }
        done.map(|result| {
            result.map(|mut opened| {
                opened.frames.hold(turn);
                opened
            })
        })
    }
}

async fn attempt(
    to: (&Pool, &Access),
    plan: &Plan,
    candidate: &Candidate,
    slot: Option<Slot>,
) -> Result<Opened, Attempted> {
    let attempt = attempt::open(candidate.clone(), slot, plan.max_event_bytes, to);
    timeout(plan.first_token_timeout, attempt).await.unwrap_or_else(|_| {
        let words = format!("the backend `{}` sent no token in time", candidate.backend.name);
        Err(Attempted::retryable(Code::FirstTokenTimeout, &words))
    })
}
