//! A request put once more, more simply: without what its backend refused by name, or for a whole answer where it does not stream.

use bytes::{Bytes, BytesMut};

use crate::wire::dialect::{Dialect, Framing};
use crate::wire::failure::Failure;
use crate::wire::json::Object;
use crate::wire::members::AllMembers;
use crate::wire::simpler::{Simpler, simpler};

/// What of a request may still be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Retreat {
    dialect: Dialect,
    /// How often it may be written in another way.
    times: u32,
    /// It asks for a stream.
    streams: bool,
}

/// How often a request is put more simply: each refusal names one thing.
const TIMES: u32 = 4;

impl Retreat {
    /// What the gateway wrote it may take back; of a client's own request only the form of the answer.
    pub fn new(dialect: Dialect, translated: bool) -> Self {
        Self { dialect, times: if translated { TIMES } else { 0 }, streams: true }
    }

    /// May a failure be one of something that can be taken back?
    pub fn may_help(&self, failure: &Failure) -> bool {
        let status = failure.status();
        (self.times > 0 && matches!(status, 400 | 422))
            || (self.streams && ((400..500).contains(&status) || status == 501) && blames_stream(failure))
    }

    /// The request without what `failure` blames; `None` if that is nothing of the kind.
    pub fn simpler(&mut self, body: &[u8], failure: &Failure) -> Option<Simpler> {
        if self.times > 0
            && let Some(simpler) = simpler(self.dialect, body, failure)
        {
            self.times -= 1;
            return Some(simpler);
        }
        if self.streams && blames_stream(failure) {
            self.streams = false;
            // Whether an answer comes at once makes no difference to what it says.
            return Some(Simpler { body: without_stream(self.dialect, body)?, dropped: None });
        }
        None
    }
}

/// Words by which servers say that they do not do what the request asks.
const REFUSALS: [&str; 18] = [
    "not supported",
    "unsupported",
    "not support",
    "n't support",
    "not allowed",
    "not permitted",
    "not available",
    "not enabled",
    "not implemented",
    "not yet implemented",
    "disabled",
    "must be verified",
    "must be false",
    "cannot stream",
    "can't stream",
    "unknown",
    "unrecognized",
    "unexpected",
];

/// Does a failure say that answers are not streamed, or that the server does not know the field?
fn blames_stream(failure: &Failure) -> bool {
    let message = failure.message.to_ascii_lowercase();
    let said = || REFUSALS.iter().any(|words| message.contains(words));
    match failure.param.as_deref() {
        Some(param) => param == "stream",
        None => has_word(&message, "stream") && said() || has_word(&message, "streaming") && said(),
    }
}

/// Does this word stand in the text, and not as a part of the name of another field?
fn has_word(text: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let behind = text.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(part) && !behind.is_some_and(part)
    })
}

/// The request for a whole answer. Only Ollama takes silence for a wish to stream.
fn without_stream(dialect: Dialect, body: &[u8]) -> Option<Bytes> {
    let AllMembers(members) = serde_json::from_slice(body).ok()?;
    let ndjson = dialect.framing() == Framing::Ndjson;
    let is_wish = |key: &str| matches!(key, "stream" | "stream_options");
    if !ndjson && !members.iter().any(|(key, _)| key == "stream") {
        return None;
    }
    let mut out = BytesMut::with_capacity(body.len());
    let mut rest = Object::new(&mut out);
    for (key, value) in members.iter().filter(|(key, _)| !is_wish(key)) {
        rest.raw(key, value.get());
    }
    if ndjson {
        rest.raw("stream", "false");
    }
    rest.end();
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::failure::Code;

    fn refused(status: u16, words: &str, param: Option<&str>) -> Failure {
        let param = param.map(String::from);
        Failure { param, ..Failure::new(Code::UpstreamError, words).with_status(status) }
    }

    #[test]
    fn a_stream_that_is_refused_is_asked_for_as_a_whole_answer() {
        let body = br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":1.0}"#;
        for failure in [
            refused(400, "Your organization must be verified to stream this model.", Some("stream")),
            refused(
                400,
                "Unsupported value: 'stream' does not support true with this model.",
                Some("stream"),
            ),
            refused(
                422,
                r#"[{"type":"extra_forbidden","loc":["body","stream"],"msg":"Extra inputs are not permitted"}]"#,
                None,
            ),
            refused(501, "Streaming is not supported by this server", None),
            refused(400, "Unrecognized request argument supplied: stream", None),
        ] {
            let mut retreat = Retreat::new(Dialect::OpenAiChat, false);
            assert!(retreat.may_help(&failure), "{failure:?}");
            let simpler = retreat.simpler(body, &failure).unwrap();
            assert_eq!(
                (simpler.body, simpler.dropped),
                (Bytes::from_static(br#"{"model":"m","n":1.0}"#), None)
            );
            assert!(!retreat.may_help(&failure), "only once");
        }
        let ollama = Retreat::new(Dialect::OllamaChat, false)
            .simpler(br#"{"model":"m"}"#, &refused(400, "streaming is not supported", None));
        assert_eq!(ollama.unwrap().body, r#"{"model":"m","stream":false}"#);
    }

    #[test]
    fn what_only_sounds_like_it_is_not_taken_for_it() {
        for failure in [
            refused(400, "stream_options is not supported", None),
            refused(400, "unknown field", Some("stream_options")),
            refused(400, "the upstream is not supported", None),
            refused(500, "streaming is not supported", None),
            refused(400, "bad value", Some("temperature")),
            refused(400, "the end of the stream came early", None),
        ] {
            assert!(!Retreat::new(Dialect::OpenAiChat, false).may_help(&failure), "{failure:?}");
        }
    }

    #[test]
    fn both_wishes_are_taken_back_one_after_the_other() {
        let mut retreat = Retreat::new(Dialect::OpenAiChat, true);
        let body = br#"{"stream":true,"reasoning_effort":"low"}"#;
        let first = retreat.simpler(body, &refused(400, "unknown field", Some("reasoning_effort"))).unwrap();
        assert_eq!(
            (first.body.as_ref(), first.dropped),
            (&br#"{"stream":true}"#[..], Some("reasoning_effort"))
        );
        let second = retreat.simpler(&first.body, &refused(400, "unknown field", Some("stream"))).unwrap();
        assert_eq!(second.body, "{}");
    }
}
