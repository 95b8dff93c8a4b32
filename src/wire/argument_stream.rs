//! The arguments of one tool call on their way to a client that will parse them. Servers send an empty object before the real
//! one, an object inside a string, `null`, or the same object twice: what is meant is passed on, and what is no object is found.

use bytes::BytesMut;

use crate::wire::balance::Balance;
use crate::wire::call_arguments::{ENCODINGS, is_empty, object_in};
use crate::wire::json::{Text, json_object};

/// What came so far.
#[derive(Debug, Default)]
pub(super) struct ArgumentStream {
    state: State,
    /// The object as it is passed on, or what may become one; still escaped.
    kept: BytesMut,
    balance: Balance,
    /// What came behind the end of the object, still escaped.
    behind: BytesMut,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but space.
    #[default]
    Start,
    /// The brace of an object, which may turn out to be empty.
    Brace,
    /// An empty object: it does not count if another follows.
    Empty,
    /// An object that has members is passed on as it comes.
    Object,
    /// Anything else is kept until it is complete.
    Other,
}

impl ArgumentStream {
    /// Bytes that are kept.
    pub(super) fn held(&self) -> usize {
        self.kept.len() + self.behind.len()
    }

    /// Reads the next piece; gives what can be passed on to `emit`.
    pub(super) fn push(&mut self, text: Text<'_>, emit: &mut dyn FnMut(Text<'_>)) {
        match self.state {
            State::Object => self.pass(text, emit),
            State::Other => text.write(&mut self.kept),
            State::Start | State::Brace | State::Empty => self.begin(text, emit),
        }
    }

    /// The beginning, where it shows what the arguments are.
    fn begin(&mut self, text: Text<'_>, emit: &mut dyn FnMut(Text<'_>)) {
        let plain = text.plain();
        let mut counts = text;
        for (at, letter) in plain.char_indices() {
            self.state = match (self.state, letter) {
                (state, ' ' | '\n' | '\r' | '\t') => state,
                (State::Start, '{') => State::Brace,
                (State::Brace, '}') => State::Empty,
                (State::Empty, '{') => {
                    self.kept.clear();
                    counts = Text::Plain(plain.get(at..).unwrap_or_default());
                    State::Brace
                }
                (State::Brace | State::Object, _) => State::Object,
                (State::Start | State::Empty | State::Other, _) => State::Other,
            };
            if matches!(self.state, State::Object | State::Other) {
                break;
            }
        }
        if self.state == State::Object && !self.kept.is_empty() {
            let mut all = std::mem::take(&mut self.kept);
            counts.write(&mut all);
            self.pass(Text::Escaped(std::str::from_utf8(&all).unwrap_or_default()), emit);
        } else if self.state == State::Object {
            self.pass(counts, emit);
        } else {
            counts.write(&mut self.kept);
        }
    }

    /// A piece of the object: passed on up to its end.
    fn pass(&mut self, text: Text<'_>, emit: &mut dyn FnMut(Text<'_>)) {
        let (inside, behind) = self.balance.split(text);
        if !inside.is_empty() {
            inside.write(&mut self.kept);
            emit(inside);
        }
        if !behind.is_empty() {
            behind.write(&mut self.behind);
        }
    }

    /// No more will come: gives what was kept to `emit`. False if the arguments are no object.
    pub(super) fn close(&mut self, emit: &mut dyn FnMut(Text<'_>)) -> bool {
        let kept = std::mem::take(&mut self.kept);
        let kept = Text::Escaped(std::str::from_utf8(&kept).unwrap_or_default());
        match self.state {
            State::Start => true,
            State::Empty => {
                emit(kept);
                true
            }
            State::Brace => {
                emit(kept);
                false
            }
            State::Object => json_object(&kept.plain()).is_some_and(|object| self.repeats(object)),
            State::Other => match object_in(&kept.plain(), ENCODINGS) {
                Some(object) => {
                    if !is_empty(&object) {
                        emit(Text::Plain(&object));
                    }
                    true
                }
                None => {
                    emit(kept);
                    false
                }
            },
        }
    }

    /// Is what came behind the object nothing, an empty one, or the same again?
    fn repeats(&self, object: &str) -> bool {
        let behind = Text::Escaped(std::str::from_utf8(&self.behind).unwrap_or_default()).plain();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let empty = || json_object(&behind).is_some_and(is_empty);
        behind.trim().is_empty()
            || empty()
            || value(&behind).is_some_and(|again| value(object) == Some(again))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client is told of arguments in these pieces, and whether they are an object.
    fn told(pieces: &[&str]) -> (String, bool) {
        let (mut arguments, mut told) = (ArgumentStream::default(), String::new());
        for piece in pieces {
            arguments.push(Text::Plain(piece), &mut |text| told.push_str(&text.plain()));
        }
        let whole = arguments.close(&mut |text| told.push_str(&text.plain()));
        (told, whole)
    }

    fn said(text: &str, whole: bool) -> (String, bool) {
        (text.to_owned(), whole)
    }

    #[test]
    fn an_empty_object_does_not_count_before_another() {
        for pieces in
            [&["{}", "{\"a\":1}"][..], &["{}{\"a\":1}"], &["{", " }", "\n{", "\"a\":1}"], &["{}{}{\"a\":1}"]]
        {
            assert_eq!(told(pieces).0.trim(), "{\"a\":1}", "{pieces:?}");
        }
        assert_eq!(told(&["{}"]), said("{}", true));
        assert_eq!(told(&["{}", "x"]), said("{}x", false));
    }

    #[test]
    fn the_same_object_twice_is_one() {
        assert_eq!(told(&["{\"a\": 1}", "{\"a\":1}"]), said("{\"a\": 1}", true));
        assert_eq!(told(&["{\"a\": 1}{}"]), said("{\"a\": 1}", true));
        assert!(!told(&["{\"a\": 1}{\"a\":2}"]).1, "which of them is meant?");
    }

    #[test]
    fn an_object_in_a_string_is_taken_out_of_it() {
        for text in [r#""{\"a\":1}""#, r#" "\"{\\\"a\\\":1}\"" "#] {
            assert_eq!(told(&[text]), said("{\"a\":1}", true));
            let (one, other) = text.split_at(7);
            assert_eq!(told(&[one, other]), said("{\"a\":1}", true));
        }
    }

    #[test]
    fn nothing_at_all_is_no_argument() {
        for text in ["", " \n", "null", "\"\"", "\"null\""] {
            assert_eq!(told(&[text]).0.trim(), "", "{text}");
            assert!(told(&[text]).1, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_found() {
        for text in ["[1]", "7", "{", "{\"a\":", "{'a':1}", "{\"a\":1}}", "ls -l", "\"ls\"", "nul"] {
            assert!(!told(&[text]).1, "{text}");
        }
    }

    #[test]
    fn a_flood_of_empty_objects_is_read_once() {
        let flood = "{}".repeat(200_000);
        assert_eq!(told(&[&flood, "{\"a\":1}"]), said("{\"a\":1}", true));
    }

    proptest! {
        #[test]
        fn an_object_passes_as_it_is_in_any_split(key: String, value: String, at in 0_usize..60) {
            let object = serde_json::json!({ key: { "x": [value, 1.5, null] } }).to_string();
            let cut = (0..=at.min(object.len())).rev().find(|cut| object.is_char_boundary(*cut)).unwrap();
            let (one, other) = object.split_at(cut);
            prop_assert_eq!(told(&[one, other]), (object.clone(), true));
            let mut escaped = BytesMut::new();
            Text::Plain(&object).write(&mut escaped);
            let mut arguments = ArgumentStream::default();
            let mut said = BytesMut::new();
            arguments.push(Text::Escaped(std::str::from_utf8(&escaped).unwrap()), &mut |text| text.write(&mut said));
            let whole = arguments.close(&mut |_| {});
            prop_assert!(whole);
            prop_assert_eq!(said, escaped);
        }
    }
}
