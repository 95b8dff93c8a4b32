//! Halves of surrogate pairs: a character outside the basic plane that a server has cut in two, one escape in each delta, is put
//! together again. Half a character is no text, and some clients fail on it.

use bytes::BytesMut;
use smallvec::SmallVec;

use crate::wire::event::Event;
use crate::wire::json::Text;

/// The first halves of pairs and their blocks, kept until the other half comes.
#[derive(Debug, Default)]
pub(super) struct Halves(SmallVec<[(u32, String); 1]>);

/// Letters of an escape, `\ud83d`.
const ESCAPE: usize = 6;

impl Halves {
    /// Passes one event on, with its halves joined to those before.
    pub(super) fn pass(&mut self, event: &Event<'_>, mut emit: impl FnMut(&Event<'_>)) {
        match event {
            Event::Delta { index, text } => self.delta(*index, *text, emit),
            Event::Close { index } => {
                // no other half will come
                if let Some(half) = self.take(*index) {
                    emit(&Event::Delta { index: *index, text: Text::Escaped(&half) });
                }
                emit(event);
            }
            Event::Start
            | Event::Open { .. }
            | Event::Signature { .. }
            | Event::Usage(_)
            | Event::Citation { .. }
            | Event::StopSequence(_)
            | Event::Finish(_)
            | Event::Fail(_)
            | Event::Other { .. }
            | Event::Aside { .. } => emit(event),
        }
    }

    fn delta(&mut self, index: u32, text: Text<'_>, mut emit: impl FnMut(&Event<'_>)) {
        let (text, half) = match text {
            Text::Escaped(inside) => split(inside),
            Text::Plain(_) => (text, None),
        };
        match self.take(index) {
            None if text.is_empty() => {}
            None => emit(&Event::Delta { index, text }),
            Some(first) => {
                let mut joined = BytesMut::from(first.as_bytes());
                text.write(&mut joined);
                let text = Text::Escaped(std::str::from_utf8(&joined).unwrap_or_default());
                emit(&Event::Delta { index, text });
            }
        }
        if let Some(half) = half {
            self.0.push((index, half.to_owned()));
        }
    }

    fn take(&mut self, index: u32) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == index)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Splits the first half of a pair off the end of a text that is written as the inside of a JSON string.
fn split(inside: &str) -> (Text<'_>, Option<&str>) {
    let whole = (Text::Escaped(inside), None);
    let Some((before, escape)) = inside.len().checked_sub(ESCAPE).and_then(|at| inside.split_at_checked(at))
    else {
        return whole;
    };
    let [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _] = escape.as_bytes() else {
        return whole;
    };
    // Behind an odd number of backslashes this one is no escape but the letter that is escaped.
    let backslashes = before.bytes().rev().take_while(|byte| *byte == b'\\').count();
    if backslashes % 2 == 1 { whole } else { (Text::Escaped(before), Some(escape)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(deltas: &[&str]) -> Vec<String> {
        let mut halves = Halves::default();
        let mut seen = Vec::new();
        let events = deltas.iter().map(|text| Event::Delta { index: 0, text: Text::Escaped(text) });
        for event in events.chain([Event::Close { index: 0 }]) {
            halves.pass(&event, |event| {
                if let Event::Delta { text: Text::Escaped(text), .. } = event {
                    seen.push((*text).to_owned());
                }
            });
        }
        seen
    }

    #[test]
    fn a_character_cut_in_two_is_put_together() {
        assert_eq!(passed(&["a\\ud83d", "\\ude00b"]), ["a", "\\ud83d\\ude00b"]);
        assert_eq!(passed(&["\\uD83D", "\\ude00"]), ["\\uD83D\\ude00"]);
    }

    #[test]
    fn blocks_that_interleave_keep_their_halves_apart() {
        let mut halves = Halves::default();
        let mut seen = Vec::new();
        for (index, text) in [(0, "\\ud83d"), (1, "\\ud83c"), (0, "\\ude00"), (1, "\\udf0a")] {
            halves.pass(&Event::Delta { index, text: Text::Escaped(text) }, |event| {
                if let Event::Delta { index, text: Text::Escaped(text) } = event {
                    seen.extend((!text.is_empty()).then(|| format!("{index} {text}")));
                }
            });
        }
        assert_eq!(seen, ["0 \\ud83d\\ude00", "1 \\ud83c\\udf0a"]);
    }

    #[test]
    fn half_a_character_without_its_other_half_is_not_lost() {
        assert_eq!(passed(&["a\\ud83d"]), ["a", "\\ud83d"]);
        assert_eq!(passed(&["\\ud83d", "x", "y"]), ["\\ud83dx", "y"]);
    }

    #[test]
    fn what_only_looks_like_half_a_character_passes_at_once() {
        assert_eq!(passed(&["\\\\ud83d", "x"]), ["\\\\ud83d", "x"]);
        assert_eq!(passed(&["ud83d", "\\u0041", "\u{1f600}"]), ["ud83d", "\\u0041", "\u{1f600}"]);
    }
}
