//! A load of streams: many at a time or at a rate, each read to its end, with one server or with two in turns.

mod ask;
mod report;
mod stream;
mod tally;

pub use ask::{Api, Ask};
pub use report::{comparison, described, told};
pub use tally::{Failures, Tally};

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

/// What load there shall be.
#[derive(Debug)]
pub struct Plan {
    /// What is asked, in turns.
    pub asks: Vec<Ask>,
    /// How many streams run at a time; at a rate, at most.
    pub streams: usize,
    pub duration: Duration,
    /// How many begin in a second, whatever becomes of those before; `None`: the next one begins when one has ended.
    pub rate: Option<f64>,
    /// How many there are in all, if not as many as there is time for.
    pub requests: Option<u64>,
    /// A stream that tells nothing for so long has stalled.
    pub stall: Duration,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    tallies: Vec<RefCell<Tally>>,
    begun: Cell<u64>,
    started: Instant,
}

/// After a stream that could not even begin: a refusing server is not asked in a busy loop.
const PAUSE: Duration = Duration::from_millis(50);
/// How often somebody who looks on is told.
const TICK: Duration = Duration::from_millis(200);

impl Load {
    pub fn new(plan: Plan) -> Self {
        let tallies = plan.asks.iter().map(|_| RefCell::default()).collect();
        Self { plan, tallies, begun: Cell::new(0), started: Instant::now() }
    }

    /// Runs until the time is over, everything was asked, or `stop` resolves; `true`: it was stopped. `watch` is called now and then.
    /// What still runs then is dropped, and counts as unfinished.
    pub async fn run(&mut self, stop: impl Future<Output = ()>, mut watch: impl FnMut(&Self)) -> bool {
        self.started = Instant::now();
        let load = &*self;
        let work: Pin<Box<dyn Future<Output = ()> + '_>> = match load.plan.rate {
            Some(rate) => Box::pin(load.arrive(rate)),
            None => Box::pin(load.keep_up()),
        };
        let (mut work, mut stop) = (work, pin!(stop));
        let mut over = pin!(sleep_until(load.started + load.plan.duration));
        let mut ticks = interval(TICK);
        let stopped = loop {
            tokio::select! {
                biased;
                () = &mut stop => break true,
                () = &mut over => break false,
                () = &mut work => break false,
                _ = ticks.tick() => watch(load),
            }
        };
        drop(work);
        let elapsed = load.started.elapsed();
        for tally in &load.tallies {
            tally.borrow_mut().close(elapsed);
        }
        stopped
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many streams have begun, how many of them have ended, and how many of these have failed.
    pub fn progress(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&Tally) -> u64| self.tallies.iter().map(|tally| of(&tally.borrow())).sum();
        (sum(|tally| tally.begun), sum(Tally::ended), sum(Tally::failed))
    }

    /// What came of it, in the order of what was asked.
    pub fn into_tallies(self) -> Vec<Tally> {
        self.tallies.into_iter().map(RefCell::into_inner).collect()
    }

    /// The next one in turn, if there shall be more.
    fn next(&self) -> Option<usize> {
        let number = self.begun.get();
        if self.plan.requests.is_some_and(|most| number >= most) {
            return None;
        }
        self.begun.set(number + 1);
        Some(usize::try_from(number).unwrap_or_default() % self.plan.asks.len())
    }

    async fn one(&self, turn: usize, begun: Instant) {
        let (Some(ask), Some(tally)) = (self.plan.asks.get(turn), self.tallies.get(turn)) else { return };
        stream::run(ask, tally, begun, self.plan.stall).await;
    }

    /// A closed loop: so many at a time, each followed by the next.
    async fn keep_up(&self) {
        let worker = async || {
            while let Some(turn) = self.next() {
                let begun = Instant::now();
                self.one(turn, begun).await;
                if begun.elapsed() < PAUSE / 10 {
                    sleep(PAUSE).await;
                }
            }
        };
        let mut workers: FuturesUnordered<_> = (0..self.plan.streams).map(|_| worker()).collect();
        while workers.next().await.is_some() {}
    }

    /// An open loop: they come when they come. Times count from when a stream was due, not from when there was time for it.
    async fn arrive(&self, rate: f64) {
        let mut arrivals = interval(Duration::from_secs_f64(1.0 / rate));
        arrivals.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut running = FuturesUnordered::new();
        let mut more = true;
        while more || !running.is_empty() {
            tokio::select! {
                biased;
                due = arrivals.tick(), if more => {
                    let Some(turn) = self.next() else {
                        more = false;
                        continue;
                    };
                    if running.len() < self.plan.streams {
                        running.push(self.one(turn, due));
                    } else if let Some(tally) = self.tallies.get(turn) {
                        tally.borrow_mut().skip();
                    }
                }
                Some(()) = running.next(), if !running.is_empty() => {}
            }
        }
    }
}
