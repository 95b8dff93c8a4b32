//! The ids of tool calls on their way to a client that cannot be told them as they are: because its dialect takes only certain
//! letters, because the backend gave one id to several calls, or because it wants something back with the call for which no other
//! dialect has a place. What the client is told holds the backend's own id, which the backend is told again in the next turn: some
//! models read it.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// How every id begins that was changed; its version is in it, for it outlives the gateway in the histories of clients.
pub(super) const MARK: &str = "sg1_";
/// Before what the backend wants back, and before the number of a call that repeats an id. No escape looks like them, for those are
/// of hexadecimal digits.
const SIGNED: &str = "-s";
const REPEATED: &str = "-r";

/// The id for a client that takes only `[a-zA-Z0-9_-]`, as Anthropic's do.
pub(super) fn lawful(id: &str) -> Cow<'_, str> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.bytes().all(lawful) { Cow::Borrowed(id) } else { Cow::Owned(marked(id)) }
}

/// The id of a call that its backend signed.
pub(super) fn signed(id: &str, signature: &str) -> String {
    let mut told = marked(id);
    told.push_str(SIGNED);
    escape(signature, &mut told);
    told
}

/// The id of call `number` of those that the backend gave one id.
pub(super) fn repeated(id: &str, number: u64) -> String {
    format!("{}{REPEATED}{number}", marked(id))
}

/// The id as the backend gave it.
pub(super) fn own(told: Cow<'_, str>) -> Cow<'_, str> {
    match read(&told) {
        // A signed id may be repeated.
        Some((id, _)) => Cow::Owned(read(&id).map_or(id, |(inner, _)| inner)),
        None => told,
    }
}

/// What the backend signed the call with that has this id.
pub(super) fn signature(told: &str) -> Option<String> {
    let (id, signature) = read(told)?;
    signature.or_else(|| read(&id)?.1)
}

/// The longest id that `OpenAI` takes.
pub(super) const LIMIT: usize = 64;
/// How much of a long id stays, and how many bytes of its digest follow.
const KEPT: usize = 32;
const DIGEST: usize = 12;

/// An id of at most [`LIMIT`] letters for a vendor that did not give it: a long one, as most that hold a signature are, by its
/// beginning and its digest, which is the same in the call and its result.
pub(super) fn short(told: &str) -> Cow<'_, str> {
    if told.len() <= LIMIT {
        return Cow::Borrowed(told);
    }
    let own = own(Cow::Borrowed(told));
    let lawful = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut short: String = own.chars().filter(lawful).take(KEPT).collect();
    short.push('_');
    for byte in Sha256::digest(told.as_bytes()).iter().take(DIGEST) {
        write!(short, "{byte:02x}").unwrap_or_default(); // writing to a String cannot fail
    }
    Cow::Owned(short)
}

fn marked(id: &str) -> String {
    let mut told = String::with_capacity(MARK.len() + id.len() + 8);
    told.push_str(MARK);
    escape(id, &mut told);
    told
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            write!(out, "-{byte:02x}").unwrap_or_default(); // writing to a String cannot fail
        }
    }
}

/// The id and the signature that an id holds; `None` for what was not written here.
fn read(told: &str) -> Option<(String, Option<String>)> {
    let inside = told.strip_prefix(MARK)?;
    let inside = match inside.rsplit_once(REPEATED) {
        Some((id, number)) if number.parse::<u64>().is_ok() => id,
        Some(_) | None => inside,
    };
    match inside.split_once(SIGNED) {
        Some((id, signature)) => Some((unescape(id)?, Some(unescape(signature)?))),
        None => Some((unescape(inside)?, None)),
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('-');
    let mut read = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        read.push(u8::from_str_radix(digits, 16).ok()?);
        read.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(read).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_that_is_lawful_stays_what_it_is() {
        for id in ["call_a", "toolu_01-x", "sg1_", ""] {
            assert_eq!(lawful(id), id);
        }
        for told in ["call_a", "sg1_-zz", "sg1_a-f", "sg1_-ff-fe"] {
            assert_eq!(own(Cow::Borrowed(told)), told, "that was not written here");
        }
    }

    #[test]
    fn a_long_id_is_told_as_a_short_one_that_stays_the_same() {
        let long = signed("call 1", &"AbC/+=".repeat(200));
        let told = short(&long).into_owned();
        assert!(told.len() <= LIMIT && told.starts_with("call1_"), "{told}");
        assert_eq!(lawful(&told), told.as_str());
        assert_eq!(short(&long), told.as_str());
        assert_ne!(short(&signed("call 1", &"x".repeat(99))), told.as_str());
        assert_eq!(own(Cow::Borrowed(&told)), told.as_str(), "nothing is read into it");
        for id in ["call_1", &"a".repeat(LIMIT)] {
            assert_eq!(short(id), id);
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back_as_it_was(id in ".{0,12}", number in 2_u64..1000) {
            let told = lawful(&id).into_owned();
            prop_assert!(told.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
            if !id.starts_with(MARK) {
                prop_assert_eq!(own(Cow::Owned(told)), id.as_str());
            }
            let again = repeated(&id, number);
            prop_assert_eq!(lawful(&again), again.as_str(), "it is lawful everywhere");
            if !id.starts_with(MARK) {
                prop_assert_eq!(own(Cow::Owned(again)), id.as_str());
            }
        }

        #[test]
        fn a_signature_comes_back_with_its_call(id in ".{0,12}", data in ".{1,40}", number in 2_u64..9) {
            let told = signed(&id, &data);
            prop_assert_eq!(lawful(&told), told.as_str());
            for told in [repeated(&told, number), told] {
                prop_assert_eq!(signature(&told), Some(data.clone()));
                if !id.starts_with(MARK) {
                    prop_assert_eq!(own(Cow::Owned(told)), id.as_str());
                }
            }
        }
    }
}
