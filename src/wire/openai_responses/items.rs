//! The items of a response as blocks: which are open, and what was said of each.

use std::collections::HashMap;

use crate::wire::citation::Citation;
use crate::wire::event::{Block, Event};
use crate::wire::json::{Field, Text};
use crate::wire::media::{Image, data_url};
use crate::wire::members::named;
use crate::wire::openai_responses::known::KnownItems;
use crate::wire::openai_responses::line::{Item, Part, Place, PlaceKind};
use crate::wire::seal::{Seal, Sealed};
use crate::wire::sources::Sources;

/// All items so far.
#[derive(Debug)]
pub(super) struct Items {
    seed: String,
    known: KnownItems,
    /// In the order of opening: a block's index is its place.
    blocks: Vec<Known>,
    by_place: HashMap<Place, usize>,
    open: Vec<usize>,
    called: bool,
    /// Calls that the client has to answer and that no block can tell, unless the vendor does so itself.
    pending: Vec<String>,
    /// The server tells no places, and ends its items with the response.
    unplaced: bool,
    /// What searches found.
    sources: Sources,
    /// A text that is kept open while there are pages to be told at its end.
    last_text: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    index: u32,
    open: bool,
    /// Letters of its text that have come.
    spoken: usize,
    /// A call in free text.
    free_text: bool,
    /// A text of the answer, which may lean on pages.
    is_text: bool,
}

impl Items {
    pub(super) fn new(seed: &str) -> Self {
        Self {
            seed: seed.into(),
            known: KnownItems::default(),
            blocks: Vec::new(),
            by_place: HashMap::new(),
            open: Vec::new(),
            called: false,
            pending: Vec::new(),
            unplaced: false,
            sources: Sources::default(),
            last_text: None,
        }
    }

    /// The item that an event is about.
    pub(super) fn of(&mut self, place: Field<'_>, id: Field<'_>) -> usize {
        let place = place.whole();
        self.unplaced |= place.is_none();
        self.known.of(place, id)
    }

    /// Was a tool called?
    pub(super) fn called(&self) -> bool {
        self.called
    }

