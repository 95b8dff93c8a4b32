//! Numbers that JSON has not: servers written in Python say `NaN`, `Infinity` and `-Infinity` of what is not finite, a log probability
//! for one, and clients written in Python read it.

/// The same text with `null` in their place; `None` if it has none.
pub(super) fn finite(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let (mut rest, mut quoted, mut found) = (json, false, false);
    while let Some((&byte, behind)) = rest.split_first() {
        let word = WORDS.into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            found = true;
            out.extend_from_slice(b"null");
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        out.push(byte);
        rest = behind;
        match (byte, behind.split_first()) {
            (b'"', _) => quoted = !quoted,
            (b'\\', Some((&escaped, behind))) if quoted => {
                out.push(escaped);
                rest = behind;
            }
            _ => {}
        }
    }
    found.then_some(out)
}

const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<String> {
        finite(json.as_bytes()).map(|finite| String::from_utf8(finite).unwrap())
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(of(r#"{"a":-Infinity,"b":[NaN, Infinity]}"#).unwrap(), r#"{"a":null,"b":[null, null]}"#);
        assert_eq!(of(r#"{"a\"":NaN,"b":"\\"}"#).unwrap(), r#"{"a\"":null,"b":"\\"}"#);
    }

    #[test]
    fn a_text_that_says_so_is_left_alone() {
        for json in [r#"{"a":"NaN"}"#, r#"{"a":"\"-Infinity"}"#, r#"{"Infinity":1}"#, "", "[1e400]"] {
            assert_eq!(of(json), None, "{json}");
        }
    }
}
