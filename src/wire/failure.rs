//! What can go wrong with an answer, the closed list of codes, and how each dialect says it: as the body of an error status or
//! as the last frame of a stream.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::dialect::{Dialect, Framing};
use crate::wire::json::{Object, Text};

/// Why a request was refused or a stream broke off. The list is closed: clients may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    InvalidRequest,
    Unauthorized,
    Forbidden,
    ModelNotFound,
    /// The conversation is longer than the model can read.
    ContextLengthExceeded,
    PayloadTooLarge,
    RateLimited,
    UpstreamUnreachable,
    UpstreamError,
    UpstreamStalled,
    UpstreamTruncated,
    FirstTokenTimeout,
    FrameTooLarge,
    MaxDuration,
    QueueFull,
    /// No backend had a slot free in time.
    QueueTimeout,
    /// Another stream of the conversation, or another viewer of this one, took its place.
    Superseded,
    /// The replica that ran the stream is gone.
    ProducerLost,
    Cancelled,
    Draining,
    Internal,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ModelNotFound => "model_not_found",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamStalled => "upstream_stalled",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::FrameTooLarge => "frame_too_large",
            Self::MaxDuration => "max_duration",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Superseded => "superseded",
            Self::ProducerLost => "producer_lost",
            Self::Cancelled => "cancelled",
            Self::Draining => "draining",
            Self::Internal => "internal",
        }
    }

    /// The status of an answer that has not begun, where the cause does not say another.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::ContextLengthExceeded => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::ModelNotFound => 404,
            Self::PayloadTooLarge => 413,
            Self::RateLimited => 429,
            Self::Superseded | Self::Cancelled => 409,
            Self::UpstreamUnreachable
            | Self::UpstreamError
            | Self::UpstreamTruncated
            | Self::ProducerLost
            | Self::FrameTooLarge => 502,
            Self::UpstreamStalled | Self::FirstTokenTimeout | Self::MaxDuration => 504,
            Self::QueueFull | Self::QueueTimeout | Self::Draining => 503,
            Self::Internal => 500,
        }
    }
}

