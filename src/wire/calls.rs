//! The ids of tool calls in a history, for dialects that insist on them: those that are missing are made, those that a dialect
//! does not take are told otherwise, those that were changed for the client are told again as their backend gave them, and results
//! are given to the call they answer.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::wire::call_ids;
use crate::wire::json::Text;
use crate::wire::request::{Part, ToolCall, ToolResult};

/// The tool calls that wait for their results.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    /// The ids of the calls as they were told, in order; `None` has its result.
    open: Vec<Option<Cow<'a, str>>>,
    /// Behind the calls that have theirs.
    oldest: usize,
    /// The places of the calls with an id of their own, and of those of a tool.
    by_id: HashMap<Cow<'a, str>, VecDeque<usize>>,
    by_tool: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// The ids that the client gave: none that is made may be one of them.
    given: HashSet<Cow<'a, str>>,
    /// Is none longer than [`call_ids::LIMIT`]?
    short: bool,
    /// What an id must look like where every call must have one of its own.
    lawful: Option<fn(&str) -> String>,
    /// The ids that were told already, where no two may be the same.
    told: HashSet<Cow<'a, str>>,
    made: usize,
}

impl<'a> Calls<'a> {
    /// For a history of these parts, whose own ids are told as they are.
    pub(super) fn new<'p>(parts: impl Iterator<Item = &'p Part<'a>>) -> Self
    where
        'a: 'p,
    {
        let given = parts.filter_map(|part| if let Part::ToolCall(call) = part { call.id } else { None });
        let given = given.map(Text::plain).map(call_ids::own);
        Self {
            open: Vec::new(),
            oldest: 0,
            by_id: HashMap::new(),
            by_tool: HashMap::new(),
            given: given.collect(),
            short: false,
            lawful: None,
            told: HashSet::new(),
            made: 0,
        }
    }

    /// The same where no id may be longer than [`call_ids::LIMIT`].
    pub(super) fn short<'p>(parts: impl Iterator<Item = &'p Part<'a>>) -> Self
    where
        'a: 'p,
    {
        Self { short: true, ..Self::new(parts) }
    }

    /// The same where ids must have only certain letters, and no two calls of a history the same one.
    pub(super) fn distinct<'p>(parts: impl Iterator<Item = &'p Part<'a>>, lawful: fn(&str) -> String) -> Self
    where
        'a: 'p,
    {
        Self { lawful: Some(lawful), ..Self::new(parts) }
    }

    /// The id of a call. What is made goes by its place in the history, so that the same history always has the same ids.
    pub(super) fn open(&mut self, call: &ToolCall<'a>) -> Cow<'a, str> {
        let own = call.id.map(Text::plain);
        let told = match (own.clone().map(call_ids::own), self.lawful) {
            (None, _) => self.make("call"),
            (Some(id), None) => self.shortened(id),
            (Some(id), Some(lawful)) => self.distinguish(&id, lawful(&id)),
        };
        if self.lawful.is_some() {
            self.told.insert(told.clone());
        }
        let at = self.open.len();
        self.open.push(Some(told.clone()));
        if let Some(id) = own {
            self.by_id.entry(id).or_default().push_back(at);
        }
        self.by_tool.entry(call.name.plain()).or_default().push_back(at);
        told
    }

    /// The id that a result answers: that of its own call, else of the oldest open call of the tool, else of the oldest open call.
    pub(super) fn close(&mut self, result: &ToolResult<'a>) -> Cow<'a, str> {
        if let Some(id) = result.call_id.map(Text::plain) {
            return match (take_first(self.by_id.get_mut(&id), &mut self.open), self.lawful) {
                (Some(told), _) => told,
                (None, Some(lawful)) => Cow::Owned(lawful(&call_ids::own(id))),
                (None, None) => self.shortened(call_ids::own(id)),
            };
        }
        let named =
            result.tool.and_then(|tool| take_first(self.by_tool.get_mut(&tool.plain()), &mut self.open));
        named.or_else(|| self.take_oldest()).unwrap_or(Cow::Borrowed("call_unknown"))
    }

    fn shortened(&self, id: Cow<'a, str>) -> Cow<'a, str> {
        if self.short && id.len() > call_ids::LIMIT {
            Cow::Owned(call_ids::short(&id).into_owned())
        } else {
            id
        }
    }

    fn take_oldest(&mut self) -> Option<Cow<'a, str>> {
        while let Some(call) = self.open.get_mut(self.oldest) {
            self.oldest += 1;
            if let Some(told) = call.take() {
                return Some(told);
            }
        }
        None
    }

    /// The lawful form of an id, unless an earlier call has it, or a later one may have brought it.
    fn distinguish(&mut self, id: &str, lawful: String) -> Cow<'a, str> {
        let free =
            !self.told.contains(lawful.as_str()) && (lawful == id || !self.given.contains(lawful.as_str()));
        if free { Cow::Owned(lawful) } else { self.make(&lawful) }
    }

    fn make(&mut self, start: &str) -> Cow<'a, str> {
        loop {
            self.made += 1;
            let id = format!("{start}_{}", self.made);
            if !self.given.contains(id.as_str()) && !self.told.contains(id.as_str()) {
                return Cow::Owned(id);
            }
        }
    }
}

/// The first of these calls that is open still. Each place is looked at once, however long the history is.
fn take_first<'a>(
    places: Option<&mut VecDeque<usize>>,
    open: &mut [Option<Cow<'a, str>>],
) -> Option<Cow<'a, str>> {
    let places = places?;
    while let Some(at) = places.pop_front() {
        if let Some(told) = open.get_mut(at).and_then(Option::take) {
            return Some(told);
        }
    }
    None
}
