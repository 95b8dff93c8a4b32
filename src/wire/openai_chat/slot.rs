//! One tool call of a stream of chunks.

use bytes::BytesMut;

use crate::wire::balance::Balance;
use crate::wire::call_ids;
use crate::wire::event::{Block, Event};
use crate::wire::json::Text;

/// A call, from its first fragment on.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) id: Option<String>,
    /// It may come in fragments: what came before the first argument.
    pub(super) name: String,
    pub(super) state: State,
    /// Its arguments are free text.
    pub(super) free_text: bool,
    /// How far the arguments are one JSON value.
    pub(super) balance: Balance,
    /// What Google wants back with the call.
    pub(super) signature: Option<String>,
    /// Arguments that came before the name, escaped.
    early: BytesMut,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Its name is not complete before its arguments come.
    #[default]
    Waiting,
    Open(u32),
    Closed,
}

impl Slot {
    /// A fragment of the name. Some servers tell the whole name with every fragment of the call.
    pub(super) fn name(&mut self, fragment: Text<'_>) {
        let fragment = fragment.plain();
        if self.state == State::Waiting && self.name != fragment {
            self.name.push_str(&fragment);
        }
    }

    /// Keeps arguments for later; gives the bytes that they take.
    pub(super) fn keep(&mut self, text: Text<'_>) -> usize {
        let before = self.early.len();
        text.write(&mut self.early);
        self.early.len() - before
    }

    /// Opens the call, if it is not; gives the bytes that are no longer kept.
    pub(super) fn open(
        &mut self,
        seed: &str,
        at: usize,
        next: &mut u32,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> usize {
        if self.state != State::Waiting {
            return 0;
        }
        let made;
        let mut id = match &self.id {
            Some(id) => id,
            None => {
                made = format!("call_{seed}_{at}");
                &made
            }
        };
        let signed;
        if let Some(data) = &self.signature {
            signed = call_ids::signed(id, data);
            id = &signed;
        }
        let block = Block::ToolCall { id: Text::Plain(id), name: Text::Plain(&self.name) };
        emit(Event::Open { index: *next, block });
        let index = *next;
        self.state = State::Open(index);
        *next += 1;
        if self.free_text {
            emit(Event::Delta { index, text: Text::Plain("{\"input\":\"") });
        }
        let early = std::mem::take(&mut self.early);
        if let (false, Ok(text)) = (early.is_empty(), std::str::from_utf8(&early)) {
            self.pass(Text::Escaped(text), emit);
        }
        early.len()
    }

    /// Passes arguments on.
    pub(super) fn pass(&mut self, text: Text<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let State::Open(index) = self.state else { return };
        if !self.free_text {
            return emit(Event::Delta { index, text });
        }
        let mut inside = BytesMut::new();
        text.write(&mut inside);
        emit(Event::Delta { index, text: Text::Plain(std::str::from_utf8(&inside).unwrap_or_default()) });
    }

    /// Ends the call; gives the bytes that are no longer kept. One without a name cannot be told.
    pub(super) fn close(
        &mut self,
        seed: &str,
        at: usize,
        next: &mut u32,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> usize {
        let mut freed = 0;
        if self.state == State::Waiting && !self.name.is_empty() {
            freed = self.open(seed, at, next, emit);
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(index) => {
                if self.free_text {
                    emit(Event::Delta { index, text: Text::Plain("\"}") });
                }
                emit(Event::Close { index });
            }
            State::Waiting if self.id.is_some() || !self.early.is_empty() => {
                emit(Event::Other { name: "a tool call without a name", awaits_client: true });
            }
            State::Waiting | State::Closed => {}
        }
        freed
    }
}
