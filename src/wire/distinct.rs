//! The members of a request's JSON object where a backend reads the object too, perhaps in another way: servers in Go take a
//! member whatever its case, and of two the last. What could be read in two ways is refused.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::wire::envelope::ParseError;
use crate::wire::members::AllMembers;

/// All members of an object, none of whose names stands there twice, in whatever case, and `known` in no other than their own.
pub(super) fn distinct<'a>(
    body: &'a [u8],
    known: &[&'static str],
) -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, ParseError> {
    let refused = |why: &dyn std::fmt::Display| {
        ParseError::new(format!("the request is not a JSON object: {why}"), None)
    };
    let AllMembers(all) = serde_json::from_slice(body).map_err(|error| refused(&error))?;
    let mut names = HashSet::with_capacity(all.len());
    for (name, _) in &all {
        let folded = folded(name);
        if name.as_ref() != folded && known.contains(&folded.as_ref()) {
            return Err(refused(&format_args!("`{name}` must be written in lower case")));
        }
        if !names.insert(folded) {
            return Err(refused(&format_args!("`{name}` stands there twice")));
        }
    }
    drop(names);
    Ok(all)
}

/// Members that are text; `None` for those that are not there, or empty.
pub fn texts<const N: usize>(
    body: &[u8],
    known: [&'static str; N],
) -> Result<[Option<String>; N], ParseError> {
    let all = distinct(body, &known)?;
    let mut found = [const { None }; N];
    for (slot, name) in found.iter_mut().zip(known) {
        let value = all.iter().find(|(other, _)| other == name).map(|(_, value)| value.get());
        *slot = text(value, name)?;
    }
    Ok(found)
}

/// The first of `known` that stands there and is not empty.
pub fn named(body: &[u8], known: &[&'static str]) -> Result<Option<&'static str>, ParseError> {
    let all = distinct(body, known)?;
    let said = |name: &&&str| {
        all.iter().any(|(other, value)| other == **name && !matches!(value.get(), "null" | "\"\"" | "{}"))
    };
    Ok(known.iter().find(said).copied())
}

/// A member that is text; `None` if it is not there, `null` or empty.
pub(super) fn text(value: Option<&str>, name: &'static str) -> Result<Option<String>, ParseError> {
    let wrong = |_| ParseError::new(format!("`{name}` must be a string"), Some(name));
    let text: Option<String> = value.map_or(Ok(None), serde_json::from_str).map_err(wrong)?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// A name as servers in Go compare it: without case, and with the two letters beyond ASCII whose other case is within (`ſ`, and the
/// sign of Kelvin).
fn folded(name: &str) -> Cow<'_, str> {
    let plain = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    if name.chars().all(|letter| plain(letter) == letter) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(plain).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(body: &str) -> Result<[Option<String>; 2], ParseError> {
        texts(body.as_bytes(), ["source", "destination"])
    }

    #[test]
    fn members_are_read_in_one_way_or_not_at_all() {
        let both = [Some("a".into()), Some("b".into())];
        assert_eq!(copy(r#"{"source":"a","destination":"b","x":1}"#), Ok(both));
        assert_eq!(copy(r#"{"source":"","destination":null}"#), Ok([None, None]));
        for body in [
            r#"{"source":"a","source":"a","destination":"b"}"#,
            r#"{"source":"a","Source":"c","destination":"b"}"#,
            r#"{"Source":"a","destination":"b"}"#,
            r#"{"source":"a","de\u017ftination":"c","destination":"b"}"#,
            r#"{"s\u006furce":"a","source":"c","destination":"b"}"#,
            r#"{"source":"a","destination":"b","x":1,"X":2}"#,
            r#"{"source":1,"destination":"b"}"#,
            r#"["source"]"#,
        ] {
            assert!(copy(body).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_empty_is_not_said() {
        let said = |body: &str| named(body.as_bytes(), &["files", "adapters"]).unwrap();
        assert_eq!(said(r#"{"files":{},"adapters":null}"#), None);
        assert_eq!(said(r#"{"files":{},"adapters":{"a":"b"}}"#), Some("adapters"));
        assert!(named(br#"{"Files":{"a":"b"}}"#, &["files"]).is_err());
    }
}
