//! The items of a response as blocks: which are open, and what was said of each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use smallvec::SmallVec;

use crate::wire::citation::Citation;
use crate::wire::event::{Block, Event};
use crate::wire::json::{Field, Text};
use crate::wire::seal::{Seal, Sealed};

/// An item as it stands in an event. What only a whole one has may be absent.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    call_id: Field<'a>,
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    arguments: Field<'a>,
    #[serde(borrow, default)]
    content: Option<SmallVec<[Part<'a>; 1]>>,
    #[serde(borrow, default)]
    summary: Option<SmallVec<[Part<'a>; 1]>>,
    #[serde(borrow, default)]
    encrypted_content: Field<'a>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Field<'a>,
    #[serde(borrow, default)]
    refusal: Field<'a>,
}

/// A part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    item: u64,
    kind: PlaceKind,
    part: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PlaceKind {
    Content,
    Summary,
    Call,
}

impl Place {
    pub(super) fn content(item: u64, part: Field<'_>) -> Self {
        Self::part(item, part.whole().unwrap_or_default())
    }

    fn part(item: u64, part: u64) -> Self {
        Self { item, kind: PlaceKind::Content, part }
    }

    pub(super) fn summary(item: u64, part: Field<'_>) -> Self {
        Self { item, kind: PlaceKind::Summary, part: part.whole().unwrap_or_default() }
    }

    fn call(item: u64) -> Self {
        Self { item, kind: PlaceKind::Call, part: 0 }
    }
}

/// All items so far.
#[derive(Debug)]
pub(super) struct Items {
    seed: String,
    /// In the order of opening: a block's index is its place.
    blocks: Vec<Known>,
    by_place: HashMap<Place, usize>,
    /// The items of which anything was said.
    said: HashSet<u64>,
    open: Vec<usize>,
    called: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    index: u32,
    open: bool,
    /// Something of its text has come.
    spoken: bool,
}

impl Items {
    pub(super) fn new(seed: &str) -> Self {
        Self {
            seed: seed.into(),
            blocks: Vec::new(),
            by_place: HashMap::new(),
            said: HashSet::new(),
            open: Vec::new(),
            called: false,
        }
    }

    /// Was a tool called?
    pub(super) fn called(&self) -> bool {
        self.called
    }

    /// Was anything said of the item?
    pub(super) fn has(&self, item: u64) -> bool {
        self.said.contains(&item)
    }

    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.blocks.len() * KNOWN
    }

    fn at(&mut self, place: Place) -> Option<&mut Known> {
        let at = self.by_place.get(&place)?;
        self.blocks.get_mut(*at)
    }

    /// A piece of a part's text. Another part of the same item ends the one before.
    pub(super) fn delta(
        &mut self,
        place: Place,
        block: Block<'_>,
        delta: Field<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        let Some(text) = delta.some_text() else { return };
        let index = match self.at(place) {
            Some(known) if known.open => {
                known.spoken = true;
                known.index
            }
            Some(_) => return, // closed already
            None => {
                self.close_where(|known| known.place.item == place.item, emit);
                self.open(place, block, true, emit)
            }
        };
        emit(Event::Delta { index, text });
    }

    /// The whole text of a part: counts if none of it came before.
    pub(super) fn rest(
        &mut self,
        place: Place,
        block: Block<'_>,
        text: Field<'_>,
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        if self.at(place).is_none_or(|known| known.open && !known.spoken) {
            self.delta(place, block, text, emit);
        }
    }

    /// What a text that is not complete leans on.
    pub(super) fn cite(&self, place: Place, annotation: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let known = self.blocks.iter().find(|known| known.place == place && known.open);
        if let Some((known, citation)) = known.zip(Citation::read(annotation)) {
            emit(Event::Citation { index: known.index, citation });
        }
    }

    /// A piece of a call's arguments, or all of them.
    pub(super) fn arguments(
        &mut self,
        item: u64,
        arguments: Field<'_>,
        whole: bool,
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        let place = Place::call(item);
        let Some(known) = self.at(place).filter(|known| known.open) else {
            return;
        };
        if let Some(text) = arguments.some_text().filter(|_| !(whole && known.spoken)) {
            known.spoken = true;
            emit(Event::Delta { index: known.index, text });
        }
    }

    pub(super) fn added(&mut self, at: u64, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        match item.kind.as_ref() {
            "function_call" if !self.has(at) => self.open_call(at, item, emit),
            "function_call" | "message" | "reasoning" => {}
            _ => emit(Event::Other), // tools that the vendor runs itself, and calls in free text
        }
    }

    pub(super) fn done(&mut self, at: u64, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        match item.kind.as_ref() {
            "function_call" => {
                if !self.has(at) {
                    self.open_call(at, item, emit);
                }
                self.arguments(at, item.arguments, true, emit);
            }
            "message" => {
                let spoken = self.has(at);
                for (number, part) in item.content.iter().flatten().enumerate().filter(|_| !spoken) {
                    let place = Place::part(at, u64::try_from(number).unwrap_or(u64::MAX));
                    match part.kind.as_ref() {
                        "output_text" => self.delta(place, Block::Text, part.text, emit),
                        "refusal" => self.delta(place, Block::Refusal, part.refusal, emit),
                        _ => {}
                    }
                }
            }
            "reasoning" => self.reasoning_done(at, item, emit),
            _ => {}
        }
        self.close_where(|known| known.place.item == at, emit);
    }

    fn reasoning_done(&mut self, at: u64, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if !self.has(at) {
            let text_of = |part: &Part<'_>| !part.text.is_absent();
            let raw = item.content.iter().flatten().filter(|part| text_of(part));
            let summary = item.summary.iter().flatten().filter(|part| text_of(part));
            // one of both: the summary is there for clients that do not get the raw text
            let parts: Vec<&Part<'_>> = raw.collect();
            let parts = if parts.is_empty() { summary.collect() } else { parts };
            for (number, part) in parts.into_iter().enumerate() {
                let place = Place::part(at, u64::try_from(number).unwrap_or(u64::MAX));
                self.delta(place, Block::Reasoning, part.text, emit);
            }
        }
        let Some(data) = item.encrypted_content.some_text() else { return };
        let sealed = Sealed::read(data, Seal::Encrypted);
        let open = self.open.iter().rev().filter_map(|open| self.blocks.get(*open));
        match open.into_iter().find(|known| known.place.item == at) {
            Some(known) => emit(Event::Signature { index: known.index, sealed }),
            None => {
                self.open(Place::part(at, 0), Block::Redacted(sealed), true, emit);
            }
        }
    }

    fn open_call(&mut self, at: u64, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.called = true;
        let made;
        let id = match item.call_id.some_text() {
            Some(id) => id,
            None => {
                made = format!("call_{}_{at}", self.seed);
                Text::Plain(&made)
            }
        };
        let name = item.name.text().unwrap_or(Text::Plain(""));
        self.open(Place::call(at), Block::ToolCall { id, name }, false, emit);
    }

    fn open(&mut self, place: Place, block: Block<'_>, spoken: bool, emit: &mut dyn FnMut(Event<'_>)) -> u32 {
        let at = self.blocks.len();
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        self.blocks.push(Known { place, index, open: true, spoken });
        self.by_place.entry(place).or_insert(at);
        self.said.insert(place.item);
        self.open.push(at);
        emit(Event::Open { index, block });
        index
    }

    /// Closes what is still open.
    pub(super) fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        self.close_where(|_| true, emit);
    }

    fn close_where(&mut self, fits: impl Fn(&Known) -> bool, emit: &mut dyn FnMut(Event<'_>)) {
        let blocks = &mut self.blocks;
        self.open.retain(|at| match blocks.get_mut(*at) {
            Some(known) if !fits(known) => true,
            Some(known) => {
                known.open = false;
                emit(Event::Close { index: known.index });
                false
            }
            None => false,
        });
    }
}

/// About what a block costs.
const KNOWN: usize = 128;
