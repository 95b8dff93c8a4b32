//! What is known of a backend, whichever worker asks it: whether it may be chosen, how fast it is, how much it is asked at the
//! moment, and which models it has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::telemetry::{Board, Metrics};
use crate::upstream::breaker::{Breaker, Change, Gate, Health, Rules, Verdict};
use crate::upstream::budget::Budget;
use crate::upstream::config::PoolConfig;
use crate::upstream::load::{Load, Speed};
use crate::upstream::refused::Attempted;
use crate::wire::Code;

/// The standings of all backends and the retry budgets of all routes, for the whole process. A clone is a handle.
#[derive(Clone, Debug)]
pub struct Standings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    backends: Mutex<HashMap<String, Arc<Standing>>>,
    budgets: Mutex<HashMap<String, Arc<Budget>>>,
    config: PoolConfig,
    metrics: Metrics,
    board: Board,
}

/// How one backend stands.
#[derive(Debug)]
pub struct Standing {
    name: String,
    /// Stands for the name where backends are drawn by hashing.
    pub(super) seed: u64,
    outstanding: AtomicUsize,
    /// It called itself llama.cpp when it answered last.
    llama_cpp: AtomicBool,
    /// Held for a moment at the beginning and the end of an attempt, never while an answer flows.
    state: Mutex<State>,
    metrics: Metrics,
    board: Board,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    load: Load,
    models: Option<Arc<HashSet<String>>>,
}

/// How a backend looks at the moment of a choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) gate: Gate,
    pub(super) outstanding: usize,
    pub(super) speed: Speed,
    pub(super) seed: u64,
}

/// One attempt at a backend: it counts as outstanding while this lives.
#[derive(Debug)]
pub(super) struct Turn {
    standing: Arc<Standing>,
    started: Instant,
    /// Does it try whether the backend is well again?
    trial: bool,
    /// Is it a stream, whose first content is waited for?
    streams: bool,
    phase: Phase,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no answer yet.
    Waiting,
    /// The answer has begun and goes on.
    Flowing,
    Over,
}

impl Standings {
    /// Standings of backends of which nothing is known yet.
    pub fn new(config: &PoolConfig, metrics: &Metrics, board: &Board) -> Self {
        Self(Arc::new(Shared {
            backends: Mutex::default(),
            budgets: Mutex::default(),
            config: config.clone(),
            metrics: metrics.clone(),
            board: board.clone(),
        }))
    }

    /// Those of another configuration: backends whose names stay keep what is known of them, and so do routes.
    #[must_use]
    pub fn renewed(&self, config: &PoolConfig, stays: impl Fn(&str) -> bool) -> Self {
        let renewed = Self::new(config, &self.0.metrics, &self.0.board);
        for (name, standing) in self.0.backends.lock().iter().filter(|(name, _)| stays(name)) {
            standing.state.lock().breaker.adopt(Rules::new(config));
            renewed.0.backends.lock().insert(name.clone(), Arc::clone(standing));
        }
        for (route, budget) in self.0.budgets.lock().iter() {
            budget.adopt(config);
            renewed.0.budgets.lock().insert(route.clone(), Arc::clone(budget));
        }
        renewed
    }

    /// How the backend of this name stands: the same for all who ask.
    pub fn of(&self, name: &str) -> Arc<Standing> {
        let Shared { config, metrics, board, .. } = self.0.as_ref();
        let mut backends = self.0.backends.lock();
        let standing = backends.entry(name.to_owned());
        Arc::clone(standing.or_insert_with(|| Arc::new(Standing::new(name, config, metrics, board))))
    }

    /// The retry budget of the route with this pattern, in all workers the same.
    pub fn budget(&self, route: &str) -> Arc<Budget> {
        let mut budgets = self.0.budgets.lock();
        let budget = budgets.entry(route.to_owned());
        Arc::clone(budget.or_insert_with(|| Arc::new(Budget::new(&self.0.config))))
    }

    /// Tells the metrics how all stand.
    pub fn measure(&self) {
        let metrics = &self.0.metrics;
        for (name, standing) in self.0.backends.lock().iter() {
            let health = standing.health();
            for other in Health::ALL {
                metrics.backend_state(name, other.name(), other == health);
            }
            metrics.backend_outstanding(name, standing.outstanding());
        }
    }
}

