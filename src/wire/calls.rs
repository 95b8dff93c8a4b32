//! The ids of tool calls in a history, for dialects that insist on them: those that are missing are made, and results that name
//! none are given to the call they answer.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::wire::json::Text;
use crate::wire::request::{ToolCall, ToolResult};

/// The tool calls that wait for their results.
#[derive(Debug, Default)]
pub(super) struct Calls<'a> {
    open: VecDeque<(Cow<'a, str>, Text<'a>)>,
    made: usize,
}

impl<'a> Calls<'a> {
    /// The id of a call, made from its place in the history if it has none, so that the same history always has the same ids.
    pub(super) fn open(&mut self, call: &ToolCall<'a>) -> Cow<'a, str> {
        let id = call.id.map_or_else(
            || {
                self.made += 1;
                Cow::Owned(format!("call_{}", self.made))
            },
            Text::plain,
        );
        self.open.push_back((id.clone(), call.name));
        id
    }

    /// The id that a result answers: its own, else that of the oldest open call of the tool, else of the oldest open call.
    pub(super) fn close(&mut self, result: &ToolResult<'a>) -> Cow<'a, str> {
        if let Some(id) = result.call_id {
            let id = id.plain();
            self.open.retain(|(open, _)| *open != id);
            return id;
        }
        let named = |name: Text<'a>| self.open.iter().position(|(_, open)| open.plain() == name.plain());
        let at = result.tool.and_then(named).unwrap_or(0);
        self.open.remove(at).map_or(Cow::Borrowed("call_unknown"), |(id, _)| id)
    }
}
