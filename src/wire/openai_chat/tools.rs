//! Tool calls in a stream of chunks: which fragment belongs to which call.

use std::collections::{BTreeSet, HashMap};

use bytes::BytesMut;
use serde::Deserialize;

use crate::wire::balance::Balance;
use crate::wire::codec::DecodeError;
use crate::wire::event::{Block, Event};
use crate::wire::json::{Field, Text};

/// A fragment of a tool call.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    index: Field<'a>,
    #[serde(borrow, default)]
    id: Field<'a>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    arguments: Field<'a>,
}

/// The calls of an answer.
#[derive(Debug)]
pub(super) struct Tools {
    seed: String,
    slots: Vec<Slot>,
    /// The last call of each index, and of each id.
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    unnamed: BTreeSet<usize>,
    open: Vec<usize>,
    /// Bytes that wait for a name.
    held: usize,
}

#[derive(Debug, Default)]
struct Slot {
    id: Option<String>,
    state: State,
    /// Arguments that came before the name, escaped.
    early: BytesMut,
    /// How far the arguments are one JSON value.
    balance: Balance,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The name has not come yet.
    #[default]
    Unnamed,
    Open(u32),
    Closed,
}

impl Tools {
    pub(super) fn new(seed: &str) -> Self {
        Self {
            seed: seed.into(),
            slots: Vec::new(),
            by_index: HashMap::new(),
            by_id: HashMap::new(),
            unnamed: BTreeSet::new(),
            open: Vec::new(),
            held: 0,
        }
    }

    /// Was there a call at all?
    pub(super) fn called(&self) -> bool {
        self.unnamed.len() < self.slots.len()
    }

    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.held + self.slots.len() * SLOT
    }

    /// Reads a fragment; `next` counts blocks.
    pub(super) fn read(
        &mut self,
        call: &Call<'_>,
        next: &mut u32,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), DecodeError> {
        let none = Function::default();
        let function = call.function.as_ref().unwrap_or(&none);
        let known = self.slots.len();
        let at = self.slot(call, function);
        if at == known {
            // Arguments that are a whole object cannot go on: the calls before need not be kept open for what may come.
            self.close_whole(emit);
        }
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        if slot.id.is_none() {
            slot.id = call.id.some_text().map(|id| id.plain().into_owned());
            self.by_id.extend(slot.id.clone().map(|id| (id, at)));
        }
        let arguments = function.arguments;
        // Some servers send an object where a string belongs.
        let arguments =
            arguments.text().or_else(|| arguments.object().map(Text::Plain)).filter(|text| !text.is_empty());
        if let Some(text) = arguments {
            slot.balance.read(text);
        }
        if slot.state == State::Unnamed {
            let Some(name) = function.name.some_text() else {
                if let Some(text) = arguments {
                    let before = slot.early.len();
                    text.write(&mut slot.early);
                    self.held += slot.early.len() - before;
                }
                return Ok(());
            };
            let id = slot.id.clone().unwrap_or_else(|| format!("call_{}_{at}", self.seed));
            emit(Event::Open { index: *next, block: Block::ToolCall { id: Text::Plain(&id), name } });
            slot.state = State::Open(*next);
            self.unnamed.remove(&at);
            self.open.push(at);
            let early = std::mem::take(&mut slot.early);
            self.held -= early.len();
            if let (false, Ok(text)) = (early.is_empty(), std::str::from_utf8(&early)) {
                emit(Event::Delta { index: *next, text: Text::Escaped(text) });
            }
            *next += 1;
        }
        match (slot.state, arguments) {
            (State::Open(index), Some(text)) => emit(Event::Delta { index, text }),
            (State::Closed, Some(text)) if !text.plain().trim().is_empty() => {
                return Err(DecodeError::Order("arguments came for a tool call that was complete"));
            }
            (State::Open(_) | State::Closed | State::Unnamed, _) => {}
        }
        Ok(())
    }

    /// Closes the calls that are complete: something else follows. Some models say a few words in the middle of a call.
    pub(super) fn close_whole(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_where(|slot| slot.balance.is_whole(), emit);
    }

    /// Closes every call: the answer is finished.
    pub(super) fn close(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_where(|_| true, emit);
    }

    fn close_where(&mut self, fits: impl Fn(&Slot) -> bool, emit: &mut dyn FnMut(Event<'_>)) {
        let slots = &mut self.slots;
        self.open.retain(|at| match slots.get_mut(*at) {
            Some(slot) if !fits(slot) => true,
            Some(slot) => {
                if let State::Open(index) = std::mem::replace(&mut slot.state, State::Closed) {
                    emit(Event::Close { index });
                }
                false
            }
            None => false,
        });
    }

    /// Where the fragment belongs: by index, without one by id, without both to the last call. A new id on a known index is
    /// another call (some servers number every call 0), and so is a name where the last call has one.
    fn slot(&mut self, call: &Call<'_>, function: &Function<'_>) -> usize {
        let index = call.index.whole();
        let id = call.id.some_text().map(Text::plain);
        let found = match (index, &id) {
            (Some(index), id) => self.by_index.get(&index).copied().filter(|&at| {
                let known = self.slots.get(at).and_then(|slot| slot.id.as_deref());
                id.is_none() || known.is_none() || known == id.as_deref()
            }),
            (None, Some(id)) => self.by_id.get(id.as_ref()).copied(),
            (None, None) if function.name.some_text().is_some() => self.unnamed.last().copied(),
            (None, None) => self.slots.len().checked_sub(1),
        };
        found.unwrap_or_else(|| {
            let at = self.slots.len();
            self.slots.push(Slot::default());
            self.by_index.extend(index.map(|index| (index, at)));
            self.unnamed.insert(at);
            at
        })
    }
}

/// About what a call costs.
const SLOT: usize = 128;