impl Standing {
    fn new(name: &str, config: &PoolConfig, metrics: &Metrics, board: &Board) -> Self {
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            seed: digest(name.as_bytes()),
            outstanding: AtomicUsize::new(0),
            llama_cpp: AtomicBool::new(false),
            state: Mutex::new(State {
                breaker: Breaker::new(Rules::new(config), now),
                load: Load::new(now),
                models: None,
            }),
            metrics: metrics.clone(),
            board: board.clone(),
        }
    }

    /// How it stands now.
    pub fn health(&self) -> Health {
        self.state.lock().breaker.health(Instant::now())
    }

    /// How many attempts and streams it is busy with.
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Has it this model? `None`: nobody knows.
    pub fn has(&self, model: &str) -> Option<bool> {
        let models = self.state.lock().models.clone()?;
        // Ollama's names have a tag, and its clients leave the usual one out.
        let latest = || models.contains(&format!("{model}:latest"));
        Some(models.contains(model) || (!model.contains(':') && latest()))
    }

    /// Did it call itself llama.cpp when it answered last?
    pub(super) fn is_llama_cpp(&self) -> bool {
        self.llama_cpp.load(Ordering::Relaxed)
    }

    /// It has answered, and called itself so or otherwise.
    pub(super) fn calls_itself_llama_cpp(&self, so: bool) {
        self.llama_cpp.store(so, Ordering::Relaxed);
    }

    /// These are its models.
    pub(super) fn lists(&self, models: HashSet<String>) {
        self.state.lock().models = Some(Arc::new(models));
    }

    pub(super) fn reading(&self, now: Instant) -> Reading {
        let outstanding = self.outstanding();
        let state = self.state.lock();
        let (gate, speed) = (state.breaker.gate(now), state.load.speed(now));
        drop(state);
        Reading { gate, outstanding, speed, seed: self.seed }
    }

    /// Begins an attempt, if it may be chosen, or if nobody is better.
    pub(super) fn begin(self: &Arc<Self>, now: Instant, forced: bool) -> Option<Turn> {
        let trial = self.state.lock().breaker.begin(now, forced)?;
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        Some(Turn { standing: Arc::clone(self), started: now, trial, streams: true, phase: Phase::Waiting })
    }

    /// A probe was answered, or not.
    pub(super) fn probed(&self, answered: bool) {
        self.metrics.probe(&self.name, answered);
        let change = self.state.lock().breaker.probe(Instant::now(), answered);
        self.tell(change);
        if answered && change.is_none() && self.health() == Health::Up {
            self.board.backend(&self.name, true); // a request may have found nobody there for a moment
        }
    }

    fn end(&self, attempt: (Instant, bool), verdict: Verdict) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let change = state.breaker.end(now, attempt, verdict);
        match verdict {
            Verdict::Well => state.load.outcome(now, false),
            Verdict::Failed { .. } | Verdict::Busy(_) | Verdict::BrokeOff => state.load.outcome(now, true),
            Verdict::Done | Verdict::Unknown => {}
        }
        if change == Some(Change::Recovered) {
            state.load.forget(now);
        }
        drop(state);
        self.tell(change);
    }

    fn tell(&self, change: Option<Change>) {
        let backend = self.name.as_str();
        match change {
            Some(Change::Ejected(why)) => {
                self.metrics.ejection(backend, why);
                self.board.backend(backend, false);
                tracing::warn!(backend, why, "ejected");
            }
            Some(Change::Recovered) => {
                self.board.backend(backend, true);
                tracing::info!(backend, "is well again");
            }
            Some(Change::ProbedUp) => {
                // One that answers probes and fails requests is still ejected.
                self.board.backend(backend, self.health() == Health::Up);
                tracing::info!(backend, "is there");
            }
            Some(Change::ProbedDown) => {
                self.board.backend(backend, false);
                tracing::info!(backend, "is not there; probes will tell when it is");
            }
            None => {}
        }
    }
}

impl Turn {
    /// The answer comes whole: how long that takes says nothing of first content.
    pub(super) fn whole(mut self) -> Self {
        self.streams = false;
        self
    }

    /// First content has come; more may follow.
    pub(super) fn content(&mut self) {
        let now = Instant::now();
        let after = now.saturating_duration_since(self.started);
        self.standing.state.lock().load.first_token(now, after);
        self.well();
        self.phase = Phase::Flowing;
    }

    /// It has answered, in full or in a way that is not its fault.
    pub(super) fn well(&mut self) {
        self.judge(Verdict::Well);
    }

    /// It has failed, before or behind its first content.
    pub(super) fn failed(&mut self, attempted: &Attempted) {
        self.judge(verdict(attempted));
    }

    /// It broke off behind its first content.
    pub(super) fn broke_off(&mut self) {
        if self.phase == Phase::Flowing {
            self.judge(Verdict::BrokeOff);
        }
    }

