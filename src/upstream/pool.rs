//! The backends: of those that may serve a request, one after the other is tried until one has sent first content, and none
//! after that.

use std::sync::Arc;

use crate::telemetry::{Access, Board, Metrics};
use crate::upstream::attempt::Opened;
use crate::upstream::backend::Backend;
use crate::upstream::balance::{Choice, Dice, Share};
use crate::upstream::loading::Patience;
use crate::upstream::offload::Offload;
use crate::upstream::plan::Plan;
use crate::upstream::race::Race;
use crate::upstream::refused::Attempted;
use crate::upstream::slots::{Slot, Slots, Ticket};
use crate::upstream::standing::{Standings, Turn};
use crate::upstream::turns::{Further, Turns};
use crate::wire::Code;

/// The backends of one request, and as whom it waits for a slot of theirs.
pub(super) struct InLine<'r> {
    pub(super) names: Vec<&'r str>,
    /// `None`: it has a slot, or needs none.
    pub(super) ticket: Option<&'r Ticket>,
    pub(super) access: &'r Access,
}

/// A backend that may be asked now.
pub(super) struct Next {
    /// Its place among the request's backends.
    pub(super) at: usize,
    pub(super) turn: Turn,
    pub(super) slot: Option<Slot>,
}

/// All backends.
#[derive(Clone, Debug)]
pub struct Pool {
    backends: Arc<[Arc<Backend>]>,
    standings: Standings,
    dice: Arc<Dice>,
    metrics: Metrics,
    board: Board,
    slots: Slots,
    offload: Offload,
}

impl Pool {
    /// `standings` and `slots` are those of all workers. `offload` takes what would hold this one up.
    pub fn new(
        backends: Vec<Arc<Backend>>,
        (standings, slots): (Standings, Slots),
        metrics: Metrics,
        board: Board,
        offload: Offload,
    ) -> Self {
        let dice = Arc::new(Dice::new());
        Self { backends: backends.into(), standings, dice, metrics, board, slots, offload }
    }

    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    pub fn standings(&self) -> &Standings {
        &self.standings
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

    /// Where long work is done.
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// How busy the backends are that have a limit.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Tries the backends of a plan until one has sent first content. Dropping the future closes the connections.
    pub async fn open(&self, plan: &Plan, access: &Access) -> Result<Opened, Attempted> {
        Race::new(self, plan, access).run().await
    }

    /// Gives each backend of a list in turn to `ask`, until one has answered or nobody else would do better.
    pub async fn each<T, F: Future<Output = Result<T, Attempted>>>(
        &self,
        choice: &Choice,
        backends: Vec<(Arc<Backend>, Share)>,
        (ticket, access): (&Ticket, &Access),
        mut ask: impl FnMut(usize) -> F,
    ) -> Result<T, Attempted> {
        let mut turns = self.turns(choice, backends.iter().map(|(backend, share)| (backend, *share)));
        let names = backends.iter().map(|(backend, _)| backend.name.as_str()).collect();
        let line = InLine { names, ticket: Some(ticket), access };
        let (mut failed, mut patience) = (None, Patience::new(Some(ticket)));
        loop {
            let next = self.next(&mut turns, Further::Failover, &line).await?;
            let Some(Next { at, turn, slot: _slot }) = next else {
                if turns.awaits() && patience.wait().await {
                    turns.recall();
                    continue;
                }
                return Err(failed.unwrap_or_else(no_backend));
            };
            // Who asks takes a turn of its own.
            turn.unused();
            match ask(at).await {
                Err(attempted) if attempted.retryable => {
                    if attempted.loading {
                        turns.loads(at);
                    }
                    failed = Some(attempted);
                }
                decided => return decided,
            }
        }
    }

    /// Who is asked next: the best of those who are left and have a slot free, else the first that gets one. `None`: nobody.
    pub(super) async fn next(
        &self,
        turns: &mut Turns,
        further: Further,
        line: &InLine<'_>,
    ) -> Result<Option<Next>, Attempted> {
        let mut paid = false;
        loop {
            let left = turns.left();
            let Some(&first) = left.first() else { return Ok(None) };
            paid = paid || turns.pay(further);
            if !paid {
                return Ok(None);
            }
            let names = left.iter().filter_map(|at| line.names.get(*at).copied());
            let (at, slot) = match (line.ticket, further) {
                (None, _) => (first, None),
                (Some(ticket), Further::Failover) => {
                    let (place, slot) = self.slots.admit(names, ticket, line.access).await?;
                    (left.get(place).copied().unwrap_or(first), Some(slot))
                }
                (Some(ticket), Further::Hedge) => match self.slots.try_admit(names, ticket) {
                    Some((place, slot)) => (left.get(place).copied().unwrap_or(first), Some(slot)),
                    None => return Ok(None),
                },
            };
            if let Some(turn) = turns.begin(at) {
                return Ok(Some(Next { at, turn, slot }));
            }
        }
    }

    pub(super) fn turns<B: AsRef<Backend>>(
        &self,
        choice: &Choice,
        backends: impl Iterator<Item = (B, Share)>,
    ) -> Turns {
        let standing = |backend: &Backend| Arc::clone(&backend.standing);
        let backends = backends.map(|(backend, share)| (standing(backend.as_ref()), share)).collect();
        Turns::new(choice, backends, &self.dice, &self.metrics)
    }

    /// Counts an attempt and tells its turn how it went; `None` if the next backend is to be tried.
    pub(super) fn judged<T>(
        &self,
        backend: &str,
        result: Result<T, Attempted>,
        turn: Option<&mut Turn>,
        failed: &mut Option<Attempted>,
    ) -> Option<Result<T, Attempted>> {
        let attempted = match result {
            Ok(answer) => {
                self.metrics.attempt(backend, "ok");
                if turn.is_none_or(|turn| turn.finds_well()) {
                    self.board.backend(backend, true);
                }
                return Some(Ok(answer));
            }
            Err(attempted) => attempted,
        };
        self.metrics.attempt(backend, attempted.failure.code.name());
        if attempted.failure.code == Code::UpstreamUnreachable {
            self.board.backend(backend, false);
        }
        if let Some(turn) = turn {
            turn.failed(&attempted);
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
