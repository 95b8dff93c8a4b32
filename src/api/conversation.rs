//! Which conversation a request belongs to, for backends that keep what they have read of it: the name that its client gives,
//! else the session that an agent says, else how it begins.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::edge::Caller;
use crate::upstream::digest;
use crate::wire::{opening, texts};

/// How much of the beginning tells conversations apart.
const PREFIX_BYTES: usize = 256 << 10;

/// Where agents say which session a request belongs to, in the order in which they are looked at: Claude Code, Codex (two),
/// opencode (two), Mistral Vibe. Codex's `x-client-request-id` has the same value today, but the name says otherwise.
const SESSIONS: [HeaderName; 6] = [
    HeaderName::from_static("x-claude-code-session-id"),
    HeaderName::from_static("session-id"),
    HeaderName::from_static("thread-id"),
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-session-affinity"),
    HeaderName::from_static("x-affinity"),
];
/// The same in the body: Codex, and whoever wants OpenAI's cache to be found again.
const CACHE_KEY: &str = "prompt_cache_key";

/// The number of a conversation that this caller gives this name. Another key's of the same name is another.
pub(super) fn named(caller: &Caller, name: &[u8]) -> u64 {
    let owner = caller.owner().unwrap_or_default().as_bytes();
    digest(&[owner, b"\0", name].concat())
}

/// The number of the conversation that a request's headers name.
pub(super) fn in_headers(caller: &Caller, name: Option<&str>, headers: &HeaderMap) -> Option<u64> {
    let sessions = SESSIONS.into_iter().filter_map(|header| headers.get(header)).map(HeaderValue::as_bytes);
    let mut names = name.map(str::as_bytes).into_iter().chain(sessions).map(<[u8]>::trim_ascii);
    names.find(|name| !name.is_empty()).map(|name| named(caller, name))
}

/// The number of the conversation that a request's body names.
pub(super) fn in_body(caller: &Caller, body: &[u8]) -> Option<u64> {
    let [key] = texts(body, [CACHE_KEY]).ok()?;
    key.filter(|key| !key.trim().is_empty()).map(|key| named(caller, key.trim().as_bytes()))
}

/// The number of a conversation that begins like this request: its instructions, and all up to the first words of its user,
/// which every later request of the conversation repeats.
pub(super) fn prefix(body: &[u8]) -> u64 {
    let opening = opening(body);
    digest(opening.as_bytes().get(..PREFIX_BYTES).unwrap_or(opening.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn the_name_of_a_conversation_comes_before_the_session_of_an_agent() {
        let caller = Caller::anyone();
        let of = |name, lines: &[_]| in_headers(&caller, name, &headers(lines));
        let names = [
            "x-claude-code-session-id",
            "session-id",
            "thread-id",
            "x-session-id",
            "x-session-affinity",
            "x-affinity",
        ];
        for (at, name) in names.into_iter().enumerate() {
            assert_eq!(of(None, &[(name, "s")]), Some(named(&caller, b"s")), "{name}");
            assert_eq!(of(Some("chat"), &[(name, "s")]), Some(named(&caller, b"chat")), "{name}");
            for later in names.into_iter().skip(at + 1) {
                assert_eq!(
                    of(None, &[(later, "t"), (name, "s")]),
                    Some(named(&caller, b"s")),
                    "{name} {later}"
                );
            }
        }
        for lines in [&[][..], &[("session-id", "  ")], &[("x-client-request-id", "s")]] {
            assert_eq!(of(None, lines), None, "{lines:?}");
        }
    }

    #[test]
    fn a_body_names_its_conversation_by_its_cache_key() {
        let caller = Caller::anyone();
        let of = |body: &str| in_body(&caller, body.as_bytes());
        assert_eq!(of(r#"{"model":"m","prompt_cache_key":"s"}"#), Some(named(&caller, b"s")));
        for body in [r#"{"prompt_cache_key":""}"#, r#"{"prompt_cache_key":7}"#, "{}", "[]"] {
            assert_eq!(of(body), None, "{body}");
        }
    }

    #[test]
    fn later_turns_have_the_number_of_the_first() {
        let turns = [
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"}]}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Why?"}]}"#,
        ];
        assert_eq!(prefix(turns[0].as_bytes()), prefix(turns[1].as_bytes()));
        let other = turns[0].replace("Hi", "Ho");
        assert_ne!(prefix(turns[0].as_bytes()), prefix(other.as_bytes()));
    }

    #[test]
    fn every_api_has_a_beginning() {
        let bodies = [
            r#"{"system":"S","messages":[{"role":"user","content":"A"}]}"#,
            r#"{"instructions":"S","input":"A"}"#,
            r#"{"input":[{"role":"user","content":"A"}]}"#,
            r#"{"prompt":"A"}"#,
            r#"{"system":"S","prompt":"A"}"#,
        ];
        let numbers: Vec<u64> = bodies.iter().map(|body| prefix(body.as_bytes())).collect();
        for (body, number) in bodies.iter().zip(&numbers) {
            assert_ne!(prefix(body.replace('A', "B").as_bytes()), *number, "{body}");
            assert_ne!(prefix(b"{}"), *number, "{body}");
        }
    }
}
