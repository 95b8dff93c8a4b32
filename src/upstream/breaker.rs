//! Whether a backend may be chosen. Failures eject it for a time that doubles, and then one request at a time tries it again; its
//! own `Retry-After` is heeded; probes take it out and bring it back.

use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::config::PoolConfig;

#[derive(Debug)]
pub(super) struct Breaker {
    rules: Rules,
    state: State,
    /// Failures in a row.
    failures: u32,
    /// Answers in a row that broke off behind their first content.
    broken: u32,
    recent: Recent,
    /// Ejections in a row, for how long the next one lasts.
    ejections: u32,
    /// When the last ejection was over for good.
    closed_at: Option<Instant>,
    /// Until when the backend itself wants to be left alone.
    paused_until: Option<Instant>,
    probed: Probed,
}

/// The part of `[pool]` that matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    eject_after: u32,
    error_rate: f64,
    eject_for: Duration,
    eject_for_max: Duration,
    retry_after_max: Duration,
    probe_failures: u32,
    probe_successes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    /// Ejected.
    Open {
        since: Instant,
        until: Instant,
    },
    /// One request is trying it.
    HalfOpen {
        since: Instant,
    },
}

/// What the probes have found.
#[derive(Debug, Default)]
struct Probed {
    /// `None`: nothing yet.
    up: Option<bool>,
    /// How many probes in a row said otherwise.
    otherwise: u32,
}

/// May a backend be chosen?
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gate {
    In,
    /// By one request, to see whether it is well again.
    Trial,
    /// Not now; `until`, if that is known.
    Out {
        why: Health,
        until: Option<Instant>,
    },
}

/// How a backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// It was ejected, and one request is, or may be, trying it again.
    HalfOpen,
    Ejected,
    /// It said itself when it wants to be asked again.
    Paused,
    /// Probes find nobody there.
    Down,
}

impl Health {
    pub const ALL: [Self; 5] = [Self::Up, Self::HalfOpen, Self::Ejected, Self::Paused, Self::Down];

    /// One word for it, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::HalfOpen => "half_open",
            Self::Ejected => "ejected",
            Self::Paused => "paused",
            Self::Down => "down",
        }
    }
}

/// How an attempt went, as far as it tells of the backend's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well,
    Failed {
        /// What its `Retry-After` said.
        pause: Option<Duration>,
    },
    /// It is well, and wants to be left alone for so long.
    Busy(Duration),
    /// What had begun well did not break off.
    Done,
    /// What had begun well broke off.
    BrokeOff,
    /// Nobody waited for the end, or it tells nothing.
    Unknown,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// One word for why.
    Ejected(&'static str),
    /// The ejection is over.
    Recovered,
    ProbedUp,
    ProbedDown,
}

impl Rules {
    pub(super) fn new(config: &PoolConfig) -> Self {
        Self {
            eject_after: config.eject_after,
            error_rate: config.eject_error_rate,
            eject_for: config.eject_for,
            eject_for_max: config.eject_for_max,
            retry_after_max: config.retry_after_max,
            probe_failures: config.probe_failures,
            probe_successes: config.probe_successes,
        }
    }

    fn ejection(&self, before: u32) -> Duration {
        self.eject_for.saturating_mul(2_u32.saturating_pow(before)).min(self.eject_for_max)
    }
}

