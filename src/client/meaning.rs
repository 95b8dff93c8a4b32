//! What one event means, whatever the API: read from the event alone, so that a stream can be entered anywhere.

use serde_json::Value;

use crate::wire::read_failure;

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// Text of the answer.
    pub text: String,
    /// Is it text, reasoning or a tool call: what a reader waits for first?
    pub is_content: bool,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// How the answer ended, if it did with this event.
    pub verdict: Option<Verdict>,
}

/// How an answer says that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With the terminator of its API.
    Done,
    Failed {
        /// One word, where the API has one.
        code: String,
        message: String,
    },
}

impl Meaning {
    /// Reads an event of OpenAI's APIs, Anthropic's or Ollama's; one of another kind means nothing.
    pub fn of(name: &str, data: &str) -> Self {
        if data == "[DONE]" {
            return Self { verdict: Some(Verdict::Done), ..Self::default() };
        }
        let Ok(value) = &serde_json::from_str::<Value>(data) else { return Self::default() };
        if let Some(verdict) = failure(name, value, data) {
            return Self { verdict: Some(verdict), ..Self::default() };
        }
        let mut meaning = match at(value, "/type").as_str() {
            Some(kind) => Self::of_type(kind, value),
            None if at(value, "/choices").is_array() => Self::of_choice(at(value, "/choices/0")),
            None => Self::of_line(value),
        };
        meaning.count(value);
        meaning
    }

    fn saying(text: &Value, others: &[&Value]) -> Self {
        let text = text.as_str().unwrap_or_default().to_owned();
        let is_content = !text.is_empty() || others.iter().any(|other| says(other));
        Self { text, is_content, ..Self::default() }
    }

    /// A chunk of OpenAI's chat or completions, or the whole answer.
    fn of_choice(choice: &Value) -> Self {
        let message =
            if at(choice, "/delta").is_object() { at(choice, "/delta") } else { at(choice, "/message") };
        let text =
            if at(choice, "/text").is_string() { at(choice, "/text") } else { at(message, "/content") };
        let mut meaning = Self::saying(
            text,
            &[at(message, "/reasoning_content"), at(message, "/reasoning"), at(message, "/tool_calls")],
        );
        if at(choice, "/message").is_object() {
            meaning.verdict = Some(Verdict::Done);
        }
        meaning
    }

    /// A line of Ollama's.
    fn of_line(value: &Value) -> Self {
        let message = at(value, "/message");
        let text = if message.is_object() { at(message, "/content") } else { at(value, "/response") };
        let mut meaning = Self::saying(
            text,
            &[at(message, "/thinking"), at(value, "/thinking"), at(message, "/tool_calls")],
        );
        if *at(value, "/done") == true {
            meaning.verdict = Some(Verdict::Done);
        }
        meaning
    }

