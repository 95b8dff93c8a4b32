//! A request put once more, without what its backend has refused by name: many models cannot think, or no longer let anybody say
//! how they choose their words, and neither their names nor their servers tell before.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::wire::dialect::Dialect;
use crate::wire::failure::Failure;
use crate::wire::json::{Field, Object, Text};
use crate::wire::members::{AllMembers, all_members, named};
use crate::wire::models::SamplingOption;

/// A request that asks for less, or for the same in other words.
#[derive(Debug, PartialEq, Eq)]
pub struct Simpler {
    pub body: Bytes,
    /// What it no longer asks for.
    pub dropped: Option<&'static str>,
}

/// The request `body`, which was written here in `dialect`, without what `failure` blames or in the words that it asks for. `None`
/// if there is nothing of the kind in it.
pub(super) fn simpler(dialect: Dialect, body: &[u8], failure: &Failure) -> Option<Simpler> {
    let AllMembers(all) = serde_json::from_slice(body).ok()?;
    let mut members =
        Members(all.into_iter().map(|(key, value)| (key, Cow::Borrowed(value.get()))).collect());
    // What is blamed for the sake of thinking goes before thinking itself.
    let dropped = match (members.without_sampling(failure), dialect) {
        (Some(dropped), _) => Some(dropped),
        (None, Dialect::OllamaChat) => members.without("does not support thinking", failure, &["think"]),
        (None, Dialect::OpenAiChat) => members
            .renamed_limit(failure)
            .or_else(|| members.without("reasoning_effort", failure, &["reasoning_effort"])),
        (None, Dialect::OpenAiResponses) => members.without("reasoning", failure, &["reasoning", "include"]),
        (None, Dialect::Anthropic) => members.other_thinking(failure),
        (None, Dialect::OpenAiCompletions | Dialect::OllamaGenerate) => None,
    }?;
    let mut out = BytesMut::with_capacity(body.len());
    let mut rest = Object::new(&mut out);
    for (key, value) in &members.0 {
        rest.raw(key, value);
    }
    rest.end();
    Some(Simpler { body: out.freeze(), dropped })
}

/// The members of a request, in order.
struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What a change takes away, where it takes something.
type Change = Option<&'static str>;

const EFFORT: &str = "reasoning_effort";

