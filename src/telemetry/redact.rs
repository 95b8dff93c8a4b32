//! Takes a secret out of what somebody else says, however it is escaped there: as JSON (also as JSON within JSON), in
//! percent-encoding, or as a character reference of HTML.

use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use secrecy::{ExposeSecret as _, SecretString};

/// Knows a secret, and takes it out.
pub struct Redactor {
    secret: SecretString,
    /// The longest run of letters and digits of it, which nobody escapes. `None`: it is too short to be told from a word.
    run: Option<Finder<'static>>,
}

const REDACTED: &[u8] = b"[redacted]";
/// A shorter secret is a placeholder (`EMPTY`, `ollama`): what a model says may hold it.
const SECRET_BYTES: usize = 16;

impl Redactor {
    /// `None` if there is nothing to take out.
    pub fn new(secret: SecretString) -> Option<Self> {
        let bytes = secret.expose_secret().as_bytes();
        let runs = bytes.split(|byte| !byte.is_ascii_alphanumeric());
        let run = runs.max_by_key(|run| run.len()).filter(|_| bytes.len() >= SECRET_BYTES);
        let run = run.map(|run| Finder::new(run).into_owned());
        if bytes.is_empty() { None } else { Some(Self { secret, run }) }
    }

    /// May the secret be in there? One search, for what no serializer escapes.
    pub fn may_be_in(&self, said: &[u8]) -> bool {
        self.run.as_ref().is_some_and(|run| run.find(said).is_some())
    }

