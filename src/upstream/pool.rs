//! The backends in order: each is tried until one has sent first content, and none after that.

use std::mem::take;
use std::sync::Arc;

use tokio::time::timeout;

use crate::telemetry::{Access, Board, Metrics};
use crate::upstream::attempt::{self, Attempted, Opened};
use crate::upstream::backend::Backend;
use crate::upstream::plan::{Candidate, Plan};
use crate::upstream::slots::{Slot, Slots, Turn};
use crate::wire::Code;

/// All backends.
#[derive(Clone, Debug)]
pub struct Pool {
    backends: Arc<[Arc<Backend>]>,
    metrics: Metrics,
    board: Board,
    slots: Slots,
}

impl Pool {
    pub fn new(backends: Vec<Arc<Backend>>, metrics: Metrics, board: Board, slots: Slots) -> Self {
        Self { backends: backends.into(), metrics, board, slots }
    }

    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub fn board(&self) -> &Board {
        &self.board
    }

    pub fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|backend| backend.name == name)
    }

    /// How busy the backends are that have a limit.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Takes out the first candidate that has a slot free, or the first that gets one, with the slot. `None`: there is none left.
    pub async fn next(
        &self,
        candidates: &mut Vec<Candidate>,
        turn: Option<&Turn>,
        access: &Access,
    ) -> Result<Option<(Candidate, Option<Slot>)>, Attempted> {
        let Some(turn) = turn.filter(|_| !candidates.is_empty()) else {
            return Ok((!candidates.is_empty()).then(|| (candidates.remove(0), None)));
        };
        let names = candidates.iter().map(|candidate| candidate.backend.name.as_str());
        let (at, slot) = self.slots.admit(names, turn, access).await?;
        Ok(Some((candidates.remove(at), Some(slot))))
    }

    /// Tries the backends of a plan until one has sent first content. Dropping the future closes the connection.
    pub async fn open(&self, mut plan: Plan, access: &Access) -> Result<Opened, Attempted> {
        let (mut failed, mut candidates) = (None, take(&mut plan.candidates));
        while let Some((candidate, slot)) = self.next(&mut candidates, plan.turn.as_ref(), access).await? {
            let backend = Arc::clone(&candidate.backend);
            let name = backend.name.as_str();
            access.attempt(name);
            let attempt = attempt::open(candidate, slot, plan.max_event_bytes, &self.metrics);
            let result = match timeout(plan.first_token_timeout, attempt).await {
                Ok(result) => result,
                Err(_) => {
                    let words = format!("the backend `{name}` sent no token in time");
                    Err(Attempted::retryable(Code::FirstTokenTimeout, &words))
                }
            };
            if let Some(done) = self.judged(name, result, &mut failed) {
                return done;
            }
        }
        Err(failed.unwrap_or_else(no_backend))
    }

    /// Counts an attempt; `None` if the next backend is to be tried.
    pub(super) fn judged<T>(
        &self,
        backend: &str,
        result: Result<T, Attempted>,
        failed: &mut Option<Attempted>,
    ) -> Option<Result<T, Attempted>> {
        let attempted = match result {
            Ok(answer) => {
                self.metrics.attempt(backend, "ok");
                self.board.backend(backend, true);
                return Some(Ok(answer));
            }
            Err(attempted) => attempted,
        };
        self.metrics.attempt(backend, attempted.failure.code.name());
        if attempted.failure.code == Code::UpstreamUnreachable {
            self.board.backend(backend, false);
        }
        tracing::debug!(backend, code = attempted.failure.code.name(), "attempt failed");
        if !attempted.retryable {
            return Some(Err(attempted));
        }
        *failed = Some(attempted);
        None
    }
}

pub(super) fn no_backend() -> Attempted {
    Attempted::retryable(Code::UpstreamUnreachable, "no backend serves this request")
}
