//! Whether the pieces of JSON text that came so far are one whole object.

use crate::wire::json::Text;

/// Counts braces outside strings, over any split of the text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    depth: u32,
    in_string: bool,
    /// The next letter is escaped in the inner text.
    escaped: bool,
    /// Letters of an escape of the outer text that are still to come, and what they make.
    outer: Outer,
    state: State,
    /// There is something in the object.
    members: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Inside,
    Whole,
    /// Something that is no object.
    Other,
}

/// Where the reader stands in an escape of the text in which the inner one is written.
#[derive(Clone, Copy, Debug, Default)]
enum Outer {
    #[default]
    None,
    Backslash,
    /// Digits of `\uXXXX` to come, and the value so far.
    Unicode(u8, u32),
}

impl Balance {
    /// Is what was read one object, complete?
    pub(super) fn is_whole(self) -> bool {
        self.state == State::Whole
    }

    /// The same, and there is something in it: an empty object may be there for one that follows.
    pub(super) fn is_done(self) -> bool {
        self.is_whole() && self.members
    }

    /// Reads on.
    pub(super) fn read(&mut self, text: Text<'_>) {
        match text {
            Text::Plain(text) => text.bytes().for_each(|byte| self.letter(byte)),
            Text::Escaped(text) => text.bytes().for_each(|byte| self.escaped_byte(byte)),
        }
    }

    /// Reads on up to the end of the object; gives what belongs to it, and what comes behind it.
    pub(super) fn split<'a>(&mut self, text: Text<'a>) -> (Text<'a>, Text<'a>) {
        let (Text::Plain(inside) | Text::Escaped(inside)) = text;
        let end = match self.state {
            State::Whole => Some(0),
            State::Before | State::Inside | State::Other => inside
                .bytes()
                .position(|byte| {
                    match text {
                        Text::Plain(_) => self.letter(byte),
                        Text::Escaped(_) => self.escaped_byte(byte),
                    }
                    self.is_whole()
                })
                .map(|last| last + 1),
        };
        // The end is behind a brace, and so between two letters.
        let (one, other) = inside.split_at_checked(end.unwrap_or(inside.len())).unwrap_or((inside, ""));
        match text {
            Text::Plain(_) => (Text::Plain(one), Text::Plain(other)),
            Text::Escaped(_) => (Text::Escaped(one), Text::Escaped(other)),
        }
    }

    /// One byte of a text that is written as the inside of a JSON string.
    fn escaped_byte(&mut self, byte: u8) {
        match self.outer {
            Outer::None if byte == b'\\' => self.outer = Outer::Backslash,
            Outer::None => self.letter(byte),
            Outer::Backslash if byte == b'u' => self.outer = Outer::Unicode(4, 0),
            Outer::Backslash => {
                self.outer = Outer::None;
                self.letter(match byte {
                    b'n' | b'r' | b't' | b'b' | b'f' => b' ',
                    other => other,
                });
            }
            Outer::Unicode(left, value) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let value = value * 16 + digit;
                if left > 1 {
                    self.outer = Outer::Unicode(left - 1, value);
                } else {
                    self.outer = Outer::None;
                    self.letter(u8::try_from(value).unwrap_or(b'x'));
                }
            }
        }
    }

    fn letter(&mut self, byte: u8) {
        self.members |= self.state == State::Inside && !matches!(byte, b'}' | b' ' | b'\n' | b'\r' | b'\t');
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match (self.state, byte) {
            (State::Before, b'{') => (self.state, self.depth) = (State::Inside, 1),
            (State::Whole, b'{') if !self.members => (self.state, self.depth) = (State::Inside, 1),
            (State::Inside, b'"') => self.in_string = true,
            (State::Inside, b'{' | b'[') => self.depth += 1,
            (State::Inside, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.state = State::Whole;
                }
            }
            (State::Inside, _) | (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (State::Before | State::Whole | State::Other, _) => self.state = State::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    fn whole(pieces: &[Text<'_>]) -> bool {
        let mut balance = Balance::default();
        for piece in pieces {
            balance.read(*piece);
        }
        balance.is_whole()
    }

    #[test]
    fn an_object_is_whole_at_its_last_brace_and_not_before() {
        assert!(whole(&[Text::Plain("{}")]));
        assert!(whole(&[Text::Escaped("{\\\"a\\\": \\\"}\\\\\\\"{\\\"}\\n")]));
        assert!(!whole(&[Text::Plain("{\"a\":{}")]));
        assert!(!whole(&[Text::Plain("")]) && !whole(&[Text::Plain("{}x")]) && !whole(&[Text::Plain("[]")]));
        assert!(!whole(&[Text::Plain("{}{")]) && whole(&[Text::Plain("{}{\"a\":1}")]));
        assert!(whole(&[Text::Escaped("{\\u0022"), Text::Escaped("a}\\u00"), Text::Escaped("22:1}")]));
    }

    proptest! {
        #[test]
        fn any_object_in_any_split_is_whole_only_at_its_end(key: String, value: String, at in 0_usize..40) {
            let object = serde_json::json!({ key: { "x": [value, 1.5, null] } }).to_string();
            let mut escaped = BytesMut::new();
            Text::Plain(&object).write(&mut escaped);
            let escaped = std::str::from_utf8(&escaped).unwrap();
            let cut = (0..=at.min(escaped.len() - 1)).rev().find(|cut| escaped.is_char_boundary(*cut)).unwrap();
            let (one, other) = escaped.split_at(cut);
            prop_assert!(!whole(&[Text::Escaped(one)]));
            prop_assert!(whole(&[Text::Escaped(one), Text::Escaped(other)]));
            prop_assert!(whole(&[Text::Plain(&object)]));
        }
    }
}
