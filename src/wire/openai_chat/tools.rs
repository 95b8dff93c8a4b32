//! Tool calls in a stream of chunks: which fragment belongs to which call.

use std::collections::HashMap;

use serde::Deserialize;

use crate::wire::codec::DecodeError;
use crate::wire::event::Event;
use crate::wire::json::{Field, Text};
use crate::wire::lenient::lenient;
use crate::wire::openai_chat::slot::{Slot, State};

lenient! {
    /// A fragment of a tool call; `custom` is one in free text.
    struct Call<'a> {
        index, id, function: Option<Function<'a>>, custom: Option<Custom<'a>>, extra_content,
    } without ["type"]
}

lenient! {
    struct Function<'a> { name, arguments } without []
}

lenient! {
    struct Custom<'a> { name, input } without []
}

impl<'a> From<Function<'a>> for Call<'a> {
    /// The one call of the API of before 2024, which has no id.
    fn from(function: Function<'a>) -> Self {
        Self { function: Some(function), ..Self::default() }
    }
}

impl<'a> Call<'a> {
    /// The name, and the text of the arguments or of the free input.
    fn said(&self) -> (Option<Text<'a>>, Option<Text<'a>>) {
        let (name, arguments) = match (&self.function, &self.custom) {
            (None, Some(custom)) => (custom.name, custom.input),
            (Some(function), _) => (function.name, function.arguments),
            (None, None) => Default::default(),
        };
        // Some servers send an object where a string belongs.
        let arguments = arguments.text().or_else(|| arguments.object().map(Text::Plain));
        (name.some_text(), arguments.filter(|text| !text.is_empty()))
    }
}

/// The calls of an answer.
#[derive(Debug)]
pub(super) struct Tools {
    seed: String,
    slots: Vec<Slot>,
    /// The last call of each index, and of each id.
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
    /// Calls that are not closed, in order.
    open: Vec<usize>,
    called: bool,
    /// Bytes that wait for a name.
    held: usize,
}

impl Tools {
    pub(super) fn new(seed: &str) -> Self {
        Self {
            seed: seed.into(),
            slots: Vec::new(),
            by_index: HashMap::new(),
            by_id: HashMap::new(),
            open: Vec::new(),
            called: false,
            held: 0,
        }
    }

    /// Was there a call at all?
    pub(super) fn called(&self) -> bool {
        self.called
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
        let (name, arguments) = call.said();
        let inside = call.function.as_ref().and_then(|function| function.unknown.as_ref());
        for name in [call.unknown.as_ref(), inside].into_iter().flatten() {
            emit(Event::Aside { name });
        }
        let known = self.slots.len();
        let at = self.slot(call, name);
        if at == known {
            // Arguments that are a whole object cannot go on: the calls before need not be kept open for what may come.
            self.close_where(next, |slot| slot.balance.is_done(), emit);
        }
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        if slot.id.is_none() {
            slot.id = call.id.some_text().map(|id| id.plain().into_owned());
            self.by_id.extend(slot.id.clone().map(|id| (id, at)));
        }
        slot.free_text |= call.custom.is_some();
        if let Some(name) = name {
            self.called = true;
            slot.name(name);
        }
        if !call.extra_content.is_absent() {
            match signature_of(call.extra_content) {
                Some(data) => slot.signature = Some(data),
                None => emit(Event::Aside { name: "extra_content" }),
            }
        }
        let Some(text) = arguments else { return Ok(()) };
        if slot.state == State::Closed {
            if text.plain().trim().is_empty() {
                return Ok(());
            }
            return Err(DecodeError::Order("arguments came for a tool call that was complete"));
        }
        if !slot.free_text {
            slot.balance.read(text);
        }
        if slot.state == State::Waiting && slot.name.is_empty() {
            self.held += slot.keep(text);
            return Ok(());
        }
        self.held -= slot.open(&self.seed, at, next, emit);
        slot.pass(text, emit);
        Ok(())
    }

    /// Closes the calls that are complete: something else follows. Some models say a few words in the middle of a call.
    pub(super) fn close_whole(&mut self, next: &mut u32, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_where(next, |slot| slot.balance.is_whole(), emit);
    }

    /// Closes every call: the answer is finished.
    pub(super) fn close(&mut self, next: &mut u32, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_where(next, |_| true, emit);
    }

    fn close_where(&mut self, next: &mut u32, fits: impl Fn(&Slot) -> bool, emit: &mut dyn FnMut(Event<'_>)) {
        let Self { slots, seed, held, .. } = self;
        self.open.retain(|at| match slots.get_mut(*at) {
            Some(slot) if !fits(slot) => true,
            Some(slot) => {
                *held -= slot.close(seed, *at, next, emit);
                false
            }
            None => false,
        });
    }

    /// Where the fragment belongs: by index, without one by id, without both to the last call. A new id on a known index is
    /// another call (some servers number every call 0), and so is a name where the last call is complete or has its own.
    fn slot(&mut self, call: &Call<'_>, name: Option<Text<'_>>) -> usize {
        let index = call.index.whole();
        let id = call.id.some_text().map(Text::plain);
        let found = match (index, &id) {
            (Some(index), id) => self.by_index.get(&index).copied().filter(|&at| {
                let known = self.slots.get(at);
                let known_id = known.and_then(|slot| slot.id.as_deref());
                let over = || known.is_some_and(|slot| slot.balance.is_done());
                match (id, known_id) {
                    (Some(id), Some(known_id)) => id == known_id,
                    (Some(_), None) | (None, Some(_)) => true,
                    (None, None) => name.is_none() || !over(),
                }
            }),
            (None, Some(id)) => self.by_id.get(id.as_ref()).copied(),
            (None, None) => {
                let last = self.slots.len().checked_sub(1);
                let named =
                    || last.and_then(|at| self.slots.get(at)).is_some_and(|slot| !slot.name.is_empty());
                last.filter(|_| name.is_none() || !named())
            }
        };
        found.unwrap_or_else(|| {
            let at = self.slots.len();
            self.slots.push(Slot::default());
            self.by_index.extend(index.map(|index| (index, at)));
            self.open.push(at);
            at
        })
    }
}

/// Google's signature of a call.
fn signature_of(extra: Field<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Extra<'a> {
        #[serde(borrow, default)]
        google: Field<'a>,
    }
    #[derive(Deserialize)]
    struct Google<'a> {
        #[serde(borrow, default)]
        thought_signature: Field<'a>,
    }
    let google: Google<'_> = extra.read::<Extra<'_>>()?.google.read()?;
    Some(google.thought_signature.some_text()?.plain().into_owned())
}

/// About what a call costs.
const SLOT: usize = 192;
