//! The attempts of one request, one after the other: who is next, whether that one may be asked, and whether there is a retry
//! left for it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::telemetry::Metrics;
use crate::upstream::balance::{Choice, Contender, Dice, Place, Share, order};
use crate::upstream::budget::Budget;
use crate::upstream::standing::{Standing, Turn};

/// Whose turn it is, request by request.
#[derive(Debug)]
pub(super) struct Turns {
    standings: Vec<Arc<Standing>>,
    places: Vec<Place>,
    budget: Option<Arc<Budget>>,
    metrics: Metrics,
    begun: bool,
    /// One whose trial another request took.
    passed_over: Option<Place>,
    /// Those who load their models, and whether they are asked again.
    loading: Vec<usize>,
    recalled: bool,
}

/// What a further attempt is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Further {
    Failover,
    Hedge,
}

impl Further {
    fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Hedge => "hedge",
        }
    }
}

impl Turns {
    /// The order is decided now.
    pub(super) fn new(
        choice: &Choice,
        backends: Vec<(Arc<Standing>, Share)>,
        dice: &Dice,
        metrics: &Metrics,
    ) -> Self {
        let now = Instant::now();
        let contender = |(standing, share): &(Arc<Standing>, Share)| Contender {
            reading: standing.reading(now),
            share: *share,
        };
        let contenders: Vec<_> = backends.iter().map(contender).collect();
        if let Some(budget) = &choice.budget {
            budget.deposit(now);
        }
        Self {
            places: order(choice, &contenders, now, dice),
            standings: backends.into_iter().map(|(standing, _)| standing).collect(),
            budget: choice.budget.clone(),
            metrics: metrics.clone(),
            begun: false,
            passed_over: None,
            loading: Vec::new(),
            recalled: false,
        }
    }

    /// The places of those who may still be asked, the best first.
    pub(super) fn left(&self) -> Vec<usize> {
        // It has become worse since the order was decided; and yet nobody is better.
        let spare = self.passed_over.as_ref().filter(|_| self.places.is_empty() && !self.begun);
        self.places.iter().chain(spare).map(|place| place.at).collect()
    }

    /// Is there a retry left? Only the first attempt is free.
    pub(super) fn pay(&mut self, further: Further) -> bool {
        // To ask whether a model is loaded costs its server nothing.
        let paid = !self.begun
            || self.recalled
            || self.budget.as_ref().is_none_or(|budget| budget.withdraw(Instant::now()));
        if !paid {
            self.metrics.retry_denied(further.name());
            self.places.clear();
        }
        paid
    }

    /// The backend in this place loads its model.
    pub(super) fn loads(&mut self, at: usize) {
        self.loading.push(at);
    }

    /// Does anybody load?
    pub(super) fn awaits(&self) -> bool {
        !self.loading.is_empty()
    }

    /// Those who load may be asked again.
    pub(super) fn recall(&mut self) {
        self.places = self.loading.drain(..).map(|at| Place { at, forced: true }).collect();
        self.recalled = true;
    }

    /// The right to ask the backend in this place, unless another request has taken its trial.
    pub(super) fn begin(&mut self, at: usize) -> Option<Turn> {
        let found =
            self.places.iter().position(|place| place.at == at).map(|index| self.places.remove(index));
        let forced = found.is_none();
        let place = found.or_else(|| self.passed_over.take())?;
        let standing = self.standings.get(place.at)?;
        let turn = standing.begin(Instant::now(), forced || place.forced);
        match &turn {
            Some(_) => self.begun = true,
            None => self.passed_over = Some(place),
        }
        turn
    }
}
