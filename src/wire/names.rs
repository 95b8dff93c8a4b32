//! Names of tools that a backend cannot take, because they are too long or hold other letters than it allows: it is told others,
//! and what it calls is given its own name back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::wire::event::{Block, Event};
use crate::wire::json::Text;

/// The names that were changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// What each became.
    told: HashMap<String, String>,
    /// The other way round.
    own: HashMap<String, String>,
}

impl Names {
    /// The name that a backend is told which takes at most `limit` of `[a-zA-Z0-9_-]`.
    pub(super) fn lawful<'a>(&mut self, name: Text<'a>, limit: usize) -> Cow<'a, str> {
        let own = name.plain();
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if own.len() <= limit && own.chars().all(allowed) {
            return own;
        }
        if let Some(told) = self.told.get(own.as_ref()) {
            return Cow::Owned(told.clone());
        }
        // A digest of the whole name keeps two long ones apart that begin alike.
        let digest = Sha256::digest(own.as_bytes());
        let mut told: String =
            own.chars().map(|c| if allowed(c) { c } else { '_' }).take(limit.saturating_sub(9)).collect();
        told.push('_');
        for byte in digest.iter().take(4) {
            write!(told, "{byte:02x}").unwrap_or_default(); // writing to a String cannot fail
        }
        self.own.entry(told.clone()).or_insert_with(|| own.clone().into_owned());
        self.told.insert(own.into_owned(), told.clone());
        Cow::Owned(told)
    }

    /// Gives `event`, if it opens a tool call, the tool's own name.
    pub fn restore<'e>(&'e self, event: Event<'e>) -> Event<'e> {
        if self.own.is_empty() {
            return event;
        }
        let Event::Open { index, block: Block::ToolCall { id, name } } = event else {
            return event;
        };
        let own = self.own.get(name.plain().as_ref()).map_or(name, |own| Text::Plain(own));
        Event::Open { index, block: Block::ToolCall { id, name: own } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_comes_back_as_it_was() {
        let mut names = Names::default();
        assert_eq!(names.lawful(Text::Plain("fine-name_1"), 64), "fine-name_1");
        let (one, other) = ("x".repeat(65), format!("{}y", "x".repeat(64)));
        let told = [names.lawful(Text::Plain(&one), 64), names.lawful(Text::Plain(&other), 64)];
        assert!(told.iter().all(|name| name.len() == 64) && told[0] != told[1], "{told:?}");
        assert_eq!(names.lawful(Text::Plain(&one), 64), told[0]);
        assert!(names.lawful(Text::Plain("a.b/c"), 64).starts_with("a_b_c_"));
        let open = |name| Event::Open {
            index: 0,
            block: Block::ToolCall { id: Text::Plain("i"), name: Text::Plain(name) },
        };
        assert_eq!(names.restore(open(&told[1])), open(&other));
        assert_eq!(names.restore(open("unknown")), open("unknown"));
    }
}