impl<'a> Members<'a> {
    fn get(&mut self, key: &str) -> Option<&mut Cow<'a, str>> {
        self.0.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Takes these out; false if there is none of them.
    fn remove(&mut self, keys: &[&str]) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| !keys.contains(&key.as_ref()));
        self.0.len() < before
    }

    /// Takes the wish to think out that these `words` of a refusal are about.
    fn without(&mut self, words: &str, failure: &Failure, keys: &[&str]) -> Option<Change> {
        (says(failure, words) && self.remove(keys)).then_some(Some(EFFORT))
    }

    /// A limit under the name that reasoning models of `OpenAI`'s want, or under the one that older servers know.
    fn renamed_limit(&mut self, failure: &Failure) -> Option<Change> {
        let (older, newer) = ("max_tokens", "max_completion_tokens");
        // Both refusals name the newer one: «Use 'max_completion_tokens' instead.»
        if !says(failure, newer) {
            return None;
        }
        let (old, new) = match (self.get(older).is_some(), is_unsupported(failure)) {
            (true, _) => (older, newer),
            (false, true) if self.get(newer).is_some() => (newer, older),
            (false, _) => return None,
        };
        self.0.iter_mut().filter(|(key, _)| key == old).for_each(|(key, _)| *key = Cow::Borrowed(new));
        Some(None)
    }

    /// Without the sampling option that is not supported. One whose value is wrong is its sender's own affair.
    fn without_sampling(&mut self, failure: &Failure) -> Option<Change> {
        if !is_unsupported(failure) {
            return None;
        }
        let blamed = |name: &str| match failure.param.as_deref() {
            Some(param) => param == name,
            None => failure
                .message
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == name),
        };
        let found = SamplingOption::ALL.into_iter().map(SamplingOption::name).find(|name| {
            // llama.cpp and vLLM are told it twice, under their two names.
            let twin = if *name == "repeat_penalty" { "repetition_penalty" } else { name };
            (blamed(name) || blamed(twin)) && self.remove(&[*name, twin])
        })?;
        Some(Some(found))
    }

    /// Anthropic's models take a budget for thinking or a level, or do not think, or cannot but think.
    fn other_thinking(&mut self, failure: &Failure) -> Option<Change> {
        let thinking = self.get("thinking").map(|thinking| thinking.clone().into_owned());
        let field: Field<'_> =
            thinking.as_deref().and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        let [kind, budget] = named(field, ["type", "budget_tokens"], |_| {}).unwrap_or_default();
        if kind.string().as_deref() == Some("enabled") && says(failure, "thinking.type.adaptive") {
            *self.get("thinking")? = Cow::Borrowed("{\"type\":\"adaptive\"}");
            self.set_effort(Some(level_of(budget.whole().unwrap_or_default())));
            return Some(None);
        }
        let about_thinking = says(failure, "thinking") || says(failure, "adaptive");
        let about_effort = says(failure, "effort");
        if !is_unsupported(failure) || !(about_thinking || about_effort) {
            return None;
        }
        let switched_off = kind.string().as_deref() == Some("disabled");
        let thought = about_thinking && self.remove(&["thinking"]);
        let levelled = !switched_off && self.set_effort(None);
        (thought || levelled).then_some(Some(EFFORT))
    }

    /// Sets or takes out the level of effort, beside what else the output shall be like; false if nothing is changed.
    fn set_effort(&mut self, level: Option<&'static str>) -> bool {
        let before = self.get("output_config").map(|output| output.clone().into_owned());
        let members = all_members(before.as_deref().unwrap_or("{}"));
        let had = members.iter().any(|(key, _)| key == "effort");
        if level.is_none() && !had {
            return false;
        }
        let mut out = BytesMut::new();
        let mut output = Object::new(&mut out);
        for (key, value) in members.iter().filter(|(key, _)| key != "effort") {
            output.raw(key, value);
        }
        if let Some(level) = level {
            output.text("effort", Text::Plain(level));
        }
        output.end();
        let left = level.is_some() || members.len() > 1;
        self.remove(&["output_config"]);
        if left {
            let output = String::from_utf8_lossy(&out).into_owned();
            self.0.push((Cow::Borrowed("output_config"), Cow::Owned(output)));
        }
        true
    }
}

/// The level for which a budget was written.
fn level_of(budget: u64) -> &'static str {
    match budget {
        0..2048 => "low",
        2048..4096 => "medium",
        4096..8192 => "high",
        8192..16384 => "xhigh",
        _ => "max",
    }
}

fn says(failure: &Failure, words: &str) -> bool {
    failure.param.iter().chain([&failure.message]).any(|said| said.contains(words))
}

