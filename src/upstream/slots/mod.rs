//! Slots: how many requests a backend works on at a time, shared by all workers. Who finds none free waits in line, at all of
//! its backends at once, and is woken when the first of them has one for it.

mod line;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::{Access, Metrics};
use crate::upstream::attempt::Attempted;
use crate::upstream::backend::Config;
use crate::upstream::slots::line::{Line, Ticket};
use crate::upstream::slots::waiting::Waiting;
use crate::wire::{Code, Failure};

/// The slots of all backends that have a limit; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The backends with a limit; each stands for the gate with its number.
    names: Vec<String>,
    state: Mutex<State>,
    metrics: Metrics,
}

/// As whom a request waits, and for how long.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The name of the caller's key: keys are let in in turn.
    pub key: Option<Arc<str>>,
    /// A caller of weight 4 is let in four times as often as one of weight 1 while both wait.
    pub weight: u32,
    /// How long it waits for a slot at most.
    pub timeout: Duration,
}

/// The right to have a backend work on one request; freed when dropped.
#[derive(Debug)]
pub struct Slot {
    _taken: Option<Taken>,
}

#[derive(Debug)]
struct Taken {
    slots: Slots,
    gate: usize,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    gates: Vec<Gate>,
    waiting: HashMap<Ticket, Guest>,
    next: Ticket,
    /// When the places were counted last, and whether anybody has moved since.
    counted: Option<Instant>,
    moved: bool,
}

#[derive(Debug)]
struct Gate {
    limit: usize,
    bound: usize,
    taken: usize,
    /// How many wait here.
    length: usize,
    line: Line,
    /// How long a slot is held, about.
    held: Option<Duration>,
}

/// One who waits. Not the request: that knows only its number.
#[derive(Debug)]
struct Guest {
    gates: Vec<usize>,
    place: usize,
    granted: Option<usize>,
    waker: Option<Waker>,
}

/// How many may wait for a backend that does not say.
const QUEUE: usize = 64;

impl Slots {
    /// `configs` have been checked.
    pub fn new(configs: &[Config], metrics: Metrics) -> Self {
        let limited: Vec<(&Config, usize)> =
            configs.iter().filter_map(|config| Some((config, config.max_concurrent?.get()))).collect();
        let gate = |(config, limit): &(&Config, usize)| Gate {
            limit: *limit,
            bound: config.queue.unwrap_or(QUEUE),
            taken: 0,
            length: 0,
            line: Line::default(),
            held: None,
        };
        let state = State { gates: limited.iter().map(gate).collect(), ..State::default() };
        let names = limited.iter().map(|(config, _)| config.name.clone()).collect();
        Self(Arc::new(Shared { names, state: Mutex::new(state), metrics }))
    }

    /// Takes a slot of the first of these backends that has one free; waits for the first that gets one where none has. Gives
    /// the backend's place in the list. Dropping the future gives up the place in line.
    pub(super) async fn admit(
        &self,
        backends: impl IntoIterator<Item = &str>,
        turn: &Turn,
        access: &Access,
    ) -> Result<(usize, Slot), Attempted> {
        let gate = |name: &str| self.0.names.iter().position(|known| known == name);
        let gates: Vec<Option<usize>> = backends.into_iter().map(gate).collect();
        let ticket = {
            let mut state = self.0.state.lock();
            if let Some(at) = gates.iter().position(|gate| gate.is_none_or(|gate| state.has_room(gate))) {
                let slot = gates.get(at).copied().flatten().map(|gate| self.take(&mut state, gate));
                return Ok((at, Slot { _taken: slot }));
            }
            let known: Vec<usize> = gates.iter().copied().flatten().collect();
            state.stand(known, turn).map_err(|wait| self.full(wait))?
        };
        let mut waiting = Waiting::new(self.clone(), ticket);
        let granted = waiting.granted(turn.timeout, access).await;
        let gate = granted.ok_or_else(|| self.late(turn))?;
        let at = gates.iter().position(|known| *known == Some(gate)).unwrap_or_default();
        Ok((at, Slot { _taken: Some(self.taken(gate)) }))
    }

    fn take(&self, state: &mut State, gate: usize) -> Taken {
        if let Some(gate) = state.gates.get_mut(gate) {
            gate.taken += 1;
        }
        self.taken(gate)
    }

    fn taken(&self, gate: usize) -> Taken {
        Taken { slots: self.clone(), gate, since: Instant::now() }
    }