    /// The same without the secret. JSON stays JSON.
    pub fn redact(&self, said: &Bytes) -> Bytes {
        let mut out: Option<BytesMut> = None;
        let (mut copied, mut at) = (0, 0);
        while let Some(rest) = said.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = self.length_in(rest) {
                let out = out.get_or_insert_with(|| BytesMut::with_capacity(said.len()));
                out.extend_from_slice(said.get(copied..at).unwrap_or_default());
                out.extend_from_slice(REDACTED);
                at += length;
                copied = at;
            } else {
                // Past the whole escape of JSON, of which no half may stay; of the others, any byte may be the first.
                at += if rest.first() == Some(&b'\\') { Unit::of(rest).length } else { 1 };
            }
        }
        let Some(mut out) = out else { return said.clone() };
        out.extend_from_slice(said.get(copied..).unwrap_or_default());
        out.freeze()
    }

    /// The same for a text.
    pub fn redact_text(&self, said: String) -> String {
        let said = Bytes::from(said);
        String::from_utf8_lossy(&self.redact(&said)).into_owned()
    }

    /// How many bytes the secret takes at the beginning of this; `None` if it is not there.
    fn length_in(&self, said: &[u8]) -> Option<usize> {
        let mut rest = said;
        for byte in self.secret.expose_secret().bytes() {
            let unit = Unit::of(rest);
            let length = if unit.byte == Some(byte) {
                unit.length
            } else if rest.first() == Some(&byte) {
                1
            } else {
                return None;
            };
            rest = rest.get(length..)?;
        }
        Some(said.len() - rest.len())
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// A character, or an escape that stands for one.
struct Unit {
    /// What it stands for; `None`: nothing that is in a secret.
    byte: Option<u8>,
    /// How many bytes it takes; 0 at the end.
    length: usize,
}

impl Unit {
    fn of(said: &[u8]) -> Self {
        let escape = match said.first() {
            Some(b'\\') => Some(Self::of_json(said)),
            Some(b'%') => Self::of_percent(said),
            Some(b'&') => Self::of_html(said),
            _ => None,
        };
        escape.unwrap_or_else(|| Self { byte: said.first().copied(), length: usize::from(!said.is_empty()) })
    }

    /// `\/` and `\u002F`; with more backslashes before it, in a document that stands in a string of another.
    fn of_json(said: &[u8]) -> Self {
        let slashes = said.iter().take_while(|byte| **byte == b'\\').count();
        let next = said.get(slashes).copied();
        let digits = said.get(slashes + 1..slashes + 5).filter(|_| next == Some(b'u'));
        match digits.and_then(|digits| number(digits, 16)) {
            Some(code) => Self { byte: u8::try_from(code).ok(), length: slashes + 5 },
            None => Self { byte: next, length: slashes + usize::from(next.is_some()) },
        }
    }

    /// `%2F`, and `%252F`, which was encoded twice.
    fn of_percent(said: &[u8]) -> Option<Self> {
        let mut length = 3;
        let mut digits = said.get(1..3)?;
        while let (b"25", Some(more)) = (digits, said.get(length..length + 2)) {
            if number(more, 16).is_none() {
                break;
            }
            (digits, length) = (more, length + 2);
        }
        Some(Self { byte: number(digits, 16).and_then(|code| u8::try_from(code).ok()), length })
            .filter(|unit| unit.byte.is_some())
    }

    /// `&#43;`, `&#x2B;`, `&amp;`.
    fn of_html(said: &[u8]) -> Option<Self> {
        let end = said.iter().take(10).position(|byte| *byte == b';')?;
        let code = match said.get(1..end)? {
            b"amp" => u32::from(b'&'),
            b"lt" => u32::from(b'<'),
            b"gt" => u32::from(b'>'),
            b"quot" => u32::from(b'"'),
            b"apos" => u32::from(b'\''),
            [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
            [b'#', digits @ ..] => number(digits, 10)?,
            _ => return None,
        };
        Some(Self { byte: u8::try_from(code).ok(), length: end + 1 })
    }
}

/// A number of nothing but digits.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abc/def+ghi=0123456789&<'\"~";

    fn redacted(key: &str, said: &str) -> String {
        Redactor::new(SecretString::from(key)).unwrap().redact_text(said.to_owned())
    }

    #[test]
    fn a_secret_is_found_in_every_escaping() {
        let json = serde_json::to_string(KEY).unwrap();
        let php = json.replace('/', "\\/");
        let quoted = |text: &str| text.trim_matches('"').to_owned();
        let dotnet: String = KEY
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\u{:04X}", c as u32) })
            .collect();
        let letters = KEY.chars().map(|c| format!("\\u{:04x}", c as u32)).collect::<Vec<_>>().concat();
        let percent: String = KEY
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02x}") })
            .collect();
        let html: String =
            KEY.chars().map(|c| if c == '+' { "&#43;".into() } else { c.to_string() }).collect();
        let entities =
            KEY.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#x27;").replace('"', "&quot;");
        let nested = serde_json::to_string(&php).unwrap();
        let deeper = serde_json::to_string(&nested).unwrap();
        for said in [
            KEY.to_owned(),
            quoted(&json),
            quoted(&php),
            dotnet.clone(),
            dotnet.to_lowercase(),
            letters,
            percent.clone(),
            percent.replace('%', "%25"),
            html,
            entities,
            nested.get(3..nested.len() - 3).unwrap().to_owned(),
            deeper.get(7..deeper.len() - 7).unwrap().to_owned(),
        ] {
            let told = redacted(KEY, &format!("Bearer {said}, {said}"));
            assert_eq!(told, "Bearer [redacted], [redacted]", "{said}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for said in [
            "",
            "abc/def+ghi",
            "abc\\/def",
            "%",
            "%2",
            "&amp",
            "\\",
            "\\u00",
            "größer",
            "abc/def+ghi=012345678 9",
        ] {
            assert_eq!(redacted(KEY, said), said);
        }
    }

    #[test]
    fn json_stays_json() {
        for (key, said) in [
            ("nab", r#"{"a":"x\nab"}"#),
            ("00e1", r#"{"a":"\u00e100e1"}"#),
            ("e1ab", r#"{"a":"\u00e1ab"}"#),
            ("a\\b", r#"{"a":"a\\b"}"#),
            ("a\"b", r#"{"a":"a\"b"}"#),
            ("b", r#"{"a":"\b\\b\\\b"}"#),
        ] {
            let told = redacted(key, said);
            assert!(serde_json::from_str::<serde_json::Value>(&told).is_ok(), "{told}");
        }
        assert_eq!(redacted("a\\b", r#"{"a":"a\\b"}"#), r#"{"a":"[redacted]"}"#);
    }

    #[test]
    fn one_search_tells_whether_a_secret_may_be_there_and_a_placeholder_never_is() {
        let redactor = |key: &str| Redactor::new(SecretString::from(key));
        let known = redactor(KEY).unwrap();
        assert!(known.may_be_in(b"abc\\/def\\u002Bghi\\u003D0123456789"));
        assert!(!known.may_be_in(b"abc"));
        assert!(!redactor("EMPTY").unwrap().may_be_in(b"it is EMPTY"));
        assert_eq!(redacted("EMPTY", "unknown key EMPTY"), "unknown key [redacted]");
        assert!(redactor("").is_none());
        assert!(!format!("{known:?}").contains("ghi"));
    }
}