/// Is it refused for being there at all? These are the words of OpenAI, Anthropic, and of what checks bodies for the servers of others.
fn is_unsupported(failure: &Failure) -> bool {
    const WORDS: [&str; 9] = [
        "not support",
        "unsupported",
        "deprecated",
        "not permitted",
        "not allowed",
        "unknown",
        "unrecognized",
        "unexpected",
        "not available",
    ];
    let said = failure.message.to_ascii_lowercase();
    WORDS.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::failure::Code;

    fn failure(words: &str) -> Failure {
        Failure::new(Code::UpstreamError, words)
    }

    /// The rest of a request, and what was taken out of it.
    fn rest(dialect: Dialect, body: &str, words: &str) -> Option<(String, Change)> {
        let Simpler { body, dropped } = simpler(dialect, body.as_bytes(), &failure(words))?;
        Some((String::from_utf8(body.to_vec()).unwrap(), dropped))
    }

    #[test]
    fn a_wish_that_is_blamed_is_taken_back_and_no_other() {
        let chat = r#"{"model":"m","reasoning_effort":"low","n":1.0}"#;
        let without = |words: &str| rest(Dialect::OpenAiChat, chat, words);
        let wanted = (r#"{"model":"m","n":1.0}"#.to_owned(), Some("reasoning_effort"));
        assert_eq!(without("unknown field `reasoning_effort`").unwrap(), wanted);
        assert_eq!(without("unknown field `reasoning_content`"), None);
        let blamed = failure("Unsupported parameter").param("reasoning_effort");
        assert!(simpler(Dialect::OpenAiChat, chat.as_bytes(), &blamed).is_some());
        let responses =
            r#"{"reasoning":{"effort":"low"},"include":["reasoning.encrypted_content"],"input":"a"}"#;
        let blamed = "'reasoning.effort' is not supported with this model";
        assert_eq!(rest(Dialect::OpenAiResponses, responses, blamed).unwrap().0, r#"{"input":"a"}"#);
        assert_eq!(rest(Dialect::OpenAiResponses, r#"{"input":"a"}"#, blamed), None);
    }

    #[test]
    fn a_sampling_option_that_no_model_takes_is_left_out_and_a_wrong_value_is_not() {
        let body = r#"{"model":"m","temperature":0.3,"top_p":0.9,"top_k":4}"#;
        for (dialect, words, name) in [
            (Dialect::Anthropic, "`temperature` is deprecated for this model.", "temperature"),
            (Dialect::Anthropic, "top_k: Extra inputs are not permitted", "top_k"),
            (
                Dialect::OpenAiChat,
                "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.",
                "temperature",
            ),
            (
                Dialect::OpenAiResponses,
                "Unsupported parameter: 'top_p' is not supported with this model.",
                "top_p",
            ),
        ] {
            let (left, dropped) = rest(dialect, body, words).unwrap();
            assert_eq!(dropped, Some(name), "{words}");
            assert!(!left.contains(name) && left.contains("\"model\""), "{left}");
        }
        assert_eq!(rest(Dialect::Anthropic, body, "temperature: must be at most 1"), None);
        assert_eq!(rest(Dialect::Anthropic, body, "`tools` is not supported by this model"), None);
        assert_eq!(rest(Dialect::Anthropic, r#"{"model":"m"}"#, "`temperature` is deprecated"), None);
    }

    #[test]
    fn a_limit_is_told_under_the_name_that_is_asked_for() {
        let words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        let told = rest(Dialect::OpenAiChat, r#"{"max_tokens":9,"n":1}"#, words);
        assert_eq!(told, Some((r#"{"max_completion_tokens":9,"n":1}"#.to_owned(), None)));
        let words = "Unrecognized request argument supplied: max_completion_tokens";
        let told = rest(Dialect::OpenAiChat, r#"{"max_completion_tokens":9}"#, words);
        assert_eq!(told, Some((r#"{"max_tokens":9}"#.to_owned(), None)));
        assert_eq!(rest(Dialect::OpenAiChat, r#"{"max_tokens":9}"#, "max_tokens is too large: 9"), None);
    }

    #[test]
    fn thinking_is_asked_for_in_the_form_that_the_model_takes() {
        let budget = r#"{"model":"m","thinking":{"type":"enabled","budget_tokens":4096},"output_config":{"format":{}}}"#;
        let words = "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.";
        let (told, dropped) = rest(Dialect::Anthropic, budget, words).unwrap();
        assert_eq!(dropped, None);
        assert_eq!(
            told,
            r#"{"model":"m","thinking":{"type":"adaptive"},"output_config":{"format":{},"effort":"high"}}"#
        );
        let off = r#"{"model":"m","thinking":{"type":"disabled"}}"#;
        let (told, dropped) = rest(Dialect::Anthropic, off, &words.replace("enabled", "disabled")).unwrap();
        assert_eq!((told.as_str(), dropped), (r#"{"model":"m"}"#, Some("reasoning_effort")));
        let level = r#"{"model":"m","thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#;
        let words = "adaptive thinking is not supported on this model";
        let (told, dropped) = rest(Dialect::Anthropic, level, words).unwrap();
        assert_eq!((told.as_str(), dropped), (r#"{"model":"m"}"#, Some("reasoning_effort")));
        assert_eq!(rest(Dialect::Anthropic, budget, "thinking.budget_tokens: must be at least 1024"), None);
    }
}
