//! The ids of tool calls in a history, for dialects that insist on them: those that are missing are made, those that a dialect
//! does not take are told otherwise, and results are given to the call they answer.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use crate::wire::json::Text;
use crate::wire::request::{Part, ToolCall, ToolResult};

/// The tool calls that wait for their results.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    open: VecDeque<Open<'a>>,
    /// The ids that the client gave: none that is made may be one of them.
    given: HashSet<Cow<'a, str>>,
    /// What an id must look like where every call must have one of its own.
    lawful: Option<fn(&str) -> String>,
    /// The ids that were told already, where no two may be the same.
    told: HashSet<Cow<'a, str>>,
    made: usize,
}

#[derive(Debug)]
struct Open<'a> {
    own: Option<Cow<'a, str>>,
    told: Cow<'a, str>,
    tool: Text<'a>,
}

impl<'a> Calls<'a> {
    /// For a history of these parts, whose own ids are told as they are.
    pub(super) fn new<'p>(parts: impl Iterator<Item = &'p Part<'a>>) -> Self
    where
        'a: 'p,
    {
        let given = parts.filter_map(|part| if let Part::ToolCall(call) = part { call.id } else { None });
        Self {
            open: VecDeque::new(),
            given: given.map(Text::plain).collect(),
            lawful: None,
            told: HashSet::new(),
            made: 0,
        }
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
        let told = match (&own, self.lawful) {
            (None, _) => self.make("call"),
            (Some(id), None) => id.clone(),
            (Some(id), Some(lawful)) => self.distinguish(id, lawful(id)),
        };
        if self.lawful.is_some() {
            self.told.insert(told.clone());
        }
        self.open.push_back(Open { own, told: told.clone(), tool: call.name });
        told
    }

    /// The id that a result answers: that of its own call, else of the oldest open call of the tool, else of the oldest open call.
    pub(super) fn close(&mut self, result: &ToolResult<'a>) -> Cow<'a, str> {
        if let Some(id) = result.call_id.map(Text::plain) {
            let at = self.open.iter().position(|open| open.own.as_ref() == Some(&id));
            return match (at.and_then(|at| self.open.remove(at)), self.lawful) {
                (Some(open), _) => open.told,
                (None, Some(lawful)) => Cow::Owned(lawful(&id)),
                (None, None) => id,
            };
        }
        let named = |name: Text<'a>| self.open.iter().position(|open| open.tool.plain() == name.plain());
        let at = result.tool.and_then(named).unwrap_or(0);
        self.open.remove(at).map_or(Cow::Borrowed("call_unknown"), |open| open.told)
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