impl Breaker {
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            state: State::Closed,
            failures: 0,
            broken: 0,
            recent: Recent::new(now),
            ejections: 0,
            closed_at: None,
            paused_until: None,
            probed: Probed::default(),
        }
    }

    /// From now on by other rules.
    pub(super) fn adopt(&mut self, rules: Rules) {
        self.rules = rules;
    }

    pub(super) fn gate(&self, now: Instant) -> Gate {
        if self.probed.up == Some(false) {
            return Gate::Out { why: Health::Down, until: None };
        }
        match (self.paused_until, self.state) {
            (Some(until), _) if now < until => Gate::Out { why: Health::Paused, until: Some(until) },
            (_, State::Closed) => Gate::In,
            (_, State::Open { until, .. }) if now < until => {
                Gate::Out { why: Health::Ejected, until: Some(until) }
            }
            (_, State::Open { .. }) => Gate::Trial,
            (_, State::HalfOpen { .. }) => Gate::Out { why: Health::HalfOpen, until: Some(now) },
        }
    }

    pub(super) fn health(&self, now: Instant) -> Health {
        match self.gate(now) {
            Gate::In => Health::Up,
            Gate::Trial => Health::HalfOpen,
            Gate::Out { why, .. } => why,
        }
    }

    /// An attempt is to begin; `None`: it may not. Is it the trial? `forced`: there is nobody better.
    pub(super) fn begin(&mut self, now: Instant, forced: bool) -> Option<bool> {
        match (self.gate(now), self.state) {
            (Gate::Trial, State::Open { since, .. }) => {
                self.state = State::HalfOpen { since };
                Some(true)
            }
            (Gate::In | Gate::Trial, _) => Some(false),
            (Gate::Out { .. }, _) => forced.then_some(false),
        }
    }

    /// An attempt that began at `started`, as a trial or not, is over.
    pub(super) fn end(
        &mut self,
        now: Instant,
        (started, trial): (Instant, bool),
        verdict: Verdict,
    ) -> Option<Change> {
        match verdict {
            Verdict::Well => {
                self.failures = 0;
                self.recent.count(now, false);
                self.answered(now, started, trial)
            }
            Verdict::Busy(pause) => {
                self.pause(now, pause);
                self.answered(now, started, trial)
            }
            Verdict::Failed { pause } => {
                if let Some(pause) = pause {
                    self.pause(now, pause);
                }
                self.failures = self.failures.saturating_add(1);
                self.recent.count(now, true);
                self.failed(now, trial)
            }
            Verdict::Done => {
                self.broken = 0;
                None
            }
            Verdict::BrokeOff => {
                self.broken = self.broken.saturating_add(1);
                self.recent.recount(now);
                self.failed(now, trial)
            }
            Verdict::Unknown => {
                if let (State::HalfOpen { since }, true) = (self.state, trial) {
                    self.state = State::Open { since, until: now }; // the next one tries it
                }
                None
            }
        }
    }

    /// A probe was answered, or not.
    pub(super) fn probe(&mut self, now: Instant, answered: bool) -> Option<Change> {
        let Some(up) = self.probed.up else {
            self.probed.up = Some(answered);
            return Some(if answered { Change::ProbedUp } else { Change::ProbedDown });
        };
        if up == answered {
            self.probed.otherwise = 0;
            return None;
        }
        self.probed.otherwise += 1;
        let needed = if answered { self.rules.probe_successes } else { self.rules.probe_failures };
        if self.probed.otherwise < needed {
            return None;
        }
        self.probed = Probed { up: Some(answered), otherwise: 0 };
        if !answered {
            return Some(Change::ProbedDown);
        }
        if let State::Open { since, until } = self.state {
            self.state = State::Open { since, until: until.min(now) }; // it may have failed for being away
        }
        Some(Change::ProbedUp)
    }

    fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(self.rules.retry_after_max);
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
    }

    /// It has answered. What began before it was ejected tells nothing of how it is now.
    fn answered(&mut self, now: Instant, started: Instant, trial: bool) -> Option<Change> {
        match self.state {
            State::HalfOpen { .. } if trial => {}
            State::Open { since, .. } | State::HalfOpen { since } if started > since => {}
            State::Closed | State::Open { .. } | State::HalfOpen { .. } => return None,
        }
        self.state = State::Closed;
        self.closed_at = Some(now);
        Some(Change::Recovered)
    }

    fn failed(&mut self, now: Instant, trial: bool) -> Option<Change> {
        let why = match self.state {
            State::HalfOpen { .. } if trial => "trial",
            State::Closed if self.failures.max(self.broken) >= self.rules.eject_after => "failures",
            State::Closed if self.recent.is_bad(self.rules.error_rate) => "error_rate",
            State::Closed | State::Open { .. } | State::HalfOpen { .. } => return None,
        };
        let last = self.rules.ejection(self.ejections);
        if self.closed_at.is_some_and(|at| now.saturating_duration_since(at) > last) {
            self.ejections = 0; // it was well for long
        }
        self.state = State::Open { since: now, until: now + self.rules.ejection(self.ejections) };
        self.ejections = self.ejections.saturating_add(1);
        (self.failures, self.broken) = (0, 0);
        self.recent = Recent::new(now);
        self.closed_at = None;
        Some(Change::Ejected(why))
    }
}

