//! Reads what a backend says of its failure, in whatever shape: as the body of an error status, as an event, or as a line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::dialect::Dialect;
use crate::wire::failure::{ANTHROPIC_TYPES, Code, Failure, TOO_LONG};
use crate::wire::frame::Frame;
use crate::wire::json::Field;
use crate::wire::told_code::NO_QUOTA;

/// Words of other servers (OpenAI, vLLM, `SGLang`, llama.cpp, Mistral, Gemini, Ollama) for the same, in small letters.
const FULL_CONTEXT: [&str; 9] = [
    TOO_LONG,
    "maximum context length",
    "exceed context limit",
    "exceeds the available context size",
    "exceeds the context window",
    "exceeds the context length",
    "longer than the model's context length",
    "longer than the maximum model length",
    "exceeds the maximum number of tokens allowed",
];

/// Reads an error body or an error in a frame, in any of the shapes that servers use: `{"error": {…}}`, `{"error": "…"}`,
/// `{"type": "error", "error": {…}}`, `{"detail": …}`, `{"message": …, "object": "error"}`, `MiniMax`'s `base_resp`, any of these in
/// a list, a string, or text and HTML that are no JSON at all.
pub fn read_failure(body: &[u8]) -> Failure {
    let mut body = body;
    // A list would do for the members of an object in their order.
    for _ in 0..LISTS {
        let list = serde_json::from_slice::<Vec<&RawValue>>(body).ok();
        let Some(first) = list.and_then(|list| list.into_iter().next()) else { break };
        body = first.get().as_bytes();
    }
    if let Ok(outer) = serde_json::from_slice::<Outer<'_>>(body) {
        return outer.read();
    }
    let text = match serde_json::from_slice::<Cow<'_, str>>(body) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(body),
    };
    let words = plain_words(&text);
    if words.is_empty() {
        return Failure::new(Code::UpstreamError, "the backend reported an error without a message");
    }
    let full = is_full(&words);
    Failure::new(if full { Code::ContextLengthExceeded } else { Code::UpstreamError }, words)
}

/// A text, or what there is to read on a page of HTML: its title, else its text.
fn plain_words(text: &str) -> String {
    let text = text.trim();
    let page = text.starts_with('<').then(|| {
        let small = text.to_ascii_lowercase();
        let title = small.find("<title>").zip(small.find("</title>"));
        let title = title.and_then(|(from, to)| text.get(from + "<title>".len()..to)).map(str::trim);
        title.filter(|title| !title.is_empty()).map_or_else(|| without_tags(text), str::to_owned)
    });
    let words = page.as_deref().unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|letter| !letter.is_control()).take(WORDS).collect()
}

fn without_tags(page: &str) -> String {
    let mut pieces = page.split('<');
    let before = pieces.next().unwrap_or_default();
    let texts = pieces.filter_map(|piece| piece.split_once('>').map(|(_, text)| text));
    std::iter::once(before).chain(texts).collect::<Vec<_>>().join(" ")
}

/// How many lists an error may stand in.
const LISTS: usize = 4;
/// How many letters of an error are told that is no object.
const WORDS: usize = 500;

/// Is this an answer of `MiniMax` that failed? It has such an object in those that did not, too.
pub(super) fn is_refusal(base: Field<'_>) -> bool {
    base.read::<Base<'_>>().is_some_and(|base| base.status_code.raw().is_some_and(|code| code != "0"))
}

/// What `MiniMax` says of an answer.
#[derive(Default, Deserialize)]
struct Base<'a> {
    #[serde(borrow, default)]
    status_code: Field<'a>,
    #[serde(borrow, default)]
    status_msg: Field<'a>,
}

impl Outer<'_> {
    fn read(&self) -> Failure {
        let inner: Inner<'_> = self.error.read().unwrap_or_default();
        let base: Base<'_> = self.base_resp.read().unwrap_or_default();
        let words = [self.error, inner.message, inner.error, self.message, self.detail, base.status_msg];
        let message = words.into_iter().find_map(Field::string).filter(|text| !text.is_empty());
        let fallback = || {
            let raw = self.detail.raw().or_else(|| inner.code.raw()).or_else(|| base.status_code.raw());
            raw.map(|raw| raw.chars().take(WORDS).collect())
        };
        let message = message
            .map(String::from)
            .or_else(fallback)
            .unwrap_or_else(|| "the backend reported an error without a message".into());
        let word = |field: Field<'_>| field.string().filter(|text| !text.is_empty()).map(String::from);
        let (kind, param) = (word(inner.kind), word(inner.param));
        // OpenAI says it twice, but for a response that failed: that has a code alone.
        let kind = word(inner.code).filter(|code| code == NO_QUOTA).or(kind);
        if is_full_context(&inner, kind.as_deref(), &message) {
            // The type is told in the words of the client's dialect.
            let numbers = inner.numbers().map(Box::new);
            return Failure { param, numbers, ..Failure::new(Code::ContextLengthExceeded, message) };
        }
        if inner.code.string().as_deref() == Some("model_not_found") || is_unknown_model(&message) {
            return Failure { kind, param, ..Failure::new(Code::ModelNotFound, message) };
        }
        let status = status_of(&inner, kind.as_deref()).or_else(|| base.status());
        Failure { status, kind, param, ..Failure::new(Code::UpstreamError, message) }
    }
}