    /// A slot is free again: the next in line has it.
    fn release(&self, gate: usize, held: Option<Duration>) {
        let waker = self.0.state.lock().release(gate, held);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn full(&self, wait: Duration) -> Attempted {
        self.0.metrics.refused(Code::QueueFull.name());
        let words = "all backends of this model are busy, and the queue before them is full";
        refused(Code::QueueFull, words, wait)
    }

    fn late(&self, turn: &Turn) -> Attempted {
        self.0.metrics.refused(Code::QueueTimeout.name());
        let waited = humantime::format_duration(turn.timeout);
        let words = format!("all backends of this model were busy, for {waited}");
        refused(Code::QueueTimeout, &words, turn.timeout.min(LATE))
    }

    /// Backend by backend: its name, how many slots are taken, and how many requests wait.
    pub fn lengths(&self) -> Vec<(&str, usize, usize)> {
        let state = self.0.state.lock();
        let gates = self.0.names.iter().zip(&state.gates);
        gates.map(|(name, gate)| (name.as_str(), gate.taken, gate.length)).collect()
    }
}

/// Whoever has waited in vain is not sent back into the queue at once.
const LATE: Duration = Duration::from_secs(10);

/// No other backend is asked: all of them were waited for.
fn refused(code: Code, words: &str, wait: Duration) -> Attempted {
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    Attempted { retry_after: Some(seconds.clamp(1, 60)), ..Attempted::refusal(Failure::new(code, words)) }
}

impl State {
    fn has_room(&self, gate: usize) -> bool {
        self.gates.get(gate).is_none_or(|gate| gate.taken < gate.limit)
    }

    /// Stands in every line that has room. Without any: about how long it takes until one has.
    fn stand(&mut self, mut gates: Vec<usize>, turn: &Turn) -> Result<Ticket, Duration> {
        let wait = gates.iter().filter_map(|gate| self.gates.get(*gate)).map(Gate::pace).min();
        gates.retain(|gate| self.gates.get(*gate).is_some_and(|gate| gate.length < gate.bound));
        if gates.is_empty() {
            return Err(wait.unwrap_or_default());
        }
        let ticket = self.next;
        self.next += 1;
        let mut place = usize::MAX;
        for gate in &gates {
            if let Some(gate) = self.gates.get_mut(*gate) {
                gate.line.push(ticket, turn.key.as_ref(), turn.weight);
                gate.length += 1;
                place = place.min(gate.length);
            }
        }
        self.moved = true;
        self.waiting.insert(ticket, Guest { gates, place, granted: None, waker: None });
        Ok(ticket)
    }

    /// Lets the next one in. It is woken by the caller, without the lock.
    fn release(&mut self, gate: usize, held: Option<Duration>) -> Option<Waker> {
        let free = self.gates.get_mut(gate)?;
        if let Some(held) = held {
            free.held = Some(free.held.map_or(held, |before| (before * 7 + held) / 8));
        }
        let Some(ticket) = free.line.pop() else {
            free.taken -= 1;
            return None;
        };
        let guest = self.waiting.get_mut(&ticket)?; // it is there: whoever goes away steps out of every line
        guest.granted = Some(gate);
        let (gates, waker) = (std::mem::take(&mut guest.gates), guest.waker.take());
        self.step_out(ticket, &gates);
        waker
    }

    fn step_out(&mut self, ticket: Ticket, gates: &[usize]) {
        self.moved = true;
        for gate in gates {
            if let Some(gate) = self.gates.get_mut(*gate) {
                gate.line.remove(ticket);
                gate.length -= 1;
            }
        }
    }

    /// Counts anew how many stand before each.
    fn count(&mut self, now: Instant) {
        if !self.moved || self.counted.is_some_and(|counted| now - counted < COUNT) {
            return;
        }
        (self.moved, self.counted) = (false, Some(now));
        for guest in self.waiting.values_mut() {
            guest.place = usize::MAX;
        }
        for gate in &self.gates {
            for (place, ticket) in (1..).zip(gate.line.order()) {
                if let Some(guest) = self.waiting.get_mut(&ticket) {
                    guest.place = guest.place.min(place);
                }
            }
        }
    }
}

/// How often places are counted at most.
const COUNT: Duration = Duration::from_millis(100);

impl Gate {
    /// About how long it takes until as many were let in as wait.
    fn pace(&self) -> Duration {
        let held = self.held.unwrap_or(Duration::from_secs(5));
        let ahead = u32::try_from(self.length + 1).unwrap_or(u32::MAX);
        held.saturating_mul(ahead) / u32::try_from(self.limit).unwrap_or(u32::MAX)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.slots.release(self.gate, Some(self.since.elapsed()));
    }
}
