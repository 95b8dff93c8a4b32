//! What only a vendor can read of its own reasoning: signatures and encrypted text, handed to the client and back with the next
//! turn. In a dialect of another vendor it travels behind a mark that says whose it is, so that it is never shown to a stranger.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::json::{Field, Text};

/// Something sealed, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    pub seal: Seal,
    pub data: Text<'a>,
}

/// Whose it is and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The signature of a `thinking` block of Anthropic.
    Signature,
    /// The data of a `redacted_thinking` block of Anthropic.
    Redacted,
    /// The `encrypted_content` of a reasoning item of OpenAI.
    Encrypted,
    /// An entry of `OpenRouter`'s `reasoning_details`, but for its text: a JSON object.
    Detail,
}

/// What a field of a vendor's own dialect holds, seen by that vendor.
#[derive(Clone, Debug)]
pub(super) enum Found<'a> {
    /// Its own seal, or none.
    Own,
    /// Its own seal behind a mark: the field as it is written, and as it must be.
    Marked { raw: &'a str, bare: Bytes },
    /// The seal of another vendor, or another kind of its own.
    Foreign,
}

/// How every mark begins.
pub(super) const MARK: &str = "sg1:";

/// The marks; their version is in them, for they outlive the gateway in the histories of clients.
const MARKS: [(Seal, &str); 4] = [
    (Seal::Signature, "sg1:signature:"),
    (Seal::Redacted, "sg1:redacted:"),
    (Seal::Encrypted, "sg1:openai:"),
    (Seal::Detail, "sg1:detail:"),
];

impl<'a> Sealed<'a> {
    /// Reads what a client sent back in a field whose own seal is `native`.
    pub fn read(text: Text<'a>, native: Seal) -> Self {
        let (Text::Escaped(inside) | Text::Plain(inside)) = text;
        let marked = MARKS.iter().find_map(|(seal, mark)| Some((*seal, inside.strip_prefix(mark)?)));
        match (marked, text) {
            (None, data) => Self { seal: native, data },
            (Some((seal, rest)), Text::Escaped(_)) => Self { seal, data: Text::Escaped(rest) },
            (Some((seal, rest)), Text::Plain(_)) => Self { seal, data: Text::Plain(rest) },
        }
    }

    /// What stands in a field whose own seal is `native`.
    pub(super) fn find(field: Field<'a>, native: Seal) -> Found<'a> {
        let (Some(text), Some(raw)) = (field.some_text(), field.raw()) else { return Found::Own };
        let sealed = Self::read(text, native);
        if sealed.seal != native {
            return Found::Foreign;
        }
        if sealed.data == text {
            return Found::Own;
        }
        let mut bare = BytesMut::new();
        sealed.data.write_quoted(&mut bare);
        Found::Marked { raw, bare: bare.freeze() }
    }

    /// Writes it as a JSON string into a field whose own seal is `native`.
    pub fn write_quoted(self, native: Seal, out: &mut BytesMut) {
        out.put_u8(b'"');
        if self.seal != native {
            let mark = MARKS.iter().find(|(seal, _)| *seal == self.seal).map_or("", |(_, mark)| mark);
            out.put_slice(mark.as_bytes());
        }
        self.data.write(out);
        out.put_u8(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_vendor_sealed_comes_back_to_it_through_the_dialect_of_another() {
        for seal in [Seal::Signature, Seal::Redacted, Seal::Encrypted, Seal::Detail] {
            for native in [Seal::Signature, Seal::Redacted, Seal::Encrypted] {
                let sealed = Sealed { seal, data: Text::Escaped("a\\/b=") };
                let mut out = BytesMut::new();
                sealed.write_quoted(native, &mut out);
                let text = std::str::from_utf8(&out).unwrap().trim_matches('"');
                assert_eq!(Sealed::read(Text::Escaped(text), native), sealed);
            }
        }
    }
}
