//! The attempts of one request, one after the other: who is next, whether that one may be asked, and whether there is a retry
//! left for it.

use std::sync::Arc;
use std::vec;

use tokio::time::Instant;

use crate::telemetry::Metrics;
use crate::upstream::balance::{Choice, Contender, Dice, Place, Share, order};
use crate::upstream::budget::Budget;
use crate::upstream::standing::{Standing, Turn};

/// Whose turn it is, request by request.
#[derive(Debug)]
pub(super) struct Turns {
    standings: Vec<Arc<Standing>>,
    places: vec::IntoIter<Place>,
    budget: Option<Arc<Budget>>,
    metrics: Metrics,
    begun: bool,
    /// One whose trial another request took.
    passed_over: Option<Place>,
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
            places: order(choice, &contenders, now, dice).into_iter(),
            standings: backends.into_iter().map(|(standing, _)| standing).collect(),
            budget: choice.budget.clone(),
            metrics: metrics.clone(),
            begun: false,
            passed_over: None,
        }
    }

    /// The next attempt: the place of its backend in the list, and the right to ask it. Only the first one is free.
    pub(super) fn next(&mut self, further: Further) -> Option<(usize, Turn)> {
        let (place, turn) = self.pick()?;
        if std::mem::replace(&mut self.begun, true)
            && let Some(budget) = &self.budget
            && !budget.withdraw(Instant::now())
        {
            self.metrics.retry_denied(further.name());
            self.places = Vec::new().into_iter();
            turn.unused();
            return None;
        }
        Some((place.at, turn))
    }

    fn pick(&mut self) -> Option<(Place, Turn)> {
        let now = Instant::now();
        for place in self.places.by_ref() {
            let turn = self.standings.get(place.at).and_then(|standing| standing.begin(now, place.forced));
            match turn {
                Some(turn) => return Some((place, turn)),
                None => self.passed_over = Some(place),
            }
        }
        // It has become worse since the order was decided; and yet nobody is better.
        let place = self.passed_over.take().filter(|_| !self.begun)?;
        let standing = self.standings.get(place.at)?;
        Some((place, standing.begin(now, true)?))
    }
}
