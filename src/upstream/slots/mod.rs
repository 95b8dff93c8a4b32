//! Slots: how many requests a backend works on at a time, shared by all workers. Who finds none free waits in line, at all of
//! its backends at once, and is woken when the first of them has one for it.

mod line;
mod reserve;
mod waiting;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::{Access, Metrics};
use crate::upstream::backend::Config;
use crate::upstream::refused::Attempted;
use crate::upstream::slots::line::{Line, Number};
use crate::upstream::slots::reserve::{Name, Reserve};
use crate::upstream::slots::waiting::Waiting;
use crate::wire::{Code, Failure};

/// The slots of all backends that have a limit; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    metrics: Metrics,
}

/// As whom a request waits, and for how long.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The name of the caller's key: keys are let in in ticket.
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
    key: Name,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    gates: Vec<Gate>,
    waiting: HashMap<Number, Guest>,
    next: Number,
    /// When the places were counted last, and whether anybody has moved since.
    counted: Option<Instant>,
    moved: bool,
}

#[derive(Debug)]
struct Gate {
    /// The backend's name.
    name: String,
    limit: usize,
    bound: usize,
    taken: usize,
    /// How many wait here.
    length: usize,
    line: Line,
    reserve: Reserve,
    /// How long a slot is held, about.
    held: Option<Duration>,
}

/// One who waits. Not the request: that knows only its number.
#[derive(Debug)]
struct Guest {
    key: Name,
    gates: Vec<usize>,
    place: usize,
    granted: Option<usize>,
    waker: Option<Waker>,
}

/// A backend that works on so many requests keeps one slot for keys that hold none, unless it says otherwise.
const MANY: usize = 8;
/// How many may wait for a backend that does not say.
const QUEUE: usize = 64;

impl Slots {
    /// `configs` have been checked.
    pub fn new(configs: &[Config], metrics: Metrics) -> Self {
        let slots = Self(Arc::new(Shared { state: Mutex::default(), metrics }));
        slots.renew(configs);
        slots
    }

