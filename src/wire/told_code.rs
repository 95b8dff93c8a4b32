//! The words of each dialect for each failure: those by which its clients decide whether to ask again, when, and what to show.
//!
//! | failure | `code` of chat | `code` of `response.failed` | `type` of Anthropic |
//! | --- | --- | --- | --- |
//! | the request is to blame (4xx) | the gateway's, `upstream_error` | `invalid_prompt`: Codex shows it and stops | by status |
//! | it is too long | `context_length_exceeded` | `context_length_exceeded`: agents shorten it | `invalid_request_error` |
//! | too many requests, queues, overload (429, 503, 529) | `rate_limit_exceeded` of a backend's 429 | `rate_limit_exceeded`: Codex waits as the words say; at `server_is_overloaded` it would stop | `rate_limit_error`, `overloaded_error` |
//! | no money left (402, `insufficient_quota`) | `insufficient_quota` | `insufficient_quota` | `billing_error`, `rate_limit_error` |
//! | the backend failed, was cut, stalled, is gone | the gateway's | `server_error`: asked again | `api_error`, `timeout_error` |
//! | the same end would come again (`max_duration`, `frame_too_large`), or the caller wanted it | the gateway's | `invalid_prompt` | by status |

use crate::wire::failure::{ANTHROPIC_TYPES, Code, Failure};

/// OpenAI's word, as type and as code, for an account without money.
pub(super) const NO_QUOTA: &str = "insufficient_quota";
/// What Codex waits at, and how it is told how long.
const RATE_LIMIT: &str = "rate_limit_exceeded";
const FINAL: &str = "invalid_prompt";
const AGAIN: &str = "server_error";

impl Failure {
    /// The `code` of an error object of OpenAI's chat.
    pub(super) fn openai_code(&self) -> &'static str {
        match (self.code, self.kind.as_deref(), self.status) {
            (Code::UpstreamError, Some(NO_QUOTA), _) => NO_QUOTA,
            (Code::UpstreamError, _, Some(429)) => RATE_LIMIT,
            (code, _, _) => code.name(),
        }
    }

    /// The `code` of a response that failed.
    pub(super) fn responses_code(&self) -> &'static str {
        match self.code {
            Code::ContextLengthExceeded => Code::ContextLengthExceeded.name(),
            Code::RateLimited | Code::QueueFull | Code::QueueTimeout | Code::Draining => RATE_LIMIT,
            Code::InvalidRequest
            | Code::Unauthorized
            | Code::Forbidden
            | Code::ModelNotFound
            | Code::PayloadTooLarge
            | Code::MaxDuration
            | Code::FrameTooLarge
            | Code::Superseded
            | Code::Cancelled => FINAL,
            Code::UpstreamUnreachable
            | Code::UpstreamStalled
            | Code::UpstreamTruncated
            | Code::FirstTokenTimeout
            | Code::ProducerLost
            | Code::Internal => AGAIN,
            Code::UpstreamError => match (self.kind.as_deref(), self.told_status()) {
                (Some(NO_QUOTA), _) | (_, Some(402)) => NO_QUOTA,
                (_, Some(429 | 503 | 529)) => RATE_LIMIT,
                (_, Some(408 | 409)) => AGAIN,
                (_, Some(400..=499 | 501)) => FINAL,
                (_, _) => AGAIN,
            },
        }
    }

    /// The status that the backend gave, or that stands behind its type.
    fn told_status(&self) -> Option<u16> {
        let by_type = || ANTHROPIC_TYPES.iter().find(|(known, _)| self.kind.as_deref() == Some(known));
        self.status.or_else(|| by_type().map(|(_, status)| *status))
    }

    /// The same failure where no header can say when to come back: it stands in the words, in which Codex looks for it.
    #[must_use]
    pub fn with_pause(mut self, seconds: Option<u32>) -> Self {
        let Some(seconds) = seconds.filter(|_| self.responses_code() == RATE_LIMIT) else { return self };
        if !self.message.to_ascii_lowercase().contains("try again in") {
            let end = if self.message.ends_with(['.', '!', '?']) { "" } else { "." };
            let seconds = seconds.clamp(1, LONGEST);
            self.message = format!("{}{end} Please try again in {seconds}s.", self.message);
        }
        self
    }
}

/// The longest pause that is asked for, in seconds.
const LONGEST: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend's failure: its status, its type; the codes of chat and of Responses.
    #[test]
    fn the_codes_are_those_that_clients_act_on() {
        let backend = [
            (Some(400), None, "upstream_error", "invalid_prompt"),
            (Some(404), None, "upstream_error", "invalid_prompt"),
            (Some(422), Some("BadRequestError"), "upstream_error", "invalid_prompt"),
            (Some(501), Some("not_supported_error"), "upstream_error", "invalid_prompt"),
            (Some(402), None, "upstream_error", "insufficient_quota"),
            (Some(429), Some("insufficient_quota"), "insufficient_quota", "insufficient_quota"),
            (Some(429), Some("server_error"), "rate_limit_exceeded", "rate_limit_exceeded"),
            (None, Some("overloaded_error"), "upstream_error", "rate_limit_exceeded"),
            (None, Some("invalid_request_error"), "upstream_error", "invalid_prompt"),
            (Some(503), None, "upstream_error", "rate_limit_exceeded"),
            (Some(500), Some("server_error"), "upstream_error", "server_error"),
            (Some(408), None, "upstream_error", "server_error"),
            (None, None, "upstream_error", "server_error"),
        ];
        for (status, kind, chat, responses) in backend {
            let failure = Failure {
                status,
                kind: kind.map(String::from),
                ..Failure::new(Code::UpstreamError, "words")
            };
            assert_eq!((failure.openai_code(), failure.responses_code()), (chat, responses), "{failure:?}");
        }
        for code in [Code::QueueFull, Code::RateLimited, Code::Draining] {
            let failure = Failure::new(code, "busy");
            assert_eq!(
                (failure.openai_code(), failure.responses_code()),
                (code.name(), "rate_limit_exceeded")
            );
        }
        for code in [Code::UpstreamTruncated, Code::UpstreamStalled, Code::ProducerLost] {
            assert_eq!(Failure::new(code, "cut").responses_code(), "server_error");
        }
        for code in [Code::MaxDuration, Code::Superseded, Code::Cancelled, Code::Unauthorized] {
            assert_eq!(Failure::new(code, "no").responses_code(), "invalid_prompt");
        }
    }

    #[test]
    fn a_pause_stands_in_the_words_once_and_only_where_one_waits() {
        let busy = |words: &str| Failure::new(Code::QueueFull, words);
        assert_eq!(busy("busy").with_pause(Some(7)).message, "busy. Please try again in 7s.");
        assert_eq!(busy("busy.").with_pause(Some(700)).message, "busy. Please try again in 60s.");
        assert_eq!(busy("Try again in 2s").with_pause(Some(7)).message, "Try again in 2s");
        assert_eq!(busy("busy").with_pause(None).message, "busy");
        let cut = Failure::new(Code::UpstreamTruncated, "cut");
        assert_eq!(cut.with_pause(Some(7)).message, "cut");
    }
}