impl Base<'_> {
    /// The status that one of its numbers stands for, as far as they mean something to a client.
    fn status(&self) -> Option<u16> {
        match self.status_code.whole()? {
            1002 | 1039 | 1041 | 2045 => Some(429),
            1004 | 2049 => Some(401),
            1008 => Some(402),
            1026 | 1027 | 2013 => Some(400),
            _ => None,
        }
    }
}

impl Inner<'_> {
    /// How many tokens there were, and how many there may be (llama.cpp).
    fn numbers(&self) -> Option<(u64, u64)> {
        self.n_prompt_tokens.whole().zip(self.n_ctx.whole())
    }
}

/// Words by which a server that has several models says that it has not this one.
fn is_unknown_model(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let named = message.strip_prefix("model ").or_else(|| message.strip_prefix("the model "));
    let Some(name) = named.filter(|name| name.starts_with(['\'', '"', '`'])) else { return false };
    let words = name.trim_end_matches('.');
    words.ends_with(" not found") || words.ends_with(" does not exist")
}

fn is_full_context(error: &Inner<'_>, kind: Option<&str>, message: &str) -> bool {
    error.code.string().as_deref() == Some("context_length_exceeded")
        || kind == Some("exceed_context_size_error")
        || is_full(message)
}

fn is_full(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    FULL_CONTEXT.iter().any(|words| message.contains(words))
}

/// The status that an error should have had, where it says one: by a number, by its type, or by its code. 500 says no more than that
/// it failed.
fn status_of(error: &Inner<'_>, kind: Option<&str>) -> Option<u16> {
    let number = error.code.whole().and_then(|code| u16::try_from(code).ok());
    let types = || ANTHROPIC_TYPES.iter().chain(&[(NOT_SUPPORTED, 501)]);
    let by_type = || types().find(|(known, _)| kind == Some(known)).map(|(_, status)| *status);
    let by_code = || error.code.string().and_then(|code| status_of_code(&code));
    let number = number.filter(|status| (400..600).contains(status));
    number.or_else(by_type).or_else(by_code).filter(|status| *status != 500)
}

/// The status that goes with a code of OpenAI's (`ResponseError.code` of openai-python 3.57, and what Codex 0.171 knows besides).
fn status_of_code(code: &str) -> Option<u16> {
    match code {
        "rate_limit_exceeded" | NO_QUOTA => Some(429),
        "server_is_overloaded" | "slow_down" => Some(503),
        "invalid_prompt" | "cyber_policy" | "bio_policy" => Some(400),
        code if code.contains("image") => Some(400),
        _ => None,
    }
}

impl Failure {
    /// Does the server say that it, or its model, cannot do what the request asks? Some say so with a status by which it would be
    /// their own trouble (llama.cpp: 500 for an image).
    pub fn is_unsupported(&self) -> bool {
        let small = || self.message.to_ascii_lowercase();
        match self.status {
            Some(501) => true,
            Some(500) | None if self.code == Code::UpstreamError => {
                let small = small();
                self.kind.as_deref() == Some(NOT_SUPPORTED)
                    || UNSUPPORTED.iter().any(|words| small.contains(words))
            }
            Some(_) | None => false,
        }
    }

    /// Does the server say that it is loading its model?
    pub fn is_loading(&self) -> bool {
        let small = self.message.to_ascii_lowercase();
        self.status == Some(503) && LOADING.iter().any(|words| small.contains(words))
    }
}

/// llama.cpp's type for it.
const NOT_SUPPORTED: &str = "not_supported_error";
/// What no retry mends. "Operation not supported" is not among them: so drivers fail.
const UNSUPPORTED: [&str; 9] = [
    "input is not supported",
    "inputs are not supported",
    "model does not support",
    "server does not support",
    "not supported by this model",
    "not supported by this server",
    "not supported for this model",
    "not supported with this model",
    "this model is not multimodal",
];
/// Servers' words (llama.cpp, Hugging Face, TGI) for a model that will be there in a moment.
const LOADING: [&str; 5] =
    ["loading model", "model is loading", "currently loading", "still loading", "loading the model"];

/// Is this whole answer, which came with a status of success, a failure all the same?
pub fn tells_failure(body: &[u8]) -> bool {
    let outer = serde_json::from_slice::<Outer<'_>>(body);
    outer.is_ok_and(|Outer { error, base_resp, .. }| !error.is_absent() || is_refusal(base_resp))
}

/// Is this JSON an error, and nothing else that a server may say?
pub(super) fn is_error(body: &[u8]) -> bool {
    let outer = serde_json::from_slice::<Outer<'_>>(body);
    outer.is_ok_and(|Outer { error, detail, message, .. }| {
        !error.is_absent() || !detail.is_absent() || message.text().is_some()
    })
}