    /// Other limits. What is taken stays taken; who waits where there is room now is let in.
    pub fn renew(&self, configs: &[Config]) {
        let wakers = self.0.state.lock().renew(configs);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a slot of the first of these backends that has one free; does not wait.
    pub(super) fn try_admit<'b, I: IntoIterator<Item = &'b str>>(
        &self,
        backends: I,
        ticket: &Ticket,
    ) -> Option<(usize, Slot)> {
        let mut state = self.0.state.lock();
        let gates: Vec<Option<usize>> = backends.into_iter().map(|name| state.gate(name)).collect();
        self.take_free(&mut state, &gates, ticket)
    }

    fn take_free(
        &self,
        state: &mut State,
        gates: &[Option<usize>],
        ticket: &Ticket,
    ) -> Option<(usize, Slot)> {
        let now = Instant::now();
        for gate in gates.iter().flatten() {
            if let Some(gate) = state.gates.get_mut(*gate) {
                gate.reserve.asked(&ticket.key, now);
            }
        }
        let has_room = |gate: usize| state.gates.get(gate).is_none_or(|gate| gate.has_room(&ticket.key, now));
        let at = gates.iter().position(|gate| gate.is_none_or(has_room))?;
        let slot = gates.get(at).copied().flatten().map(|gate| {
            if let Some(gate) = state.gates.get_mut(gate) {
                gate.take(&ticket.key);
            }
            self.taken(gate, &ticket.key)
        });
        Some((at, Slot { _taken: slot }))
    }

    /// Takes a slot of the first of these backends that has one free; waits for the first that gets one where none has. Gives
    /// the backend's place in the list. Dropping the future gives up the place in line.
    pub(super) async fn admit(
        &self,
        backends: impl IntoIterator<Item = &str>,
        ticket: &Ticket,
        access: &Access,
    ) -> Result<(usize, Slot), Attempted> {
        let (number, gates) = {
            let mut state = self.0.state.lock();
            let gates: Vec<Option<usize>> = backends.into_iter().map(|name| state.gate(name)).collect();
            if let Some(admitted) = self.take_free(&mut state, &gates, ticket) {
                return Ok(admitted);
            }
            let known: Vec<usize> = gates.iter().copied().flatten().collect();
            (state.stand(known, ticket).map_err(|wait| self.full(wait))?, gates)
        };
        let mut waiting = Waiting::new(self.clone(), number);
        let granted = waiting.granted(ticket.timeout, access).await;
        let gate = granted.ok_or_else(|| self.late(ticket))?;
        let at = gates.iter().position(|known| *known == Some(gate)).unwrap_or_default();
        Ok((at, Slot { _taken: Some(self.taken(gate, &ticket.key)) }))
    }

    fn taken(&self, gate: usize, key: &Name) -> Taken {
        Taken { slots: self.clone(), gate, key: key.clone(), since: Instant::now() }
    }

    /// A slot is free again: the next in line has it.
    fn release(&self, gate: usize, key: &Name, held: Option<Duration>) {
        let wakers = self.0.state.lock().release(gate, key, held);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn full(&self, wait: Duration) -> Attempted {
        self.0.metrics.refused(Code::QueueFull.name());
        let words = "all backends of this model are busy, and the queue before them is full";
        refused(Code::QueueFull, words, wait)
    }

    fn late(&self, ticket: &Ticket) -> Attempted {
        self.0.metrics.refused(Code::QueueTimeout.name());
        let waited = humantime::format_duration(ticket.timeout);
        let words = format!("all backends of this model were busy, for {waited}");
        refused(Code::QueueTimeout, &words, ticket.timeout.min(LATE))
    }

    /// Backend by backend: its name, how many slots are taken, and how many requests wait.
    pub fn lengths(&self) -> Vec<(String, usize, usize)> {
        let state = self.0.state.lock();
        state.gates.iter().map(|gate| (gate.name.clone(), gate.taken, gate.length)).collect()
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
    /// `None`: it has no limit, and never had one.
    fn gate(&self, name: &str) -> Option<usize> {
        self.gates.iter().position(|gate| gate.name == name)
    }

    fn renew(&mut self, configs: &[Config]) -> Vec<Waker> {
        for gate in &mut self.gates {
            gate.limit = usize::MAX; // unless it has one still
        }
        for config in configs {
            let Some(limit) = config.max_concurrent.map(NonZeroUsize::get) else { continue };
            let bound = config.queue.unwrap_or(QUEUE);
            let kept = config.reserve.unwrap_or_else(|| usize::from(limit >= MANY)).min(limit - 1);
            match self.gates.iter_mut().find(|gate| gate.name == config.name) {
                Some(gate) => (gate.limit, gate.bound, gate.reserve.slots) = (limit, bound, kept),
                None => self.gates.push(Gate {
                    name: config.name.clone(),
                    limit,
                    bound,
                    taken: 0,
                    length: 0,
                    line: Line::default(),
                    reserve: Reserve::new(kept),
                    held: None,
                }),
            }
        }
        self.let_all_in()
    }

    /// Lets in whoever waits where there is room for it; gives those who are to be woken.
    fn let_all_in(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for gate in 0..self.gates.len() {
            while self.let_in(gate, &mut wakers) {}
        }
        wakers
    }

    /// Stands in every line that has room. Without any: about how long it takes until one has.
    fn stand(&mut self, mut gates: Vec<usize>, ticket: &Ticket) -> Result<Number, Duration> {
        let wait = gates.iter().filter_map(|gate| self.gates.get(*gate)).map(Gate::pace).min();
        gates.retain(|gate| self.gates.get(*gate).is_some_and(|gate| gate.length < gate.bound));
        if gates.is_empty() {
            return Err(wait.unwrap_or_default());
        }
        let number = self.next;
        self.next += 1;
        let mut place = usize::MAX;
        for gate in &gates {
            if let Some(gate) = self.gates.get_mut(*gate) {
                gate.line.push(number, ticket.key.as_ref(), ticket.weight);
                gate.length += 1;
                place = place.min(gate.length);
            }
        }
        self.moved = true;
        let key = ticket.key.clone();
        self.waiting.insert(number, Guest { key, gates, place, granted: None, waker: None });
        Ok(number)
    }

    /// Lets the next ones in. They are woken by the caller, without the lock.
    fn release(&mut self, gate: usize, key: &Name, held: Option<Duration>) -> Vec<Waker> {
        if let Some(free) = self.gates.get_mut(gate) {
            free.taken -= 1;
            free.reserve.leaves(key);
            if let Some(held) = held {
                free.held = Some(free.held.map_or(held, |before| (before * 7 + held) / 8));
            }
        }
        let mut wakers = Vec::new();
        while self.let_in(gate, &mut wakers) {}
        wakers
    }

    /// Gives a slot to the next in line, and notes who is to be woken. `false`: there is none for anybody who waits.
    fn let_in(&mut self, gate: usize, wakers: &mut Vec<Waker>) -> bool {
        let Some(number) = self.gates.get_mut(gate).and_then(Gate::give) else { return false };
        // It is there: whoever goes away steps out of every line.
        let Some(guest) = self.waiting.get_mut(&number) else { return false };
        guest.granted = Some(gate);
        wakers.extend(guest.waker.take());
        let gates = std::mem::take(&mut guest.gates);
        self.step_out(number, &gates);
        true
    }

    fn step_out(&mut self, number: Number, gates: &[usize]) {
        self.moved = true;
        for gate in gates {
            if let Some(gate) = self.gates.get_mut(*gate) {
                gate.line.remove(number);
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
            for (place, number) in (1..).zip(gate.line.order()) {
                if let Some(guest) = self.waiting.get_mut(&number) {
                    guest.place = guest.place.min(place);
                }
            }
        }
    }
}

/// How often places are counted at most.
const COUNT: Duration = Duration::from_millis(100);

impl Gate {
    fn has_room(&self, key: &Name, now: Instant) -> bool {
        self.reserve.lets_in(key, self.limit.saturating_sub(self.taken), now)
    }

    fn take(&mut self, key: &Name) {
        self.taken += 1;
        self.reserve.takes(key);
    }

    /// Gives a slot to the next in line who may have one.
    fn give(&mut self) -> Option<Number> {
        let (now, free, reserve) = (Instant::now(), self.limit.saturating_sub(self.taken), &self.reserve);
        let (number, key) = self.line.pop_of(|key| reserve.lets_in(key, free, now))?;
        self.take(&key);
        Some(number)
    }

    /// About how long it takes until as many were let in as wait.
    fn pace(&self) -> Duration {
        let held = self.held.unwrap_or(Duration::from_secs(5));
        let ahead = u32::try_from(self.length + 1).unwrap_or(u32::MAX);
        held.saturating_mul(ahead) / u32::try_from(self.limit).unwrap_or(u32::MAX)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.slots.release(self.gate, &self.key, Some(self.since.elapsed()));
    }
}