/// Requests and failures of late: each counts less the longer ago it was.
#[derive(Debug)]
struct Recent {
    requests: f64,
    failures: f64,
    at: Instant,
}

/// How fast a request is forgotten.
const FADING: Duration = Duration::from_secs(10);
/// From fewer requests nothing follows.
const ENOUGH: f64 = 20.0;

impl Recent {
    fn new(now: Instant) -> Self {
        Self { requests: 0.0, failures: 0.0, at: now }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        let kept = (-now.saturating_duration_since(self.at).as_secs_f64() / FADING.as_secs_f64()).exp();
        self.requests = self.requests.mul_add(kept, 1.0);
        self.failures = self.failures.mul_add(kept, f64::from(u8::from(failed)));
        self.at = now;
    }

    /// What was counted as well has failed.
    fn recount(&mut self, now: Instant) {
        self.count(now, true);
        self.requests -= 1.0;
    }

    fn is_bad(&self, rate: f64) -> bool {
        self.requests >= ENOUGH && self.failures >= rate * self.requests
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const FAILED: Verdict = Verdict::Failed { pause: None };

    fn breaker() -> Breaker {
        Breaker::new(Rules::new(&PoolConfig::default()), Instant::now())
    }

    /// One attempt that ends at once.
    fn attempt(breaker: &mut Breaker, verdict: Verdict) -> Option<Change> {
        let now = Instant::now();
        let trial = breaker.begin(now, false).expect("a backend that may be chosen");
        breaker.end(now, (now, trial), verdict)
    }

    fn eject(breaker: &mut Breaker) {
        for _ in 0..4 {
            assert_eq!(attempt(breaker, FAILED), None);
        }
        assert_eq!(attempt(breaker, FAILED), Some(Change::Ejected("failures")));
    }

    async fn pass(seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
        let mut breaker = breaker();
        for _ in 0..4 {
            attempt(&mut breaker, FAILED);
        }
        attempt(&mut breaker, Verdict::Well);
        eject(&mut breaker);
        assert_eq!(breaker.health(Instant::now()), Health::Ejected);
        assert_eq!(breaker.begin(Instant::now(), false), None);
        assert_eq!(breaker.begin(Instant::now(), true), Some(false), "the least bad");
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_at_a_time_tries_an_ejected_backend_again() {
        let mut breaker = breaker();
        eject(&mut breaker);
        pass(5).await;
        let now = Instant::now();
        assert_eq!(breaker.begin(now, false), Some(true));
        assert_eq!(breaker.begin(now, false), None);
        assert_eq!(breaker.end(now, (now, true), Verdict::Well), Some(Change::Recovered));
        assert_eq!(breaker.begin(now, false), Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_was_left_is_left_to_the_next() {
        let mut breaker = breaker();
        eject(&mut breaker);
        pass(5).await;
        attempt(&mut breaker, Verdict::Unknown);
        assert_eq!(breaker.gate(Instant::now()), Gate::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_fails_doubles_the_time_up_to_its_bound() {
        let mut breaker = breaker();
        eject(&mut breaker);
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            pass(seconds - 1).await;
            assert_eq!(breaker.health(Instant::now()), Health::Ejected, "{seconds}");
            pass(1).await;
            assert_eq!(attempt(&mut breaker, FAILED), Some(Change::Ejected("trial")), "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_was_well_for_long_begins_anew() {
        let mut breaker = breaker();
        eject(&mut breaker);
        pass(5).await;
        attempt(&mut breaker, Verdict::Well);
        eject(&mut breaker);
        pass(9).await;
        assert_eq!(breaker.health(Instant::now()), Health::Ejected, "soon again: for longer");
        pass(1).await;
        attempt(&mut breaker, Verdict::Well);
        pass(60).await;
        eject(&mut breaker);
        pass(5).await;
        assert_eq!(breaker.gate(Instant::now()), Gate::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_many_requests_eject_though_none_fail_in_a_row() {
        let mut breaker = breaker();
        let mut changes = Vec::new();
        for _ in 0..10 {
            changes.extend(attempt(&mut breaker, Verdict::Well));
            changes.extend(attempt(&mut breaker, FAILED));
        }
        assert_eq!(changes, [Change::Ejected("error_rate")]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_break_off_in_a_row_eject() {
        let mut breaker = breaker();
        let now = Instant::now();
        let mut stream = |end: Verdict| {
            attempt(&mut breaker, Verdict::Well);
            breaker.end(now, (now, false), end)
        };
        for _ in 0..4 {
            assert_eq!(stream(Verdict::BrokeOff), None);
        }
        assert_eq!(stream(Verdict::Done), None);
        for _ in 0..4 {
            assert_eq!(stream(Verdict::BrokeOff), None);
        }
        assert_eq!(stream(Verdict::BrokeOff), Some(Change::Ejected("failures")));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_heeded_up_to_its_bound() {
        let mut breaker = breaker();
        attempt(&mut breaker, Verdict::Busy(Duration::from_secs(7)));
        pass(6).await;
        assert_eq!(breaker.health(Instant::now()), Health::Paused);
        pass(1).await;
        assert_eq!(breaker.gate(Instant::now()), Gate::In);
        attempt(&mut breaker, Verdict::Failed { pause: Some(Duration::from_secs(100_000)) });
        pass(59).await;
        assert_eq!(breaker.health(Instant::now()), Health::Paused);
        pass(1).await;
        assert_eq!(breaker.gate(Instant::now()), Gate::In);
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_the_ejection_does_not_end_it() {
        let mut breaker = breaker();
        let early = Instant::now();
        pass(1).await;
        eject(&mut breaker);
        pass(1).await;
        assert_eq!(breaker.end(Instant::now(), (early, false), Verdict::Well), None);
        assert_eq!(breaker.health(Instant::now()), Health::Ejected);
        let late = Instant::now();
        assert_eq!(breaker.end(late, (late, false), Verdict::Well), Some(Change::Recovered));
    }

    #[tokio::test(start_paused = true)]
    async fn probes_take_a_backend_out_and_bring_it_back() {
        let mut breaker = breaker();
        let now = Instant::now();
        assert_eq!(breaker.probe(now, true), Some(Change::ProbedUp));
        assert_eq!(breaker.probe(now, false), None, "one is an accident");
        assert_eq!(breaker.probe(now, false), Some(Change::ProbedDown));
        assert_eq!(breaker.health(now), Health::Down);
        assert_eq!(breaker.probe(now, true), Some(Change::ProbedUp));
        assert_eq!(breaker.gate(now), Gate::In);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_comes_back_is_tried_at_once() {
        let mut breaker = breaker();
        breaker.probe(Instant::now(), false);
        let now = Instant::now();
        for _ in 0..5 {
            breaker.end(now, (now, false), FAILED);
        }
        breaker.probe(now, true);
        assert_eq!(breaker.gate(now), Gate::Trial);
    }
}