/// Do clients of `dialect` see the error that this frame of it carries? Anthropic's look for the name of the event, all others for
/// the member `error`; a finish reason that means failure is for OpenAI's to read.
pub fn is_seen(dialect: Dialect, frame: &Frame) -> bool {
    let named = frame.event.as_deref() == Some(b"error");
    let nested =
        || serde_json::from_slice::<Outer<'_>>(&frame.data).is_ok_and(|outer| !outer.error.is_absent());
    match dialect {
        Dialect::Anthropic => named,
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => !named || nested(),
        Dialect::OpenAiResponses | Dialect::OllamaChat | Dialect::OllamaGenerate => nested(),
    }
}

#[derive(Default, Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    error: Field<'a>,
    #[serde(borrow, default)]
    detail: Field<'a>,
    #[serde(borrow, default)]
    message: Field<'a>,
    #[serde(borrow, default)]
    base_resp: Field<'a>,
}

#[derive(Default, Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    error: Field<'a>,
    #[serde(borrow, default)]
    message: Field<'a>,
    #[serde(rename = "type", borrow, default)]
    kind: Field<'a>,
    #[serde(borrow, default)]
    code: Field<'a>,
    #[serde(borrow, default)]
    param: Field<'a>,
    #[serde(borrow, default)]
    n_prompt_tokens: Field<'a>,
    #[serde(borrow, default)]
    n_ctx: Field<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_an_error_body_gives_its_message() {
        for (body, message) in [
            (r#"{"error":{"message":"m1","type":"t","code":400}}"#, "m1"),
            (r#"{"error":"m2"}"#, "m2"),
            (r#"{"type":"error","error":{"type":"x","message":"m3"}}"#, "m3"),
            (r#"{"detail":"m4"}"#, "m4"),
            (r#"{"detail":[{"loc":["a"],"msg":"m"}]}"#, r#"[{"loc":["a"],"msg":"m"}]"#),
            (r#"{"message":"m5","object":"error"}"#, "m5"),
            (r#"{"error":{"error":"m6"}}"#, "m6"),
            (r#"{"error":{"code":503}}"#, "503"),
            (r#"[{"error":{"message":"m7"}}]"#, "m7"),
            (r#"["m8"]"#, "m8"),
            (r#""m9""#, "m9"),
            ("  m10\n twice ", "m10 twice"),
            (
                "<html><head><title>413 Too Large</title></head><body><h1>m</h1></body></html>",
                "413 Too Large",
            ),
            ("<html><body><h1>m11</h1><hr>nginx</body></html>", "m11 nginx"),
            (r#"{"base_resp":{"status_code":1004,"status_msg":"m12"}}"#, "m12"),
            ("<html>", "the backend reported an error without a message"),
            ("", "the backend reported an error without a message"),
            ("[]", "the backend reported an error without a message"),
            ("{}", "the backend reported an error without a message"),
        ] {
            assert_eq!(read_failure(body.as_bytes()).message, message, "{body}");
        }
    }

    #[test]
    fn an_error_says_its_status_by_a_number_or_by_its_type() {
        for (body, status) in [
            (r#"{"error":{"message":"m","code":503}}"#, Some(503)),
            (r#"{"error":{"message":"m","code":"503"}}"#, None),
            (r#"{"error":{"message":"m","code":200}}"#, None),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, Some(529)),
            (r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#, Some(429)),
            (r#"{"error":{"type":"server_error","message":"m"}}"#, None),
            (r#"{"error":{"message":"m","code":500}}"#, None),
            (r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, Some(429)),
            (r#"{"error":{"message":"m","code":"insufficient_quota","type":"t"}}"#, Some(429)),
            (r#"{"error":{"message":"m","code":"server_is_overloaded"}}"#, Some(503)),
            (r#"{"error":{"message":"m","code":"image_too_large"}}"#, Some(400)),
            (r#"{"error":{"message":"m","code":"server_error"}}"#, None),
        ] {
            assert_eq!(read_failure(body.as_bytes()).status, status, "{body}");
        }
    }

    #[test]
    fn a_full_context_has_a_code_of_its_own_and_the_words_by_which_clients_know_it() {
        for body in [
            r#"{"error":{"message":"too many","code":"context_length_exceeded"}}"#,
            r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_ctx":8}}"#,
            r#"{"object":"error","message":"This model's maximum context length is 8 tokens.","code":400}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}"#,
        ] {
            let failure = read_failure(body.as_bytes());
            assert_eq!((failure.code, failure.status()), (Code::ContextLengthExceeded, 400), "{body}");
            let told: serde_json::Value =
                serde_json::from_slice(&failure.body(Dialect::Anthropic, None)).unwrap();
            let words = told["error"]["message"].as_str().unwrap();
            assert!(words.starts_with(TOO_LONG) && words.matches(TOO_LONG).count() == 1, "{words}");
            let told: serde_json::Value =
                serde_json::from_slice(&failure.body(Dialect::OpenAiChat, None)).unwrap();
            assert_eq!(told["error"]["code"], "context_length_exceeded");
            assert_eq!(told["error"]["type"], "invalid_request_error");
        }
    }
}
