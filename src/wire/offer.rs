//! What tools a request offers once all of it is read: without those that only another vendor can run, those that wait to be
//! named, and those that the choice leaves out.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::wire::envelope::ParseError;
use crate::wire::json::Text;
use crate::wire::request::{Part, Request, Tool, ToolChoice, parts_of};

/// What was read about tools beside the list of them.
#[derive(Debug, Default)]
pub struct Offer<'a> {
    /// The types of tools that only their vendor can run.
    lost: Vec<String>,
    /// Tools that a search has named: they are loaded from then on.
    named: Vec<Text<'a>>,
    /// The only tools that may be called, if the choice says so.
    allowed: Option<Vec<Text<'a>>>,
    /// Tools that the history has added, and taken away again.
    added: Vec<Tool<'a>>,
    removed: Vec<Text<'a>>,
}

impl<'a> Offer<'a> {
    pub(super) fn lose(&mut self, kind: impl Into<String>) {
        self.lost.push(kind.into());
    }

    pub(super) fn name(&mut self, tool: Text<'a>) {
        self.named.push(tool);
    }

    pub(super) fn allow(&mut self, tools: Vec<Text<'a>>) {
        self.allowed = Some(tools);
    }

    pub(super) fn add(&mut self, tool: Tool<'a>) {
        self.removed.retain(|removed| removed.plain() != tool.name.plain());
        self.added.push(tool);
    }

    pub(super) fn join(&mut self, other: Self) {
        self.named.extend(other.named);
        other.added.into_iter().for_each(|tool| self.add(tool));
        self.removed.extend(other.removed);
    }

    pub(super) fn remove(&mut self, tool: Text<'a>) {
        self.removed.push(tool);
    }
}

impl<'a> Request<'a> {
    /// Settles which tools are offered. A request that would be answered without the tools it is about is refused: a model that
    /// cannot search invents what it has found.
    pub(super) fn settle_tools(&mut self) -> Result<(), ParseError> {
        let offer = std::mem::take(&mut self.offer);
        let mut known: HashSet<Cow<'a, str>> = self.tools.iter().map(|tool| tool.name.plain()).collect();
        self.tools.extend(offer.added.into_iter().filter(|tool| known.insert(tool.name.plain())));
        let removed: HashSet<Cow<'a, str>> = offer.removed.into_iter().map(Text::plain).collect();
        self.tools.retain(|tool| !removed.contains(&tool.name.plain()));
        self.leave_out_deferred(&offer.lost, offer.named.iter().chain(offer.allowed.iter().flatten()));
        if self.tools.is_empty() && !offer.lost.is_empty() && self.tool_choice != Some(ToolChoice::None) {
            let words = format!(
                "none of the `tools` is left: the backend of this model cannot run {}",
                offer.lost.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
            );
            return Err(ParseError::new(words, Some("tools")));
        }
        if let Some(allowed) = offer.allowed {
            let allowed: HashSet<Cow<'a, str>> = allowed.into_iter().map(Text::plain).collect();
            self.tools.retain(|tool| allowed.contains(&tool.name.plain()));
            if self.tools.is_empty() {
                let words =
                    "`tool_choice` allows none of the tools that the backend of this model can be told";
                return Err(ParseError::new(words, Some("tool_choice")));
            }
        }
        match self.tool_choice {
            Some(ToolChoice::Named(name)) if !self.tools.is_empty() && !self.offers(name) => {
                let words = format!(
                    "`tool_choice` names `{}`, which is none of the tools that the backend of this model can be told",
                    name.plain()
                );
                Err(ParseError::new(words, Some("tool_choice")))
            }
            _ => Ok(()),
        }
    }

    fn offers(&self, name: Text<'_>) -> bool {
        let name = name.plain();
        self.tools.iter().any(|tool| tool.name.plain() == name)
    }

    /// A tool whose loading is deferred is not told before a search, a call or the choice has named it. Where the vendor would
    /// have searched, nobody can name one, so all are told.
    fn leave_out_deferred<'n>(&mut self, lost: &[String], named: impl Iterator<Item = &'n Text<'a>>)
    where
        'a: 'n,
    {
        let searched_by_vendor = lost.iter().any(|kind| kind.starts_with("tool_search"));
        if searched_by_vendor || self.tools.iter().all(|tool| tool.deferred) {
            return;
        }
        let mut known: HashSet<Cow<'a, str>> = named.map(|name| name.plain()).collect();
        if let Some(ToolChoice::Named(name)) = self.tool_choice {
            known.insert(name.plain());
        }
        let calls = parts_of(&self.messages).filter_map(|part| match part {
            Part::ToolCall(call) => Some(call.name.plain()),
            Part::Text(_)
            | Part::Image(_)
            | Part::Document(_)
            | Part::Reasoning { .. }
            | Part::Redacted(_)
            | Part::ToolResult(_) => None,
        });
        known.extend(calls);
        let all = self.tools.len();
        self.tools.retain(|tool| !tool.deferred || known.contains(&tool.name.plain()));
        if self.tools.len() < all {
            self.dropped.add("tools.defer_loading");
        }
    }
}