/// A failure, in words for the caller. No message holds a key, a header or a backend's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// The status to answer with, if it is not the code's own.
    pub status: Option<u16>,
    /// The backend's own word for the type of the error.
    pub kind: Option<String>,
    /// The request field that is to blame.
    pub param: Option<String>,
    /// The tokens of a request that is too long, and how many the backend can read, where it says so.
    pub numbers: Option<Box<(u64, u64)>>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, kind: None, param: None, numbers: None }
    }

    /// Blames a field of the request.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Answers with another status than the code's own.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// The status in the words of `dialect`: an overloaded server is a 529 to Anthropic's clients and a 503 to all others.
    pub fn status_in(&self, dialect: Dialect) -> u16 {
        match (dialect, self.status()) {
            (Dialect::Anthropic, 503) => 529,
            (
                Dialect::OpenAiChat
                | Dialect::OpenAiCompletions
                | Dialect::OpenAiResponses
                | Dialect::OllamaChat
                | Dialect::OllamaGenerate,
                529,
            ) => 503,
            (_, status) => status,
        }
    }

    /// The JSON of the error in `dialect`.
    pub fn body(&self, dialect: Dialect, request_id: Option<&str>) -> Bytes {
        let mut out = BytesMut::with_capacity(self.message.len() + 160);
        let mut body = Object::new(&mut out);
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses => {
                body.object("error", |error| self.write_openai(error));
            }
            Dialect::Anthropic => {
                body.raw("type", "\"error\"").object("error", |error| {
                    error.text("type", Text::Plain(self.anthropic_type()));
                    error.text("message", Text::Plain(&self.anthropic_message()));
                    if self.param.as_deref() == Some(THREAD) {
                        // By this alone its SDKs know that they must send the whole history again.
                        error.raw("details", NO_THREADS);
                    }
                });
                if let Some(id) = request_id {
                    body.text("request_id", Text::Plain(id));
                }
            }
            Dialect::OllamaChat | Dialect::OllamaGenerate => {
                body.text("error", Text::Plain(&self.message));
            }
        }
        body.end();
        out.freeze()
    }

    /// The last frame of a stream of `dialect` that failed. A stream of Responses ends with more than that: see its encoder.
    pub fn frame(&self, dialect: Dialect) -> Bytes {
        let body = self.body(dialect, None);
        let mut out = BytesMut::with_capacity(body.len() + 24);
        if dialect == Dialect::Anthropic {
            out.put_slice(b"event: error\n"); // without its name the SDKs ignore it
        }
        match dialect.framing() {
            Framing::Sse => {
                out.put_slice(b"data: ");
                out.put_slice(&body);
                out.put_slice(b"\n\n");
            }
            Framing::Ndjson => {
                out.put_slice(&body);
                out.put_slice(b"\n");
            }
        }
        out.freeze()
    }

    /// Writes the members of an error object of OpenAI.
    pub(super) fn write_openai(&self, error: &mut Object<'_>) {
        error.text("message", Text::Plain(&self.message));
        error.text("type", Text::Plain(self.kind.as_deref().unwrap_or_else(|| self.openai_type())));
        match &self.param {
            Some(param) => error.text("param", Text::Plain(param)),
            None => error.raw("param", "null"),
        };
        error.text("code", Text::Plain(self.openai_code()));
        if let Some(status) = self.status.filter(|_| self.code == Code::UpstreamError) {
            error.number("status", u64::from(status));
        }
        if let Some((prompt, context)) = self.numbers.as_deref().copied() {
            error.number("n_prompt_tokens", prompt).number("n_ctx", context);
        }
    }

    /// Clients know a full context by the first words alone, and make their history shorter then.
    fn anthropic_message(&self) -> Cow<'_, str> {
        let known = [TOO_LONG, "exceed context limit"].iter().any(|known| self.message.contains(known));
        if self.code == Code::ContextLengthExceeded && !known {
            return Cow::Owned(format!("{TOO_LONG}: {}", self.message));
        }
        Cow::Borrowed(&self.message)
    }

    fn openai_type(&self) -> &'static str {
        match self.status() {
            429 => "rate_limit_error",
            401 => "authentication_error",
            403 => "permission_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// By the status, from which clients make the class of their error; in a stream, which has none, the backend's own word if it
    /// is one of Anthropic's.
    fn anthropic_type(&self) -> &'static str {
        let in_stream = self.code == Code::UpstreamError && self.status.is_none();
        let own = ANTHROPIC_TYPES.iter().find(|(known, _)| in_stream && self.kind.as_deref() == Some(known));
        own.map_or_else(
            || match self.status() {
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                400..=499 => "invalid_request_error",
                503 | 529 => "overloaded_error",
                504 => "timeout_error",
                _ => "api_error",
            },
            |(own, _)| own,
        )
    }
}

/// The field of a Messages request by which a client leaves its history to the vendor.
pub(super) const THREAD: &str = "thread";
const NO_THREADS: &str = "{\"error_code\":\"thread_unsupported_request\",\"unsupported\":[\"thread\"]}";

/// Anthropic's types of errors, each with its status.
pub(super) const ANTHROPIC_TYPES: [(&str, u16); 10] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("overloaded_error", 529),
    ("timeout_error", 504),
];

/// What Anthropic's clients know a full context by.
pub(super) const TOO_LONG: &str = "prompt is too long";
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_valid_json_in_every_dialect() {
        let failure = Failure::new(Code::InvalidRequest, "a \"quoted\"\nline").param("model");
        let body: serde_json::Value =
            serde_json::from_slice(&failure.body(Dialect::OpenAiChat, None)).unwrap();
        assert_eq!(body["error"]["message"], "a \"quoted\"\nline");
        assert_eq!(body["error"]["code"], "invalid_request");
        assert_eq!(body["error"]["param"], "model");
        let frame = failure.frame(Dialect::OllamaChat);
        assert_eq!(frame, "{\"error\":\"a \\\"quoted\\\"\\nline\"}\n");
    }
}