    /// An event of Anthropic's or of OpenAI's Responses.
    fn of_type(kind: &str, value: &Value) -> Self {
        let delta = at(value, "/delta");
        match kind {
            "content_block_delta" => {
                Self::saying(at(delta, "/text"), &[at(delta, "/thinking"), at(delta, "/partial_json")])
            }
            "response.output_text.delta" => Self::saying(delta, &[]),
            kind if kind.starts_with("response.") && kind.rsplit('.').next() == Some("delta") => {
                Self::saying(&Value::Null, &[delta])
            }
            "message" => {
                let text = blocks(at(value, "/content"));
                Self { is_content: !text.is_empty(), text, verdict: Some(Verdict::Done), ..Self::default() }
            }
            "message_stop" | "response.completed" | "response.incomplete" => {
                Self { verdict: Some(Verdict::Done), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    fn count(&mut self, value: &Value) {
        let places = [at(value, "/usage"), at(value, "/message/usage"), at(value, "/response/usage"), value];
        let find = |names: &[&str]| {
            let mut all =
                places.iter().flat_map(|place| names.iter().map(|name| place.get(*name).unwrap_or(&NULL)));
            all.find_map(Value::as_u64)
        };
        self.input_tokens = find(&["prompt_tokens", "input_tokens", "prompt_eval_count"]);
        self.output_tokens = find(&["completion_tokens", "output_tokens", "eval_count"]);
    }
}

static NULL: Value = Value::Null;

/// What stands at a place in JSON; null where nothing does.
pub(super) fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    value.pointer(place).unwrap_or(&NULL)
}

/// Is there something in it?
fn says(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// The texts of a whole answer of Anthropic's.
fn blocks(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter_map(|block| at(block, "/text").as_str()).collect()
}

fn failure(name: &str, value: &Value, data: &str) -> Option<Verdict> {
    let kind = at(value, "/type").as_str().unwrap_or_default();
    let inner = if kind == "response.failed" { at(value, "/response/error") } else { at(value, "/error") };
    if name != "error" && kind != "error" && kind != "response.failed" && inner.is_null() {
        return None;
    }
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let code =
        word(at(inner, "/code")).or_else(|| word(at(value, "/code"))).or_else(|| word(at(inner, "/type")));
    let message = word(at(inner, "/message")).unwrap_or_else(|| read_failure(data.as_bytes()).message);
    Some(Verdict::Failed { code: code.unwrap_or_default(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &str) -> Meaning {
        Meaning::of("message", data)
    }

    #[test]
    fn texts_are_found_in_every_api() {
        for data in [
            r#"{"choices":[{"delta":{"content":"Rhine"}}]}"#,
            r#"{"choices":[{"text":"Rhine"}]}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Rhine"}}"#,
            r#"{"type":"response.output_text.delta","delta":"Rhine"}"#,
            r#"{"message":{"content":"Rhine"},"done":false}"#,
            r#"{"response":"Rhine","done":false}"#,
        ] {
            let meaning = of(data);
            assert_eq!(
                (meaning.text.as_str(), meaning.is_content, meaning.verdict),
                ("Rhine", true, None),
                "{data}"
            );
        }
    }

    #[test]
    fn thoughts_and_calls_are_content_and_a_role_is_not() {
        assert!(of(r#"{"choices":[{"delta":{"reasoning_content":"Hm"}}]}"#).is_content);
        assert!(of(r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#).is_content);
        assert!(of(r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#).is_content);
        assert!(of(r#"{"type":"content_block_delta","delta":{"thinking":"Hm"}}"#).is_content);
        assert!(!of(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).is_content);
        assert!(!of(r#"{"type":"message_start","message":{}}"#).is_content);
    }

    #[test]
    fn only_a_terminator_is_a_good_end() {
        for data in [
            "[DONE]",
            r#"{"type":"message_stop"}"#,
            r#"{"type":"response.completed","response":{}}"#,
            r#"{"message":{"content":""},"done":true}"#,
        ] {
            assert_eq!(of(data).verdict, Some(Verdict::Done), "{data}");
        }
        assert_eq!(of(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).verdict, None);
    }

    #[test]
    fn errors_are_told_in_their_words() {
        for (data, code) in [
            (r#"{"error":{"message":"no","code":"upstream_stalled"}}"#, "upstream_stalled"),
            (r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#, "api_error"),
            (r#"{"type":"error","code":"x","message":"no","error":null}"#, "x"),
            (r#"{"type":"response.failed","response":{"error":{"code":"x","message":"no"}}}"#, "x"),
            (r#"{"error":"no"}"#, ""),
        ] {
            let failed = Verdict::Failed { code: code.into(), message: "no".into() };
            assert_eq!(of(data).verdict, Some(failed), "{data}");
        }
    }

    #[test]
    fn tokens_are_counted_where_they_are_told() {
        let counts = |data| {
            let meaning = of(data);
            (meaning.input_tokens, meaning.output_tokens)
        };
        let both = (Some(5), Some(2));
        assert_eq!(counts(r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#), both);
        assert_eq!(counts(r#"{"done":true,"response":"","prompt_eval_count":5,"eval_count":2}"#), both);
        let completed =
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":2}}}"#;
        assert_eq!(counts(completed), both);
        assert_eq!(counts(r#"{"type":"message_delta","usage":{"output_tokens":2}}"#), (None, Some(2)));
        assert_eq!(counts("[]"), (None, None));
    }
}