    /// Is the backend well, after all that is known?
    pub(super) fn finds_well(&self) -> bool {
        self.standing.health() == Health::Up
    }

    /// Nobody was asked.
    pub(super) fn unused(mut self) {
        self.judge(Verdict::Unknown);
    }

    fn judge(&mut self, verdict: Verdict) {
        self.phase = Phase::Over;
        self.standing.end((self.started, self.trial), verdict);
        self.trial = false; // it was decided
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.standing.outstanding.fetch_sub(1, Ordering::Relaxed);
        match self.phase {
            Phase::Waiting => {
                // The client left, or another backend was faster: it takes so long at least.
                let now = Instant::now();
                let after = now.saturating_duration_since(self.started);
                if self.streams {
                    self.standing.state.lock().load.at_least(now, after);
                }
                self.judge(Verdict::Unknown);
            }
            Phase::Flowing => self.judge(Verdict::Done),
            Phase::Over => {}
        }
    }
}

/// What a failed attempt tells of a backend's health.
fn verdict(attempted: &Attempted) -> Verdict {
    let pause = attempted.retry_after.map(|seconds| std::time::Duration::from_secs(seconds.into()));
    let status = attempted.failure.status();
    if attempted.loading {
        return Verdict::Unknown; // it is there, and will be well
    }
    match (attempted.failure.code, pause) {
        (Code::FrameTooLarge | Code::MaxDuration | Code::Draining | Code::Cancelled | Code::Internal, _) => {
            Verdict::Unknown
        }
        (_, Some(pause)) if status == 429 => Verdict::Busy(pause),
        (_, pause) if attempted.retryable || (status >= 500 && status != 501) => Verdict::Failed { pause },
        _ => Verdict::Well, // the request is to blame
    }
}

/// A number that stands for these bytes, in every process the same.
pub fn digest(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Failure;

    fn standings() -> Standings {
        Standings::new(&PoolConfig::default(), &Metrics::new(), &Board::default())
    }

    fn fail(standing: &Arc<Standing>) {
        let mut turn = standing.begin(Instant::now(), true).unwrap();
        turn.failed(&Attempted::retryable(Code::UpstreamUnreachable, "gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_outstanding_while_it_lives() {
        let standing = standings().of("a");
        let turns: Vec<_> = (0..3).map(|_| standing.begin(Instant::now(), false).unwrap()).collect();
        assert_eq!(standing.outstanding(), 3);
        drop(turns);
        assert_eq!(standing.outstanding(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn backends_that_stay_keep_what_is_known_of_them() {
        let standings = standings();
        (0..5).for_each(|_| fail(&standings.of("a")));
        (0..5).for_each(|_| fail(&standings.of("b")));
        let budget = standings.budget("*");
        let renewed = standings.renewed(&PoolConfig::default(), |name| name == "a");
        assert_eq!(renewed.of("a").health(), Health::Ejected);
        assert_eq!(renewed.of("b").health(), Health::Up, "one that went and came is another");
        assert!(Arc::ptr_eq(&renewed.budget("*"), &budget));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_to_blame_does_not_eject() {
        let standing = standings().of("a");
        for _ in 0..50 {
            let mut turn = standing.begin(Instant::now(), false).unwrap();
            let failure = Failure::new(Code::UpstreamError, "no such field").with_status(400);
            turn.failed(&Attempted::refusal(failure));
        }
        assert_eq!(standing.health(), Health::Up);
    }

    #[tokio::test(start_paused = true)]
    async fn who_refuses_our_key_is_ejected_though_nobody_else_is_asked() {
        let standing = standings().of("a");
        for _ in 0..5 {
            let mut turn = standing.begin(Instant::now(), false).unwrap();
            turn.failed(&Attempted::refusal(Failure::new(Code::UpstreamError, "refused our key")));
        }
        assert_eq!(standing.health(), Health::Ejected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_says_nothing_of_health() {
        let standing = standings().of("a");
        for _ in 0..50 {
            drop(standing.begin(Instant::now(), false).unwrap());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(standing.health(), Health::Up);
    }

    #[tokio::test(start_paused = true)]
    async fn models_are_known_with_and_without_their_usual_tag() {
        let standing = standings().of("a");
        assert_eq!(standing.has("river"), None);
        standing.lists(["river:latest", "lake:2b"].map(String::from).into());
        let known = ["river", "river:latest", "lake:2b", "lake", "sea"].map(|model| standing.has(model));
        assert_eq!(known, [true, true, true, false, false].map(Some));
    }
}
