//! A request put once more, without the wish to think for which a backend has refused it: many models cannot, and some servers
//! do not know the word.

use bytes::{Bytes, BytesMut};

use crate::wire::dialect::Dialect;
use crate::wire::failure::Failure;
use crate::wire::json::Object;
use crate::wire::members::AllMembers;

/// The request `body` that was written in `dialect`, without a wish to think; `None` if it has none, or if it is not what `failure`
/// blames.
pub fn without_thinking(dialect: Dialect, body: &[u8], failure: &Failure) -> Option<Bytes> {
    // What the words of a refusal name, and the members that are to blame then.
    let (words, wishes): (&str, &[&str]) = match dialect {
        Dialect::OllamaChat => ("does not support thinking", &["think"]),
        Dialect::OpenAiChat => ("reasoning_effort", &["reasoning_effort"]),
        Dialect::OpenAiResponses => ("reasoning", &["reasoning", "include"]),
        Dialect::Anthropic | Dialect::OpenAiCompletions | Dialect::OllamaGenerate => return None,
    };
    let blamed = failure.param.iter().chain([&failure.message]).any(|said| said.contains(words));
    let AllMembers(members) = serde_json::from_slice(body).ok().filter(|_| blamed)?;
    let is_wish = |key: &str| wishes.contains(&key);
    if !members.iter().any(|(key, _)| is_wish(key)) {
        return None;
    }
    let mut out = BytesMut::with_capacity(body.len());
    let mut rest = Object::new(&mut out);
    for (key, value) in members.iter().filter(|(key, _)| !is_wish(key)) {
        rest.raw(key, value.get());
    }
    rest.end();
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::failure::Code;

    #[test]
    fn a_wish_that_is_blamed_is_taken_back_and_no_other() {
        let failure = |words: &str| Failure::new(Code::UpstreamError, words);
        let chat = br#"{"model":"m","reasoning_effort":"low","n":1.0}"#;
        let without = |words: &str| without_thinking(Dialect::OpenAiChat, chat, &failure(words));
        assert_eq!(without("unknown field `reasoning_effort`").unwrap(), r#"{"model":"m","n":1.0}"#);
        assert_eq!(without("unknown field `reasoning_content`"), None);
        let blamed = failure("Unsupported parameter").param("reasoning_effort");
        assert!(without_thinking(Dialect::OpenAiChat, chat, &blamed).is_some());
        let responses =
            br#"{"reasoning":{"effort":"low"},"include":["reasoning.encrypted_content"],"input":"a"}"#;
        let blamed = failure("'reasoning.effort' is not supported with this model");
        let rest = without_thinking(Dialect::OpenAiResponses, responses, &blamed);
        assert_eq!(rest.unwrap(), r#"{"input":"a"}"#);
        assert_eq!(without_thinking(Dialect::OpenAiResponses, br#"{"input":"a"}"#, &blamed), None);
    }
}