    /// Was anything said of the item?
    fn has(&self, item: usize) -> bool {
        self.known.is_said(item)
    }

    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.blocks.len() * KNOWN + self.known.held() + self.sources.held()
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
        let is_done = self.known.is_done(place.item);
        let index = match self.at(place) {
            Some(known) if known.open => {
                known.spoken += 1;
                known.index
            }
            Some(_) if is_done => return, // closed already
            Some(_) | None => {
                self.close_where(|known| known.place.item == place.item, emit);
                self.open(place, block, 1, emit)
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
        if self.at(place).is_none_or(|known| known.open && known.spoken == 0) {
            self.delta(place, block, text, emit);
        }
    }

    /// What a text that is not complete leans on.
    pub(super) fn cite(&mut self, place: Place, annotation: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let known = self.blocks.iter().find(|known| known.place == place && known.open);
        if let Some((known, citation)) = known.zip(Citation::read(annotation)) {
            self.sources.cited(citation.url);
            emit(Event::Citation { index: known.index, citation });
        }
    }

    /// A piece of a call's arguments, or all of them: those count if no more than an empty object came before.
    pub(super) fn arguments(
        &mut self,
        item: usize,
        arguments: Field<'_>,
        whole: bool,
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        let Some(known) = self.at(Place::call(item)).filter(|known| known.open) else {
            return;
        };
        let (Text::Escaped(inside) | Text::Plain(inside)) = arguments.text().unwrap_or(Text::Plain(""));
        let said_before = whole && (known.spoken > EMPTY || known.spoken >= inside.len());
        if inside.is_empty() || said_before {
            return;
        }
        known.spoken += inside.len();
        let (index, free_text) = (known.index, known.free_text);
        let text = Text::Escaped(inside);
        // In free text it is the inside of a string in the JSON of the arguments.
        emit(Event::Delta { index, text: if free_text { Text::Plain(inside) } else { text } });
    }

    pub(super) fn added(&mut self, place: Field<'_>, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let place = place.whole();
        self.unplaced |= place.is_none();
        let at = self.known.added(place, item.named());
        if is_call(&item.kind) && item.name.some_text().is_some() && !self.has(at) {
            self.open_call(at, item, emit);
        }
    }

    pub(super) fn done(&mut self, place: Field<'_>, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let at = self.known.done(place.whole(), item.named());
        self.complete(at, item, emit);
    }

    fn complete(&mut self, at: usize, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        let own = matches!(&*item.kind, "function_call" | "custom_tool_call" | "message" | "reasoning");
        if let Some(name) = item.unknown.as_ref().filter(|_| own) {
            emit(Event::Aside { name });
        }
        match &*item.kind {
            "function_call" | "custom_tool_call" => {
                if !self.has(at) {
                    self.open_call(at, item, emit);
                }
                let free_text = &*item.kind == "custom_tool_call";
                self.arguments(at, if free_text { item.input } else { item.arguments }, true, emit);
            }
            "message" => {
                let spoken = self.has(at);
                for (number, part) in item.content.iter().flatten().enumerate().filter(|_| !spoken) {
                    let place = Place::part(at, u64::try_from(number).unwrap_or(u64::MAX));
                    match &*part.kind {
                        "output_text" | "text" => {
                            self.say(place, Block::Text, part.text, emit);
                            for annotation in part.annotations.read::<Vec<Field<'_>>>().unwrap_or_default() {
                                self.cite(place, annotation, emit);
                            }
                        }
                        "refusal" => self.say(place, Block::Refusal, part.refusal, emit),
                        name => emit(Event::Other { name, awaits_client: false }),
                    }
                }
            }
            "reasoning" => self.reasoning_done(at, item, emit),
            "image_generation_call" if item.result.some_text().is_some() => self.picture(at, item, emit),
            "web_search_call" => {
                let [sources] = named(item.action, ["sources"], |_| {}).unwrap_or_default();
                self.sources.add_all(sources);
                self.foreign(&item.kind, emit);
            }
            name => self.foreign(name, emit),
        }
        self.close_where(|known| known.place.item == at, emit);
    }

