//! Changes to a body that is otherwise passed on byte for byte: values that are replaced, and elements that are taken out of lists.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// Changes at places of one body; no two overlap.
#[derive(Clone, Debug, Default)]
pub struct Edits(Vec<(Range<usize>, Bytes)>);

impl Edits {
    pub(super) fn replace(&mut self, range: Range<usize>, with: impl Into<Bytes>) {
        self.0.push((range, with.into()));
    }

    /// Takes those elements out of a list that are not to be kept, each with one of the commas beside it.
    pub(super) fn keep(&mut self, elements: &[(Range<usize>, bool)]) {
        let mut kept_before = false;
        for (at, (range, keep)) in elements.iter().enumerate() {
            if *keep {
                kept_before = true;
                continue;
            }
            let before = at.checked_sub(1).and_then(|before| elements.get(before));
            let behind = elements.get(at + 1);
            let gone = match (before, behind) {
                (Some((before, _)), _) if kept_before => before.end..range.end,
                (_, Some((behind, _))) => range.start..behind.start,
                (_, None) => range.clone(),
            };
            self.replace(gone, Bytes::new());
        }
    }

    /// The body with the changes.
    pub(super) fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        self.0.sort_by_key(|(range, _)| range.start);
        let mut out = BytesMut::with_capacity(body.len() + 64);
        let mut from = 0;
        for (range, replacement) in self.0 {
            debug_assert!(from <= range.start, "changes overlap");
            out.put_slice(body.get(from..range.start).unwrap_or_default());
            out.put_slice(&replacement);
            from = range.end;
        }
        out.put_slice(body.get(from..).unwrap_or_default());
        out.freeze()
    }
}

/// Where `part`, a slice of `body`, lies in it.
pub(super) fn span(body: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_elements_are_taken_out_of_a_list() {
        let body = Bytes::from_static(b"[ 10 , 11,12 ]");
        let places = [2..4, 7..9, 10..12];
        for (kept, wanted) in [
            ([true, true, true], "[ 10 , 11,12 ]"),
            ([false, true, true], "[ 11,12 ]"),
            ([true, false, true], "[ 10,12 ]"),
            ([true, true, false], "[ 10 , 11 ]"),
            ([false, false, true], "[ 12 ]"),
            ([false, true, false], "[ 11 ]"),
            ([true, false, false], "[ 10 ]"),
            ([false, false, false], "[  ]"),
        ] {
            let mut edits = Edits::default();
            edits.keep(&places.iter().cloned().zip(kept).collect::<Vec<_>>());
            assert_eq!(edits.apply(&body), wanted, "{kept:?}");
        }
    }
}
