//! A history as chat templates take it: one system message, at the start. Templates of many models raise an error for any other,
//! so what the system says later is told inside the user's turn where it stands; hoisted, it would change the start of the
//! prompt and cost the backend its prefix cache.

use crate::wire::request::{Dropped, Message, Part, Role};

/// A message as it is told: its parts may come from several messages of the history.
#[derive(Debug)]
pub(super) struct Turn<'r, 'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<&'r Part<'a>>,
}

/// The turns of a history. An assistant's turn in which nothing was said and nothing called is left out: some servers refuse it.
pub(super) fn turns<'r, 'a>(messages: &'r [Message<'a>], dropped: &mut Dropped) -> Vec<Turn<'r, 'a>> {
    let leading = messages.iter().take_while(|message| message.role == Role::System).count();
    let (system, rest) = messages.split_at_checked(leading).unwrap_or((messages, &[]));
    let mut turns = Turns::default();
    if !system.is_empty() {
        turns.push(Role::System, system.iter().flat_map(|message| &message.parts));
    }
    for message in rest {
        match message.role {
            Role::System => turns.interject(&message.parts),
            // Nothing may stand between calls and their results.
            Role::Tool => turns.push(Role::Tool, &message.parts),
            Role::User => {
                let waiting = std::mem::take(&mut turns.waiting);
                turns.push(Role::User, waiting.into_iter().chain(&message.parts));
            }
            Role::Assistant if message.parts.iter().any(is_said) => {
                turns.release();
                turns.push(Role::Assistant, &message.parts);
            }
            Role::Assistant => {
                if message.parts.iter().any(|part| matches!(part, Part::Reasoning { .. } | Part::Redacted(_)))
                {
                    dropped.add("reasoning");
                }
            }
        }
    }
    turns.release();
    turns.told
}

#[derive(Default)]
struct Turns<'r, 'a> {
    told: Vec<Turn<'r, 'a>>,
    /// What the system said behind calls, or an answer.
    waiting: Vec<&'r Part<'a>>,
}

impl<'r, 'a> Turns<'r, 'a> {
    fn push(&mut self, role: Role, parts: impl IntoIterator<Item = &'r Part<'a>>) {
        self.told.push(Turn { role, parts: parts.into_iter().collect() });
    }

    fn interject(&mut self, parts: &'r [Part<'a>]) {
        match self.told.last_mut() {
            Some(turn) if turn.role == Role::User => turn.parts.extend(parts),
            _ => self.waiting.extend(parts),
        }
    }

    /// What waits has no turn of the user to stand in: it is one.
    fn release(&mut self) {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.push(Role::User, waiting);
        }
    }
}

fn is_said(part: &Part<'_>) -> bool {
    match part {
        Part::Text(text) => !text.is_empty(),
        Part::Image(_) | Part::Document(_) | Part::ToolCall(_) | Part::ToolResult(_) => true,
        Part::Reasoning { .. } | Part::Redacted(_) => false,
    }
}