    /// What stands in an item that is complete, and was not said before.
    fn say(&mut self, place: Place, block: Block<'_>, text: Field<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(text) = text.some_text() {
            self.close_where(|known| known.place.item == place.item, emit);
            let index = self.open(place, block, 1, emit);
            emit(Event::Delta { index, text });
        }
    }

    /// What the vendor's own tool has drawn.
    fn picture(&mut self, at: usize, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(base64) = item.result.some_text().filter(|_| !self.has(at)) {
            let media_type = item.output_format.string().map(|format| format!("image/{format}"));
            let url = data_url(&Image::Data { media_type, base64 });
            self.open(Place::part(at, 0), Block::Picture(Text::Escaped(&url)), 1, emit);
        }
    }

    /// Tools that the vendor runs itself, and calls that have no block.
    fn foreign(&mut self, name: &str, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(call) = name.strip_suffix("_output") {
            self.pending.retain(|pending| pending != call);
        } else if AWAITED.contains(&name) {
            self.pending.push(name.to_owned());
        }
        emit(Event::Other { name, awaits_client: false });
    }

    fn reasoning_done(&mut self, at: usize, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        if !self.has(at) {
            let text_of = |part: &Part<'_>| !part.text.is_absent();
            let raw = item.content.iter().flatten().filter(|part| text_of(part));
            let summary = item.summary.iter().flatten().filter(|part| text_of(part));
            // one of both: the summary is there for clients that do not get the raw text
            let parts: Vec<&Part<'_>> = raw.collect();
            let parts = if parts.is_empty() { summary.collect() } else { parts };
            for (number, part) in parts.into_iter().enumerate() {
                let place = Place::part(at, u64::try_from(number).unwrap_or(u64::MAX));
                self.say(place, Block::Reasoning, part.text, emit);
            }
        }
        let Some(data) = item.encrypted_content.some_text() else { return };
        let sealed = Sealed::read(data, Seal::Encrypted);
        let open = self.open.iter().rev().filter_map(|open| self.blocks.get(*open));
        match open.into_iter().find(|known| known.place.item == at) {
            Some(known) => emit(Event::Signature { index: known.index, sealed }),
            None => {
                self.open(Place::part(at, 0), Block::Redacted(sealed), 1, emit);
            }
        }
    }

    fn open_call(&mut self, at: usize, item: &Item<'_>, emit: &mut dyn FnMut(Event<'_>)) {
        self.called = true;
        let made;
        let id = match item.call_id.some_text() {
            Some(id) => id,
            None => {
                made = format!("call_{}_{at}", self.seed);
                Text::Plain(&made)
            }
        };
        let Some(name) = item.name.some_text() else {
            return emit(Event::Other { name: "a tool call without a name", awaits_client: true });
        };
        let index = self.open(Place::call(at), Block::ToolCall { id, name }, 0, emit);
        if &*item.kind == "custom_tool_call" {
            emit(Event::Delta { index, text: Text::Plain("{\"input\":\"") });
            if let Some(known) = self.blocks.last_mut() {
                known.free_text = true;
            }
        }
    }

    fn open(
        &mut self,
        place: Place,
        block: Block<'_>,
        spoken: usize,
        emit: &mut dyn FnMut(Event<'_>),
    ) -> u32 {
        if self.unplaced {
            // Its texts are not ended before the response is, and what comes next would have to wait for that.
            self.close_where(
                |known| known.place.item != place.item && known.place.kind != PlaceKind::Call,
                emit,
            );
        }
        let at = self.blocks.len();
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let is_text = matches!(block, Block::Text);
        self.blocks.push(Known { place, index, open: true, spoken, free_text: false, is_text });
        self.by_place.insert(place, at);
        self.known.said(place.item);
        self.open.push(at);
        if let Some(index) = self.last_text.take() {
            emit(Event::Close { index });
        }
        emit(Event::Open { index, block });
        index
    }

    /// The last event: what stands in its output and was not said before is said, and what is still open is closed.
    pub(super) fn end(&mut self, output: &[Item<'_>], emit: &mut dyn FnMut(Event<'_>)) {
        for item in output {
            self.known.mark(item.named());
        }
        for item in output {
            if self.known.matched(item.named()).is_none() {
                let at = self.known.done(None, item.named());
                self.complete(at, item, emit);
            }
        }
        self.close_where(|_| true, emit);
        if let Some(index) = self.last_text.take() {
            self.sources.tell(index, emit);
            emit(Event::Close { index });
        }
        for name in self.pending.drain(..) {
            emit(Event::Other { name: &name, awaits_client: true });
        }
    }

    fn close_where(&mut self, fits: impl Fn(&Known) -> bool, emit: &mut dyn FnMut(Event<'_>)) {
        let Self { blocks, sources, last_text, .. } = self;
        self.open.retain(|at| match blocks.get_mut(*at) {
            Some(known) if !fits(known) => true,
            Some(known) => {
                known.open = false;
                if known.free_text {
                    emit(Event::Delta { index: known.index, text: Text::Plain("\"}") });
                }
                let closed = if known.is_text && !sources.is_empty() {
                    last_text.replace(known.index)
                } else {
                    Some(known.index)
                };
                if let Some(index) = closed {
                    emit(Event::Close { index });
                }
                false
            }
            None => false,
        });
    }
}

fn is_call(kind: &str) -> bool {
    matches!(kind, "function_call" | "custom_tool_call")
}

/// Calls that the client has to answer, and that are no calls of functions.
const AWAITED: [&str; 5] =
    ["mcp_approval_request", "computer_call", "shell_call", "local_shell_call", "apply_patch_call"];
/// Letters of an empty object.
const EMPTY: usize = "{}".len();
/// About what a block costs.
const KNOWN: usize = 128;
