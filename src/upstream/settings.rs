//! How a backend wants to be asked, as its table in the configuration says: headers, and the form of what its dialect leaves open.

use std::num::NonZeroU64;

use http::Uri;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::upstream::backend::{Api, Config};
use crate::wire::{DEFAULT_MAX_TOKENS, PassedOn, SamplingOptions, Style, Thinking};

/// Anthropic's header for keys.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Azure's header for keys.
const API_KEY: HeaderName = HeaderName::from_static("api-key");
/// The version of Anthropic's API that a translated request is written in.
const VERSION: &str = "2023-06-01";
/// From this version of its API on, Anthropic refuses sampling options for every model.
const WITHOUT_SAMPLING: &str = "2026-10-21";

/// OpenAI's older and newer name for the token limit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

/// Where an OpenAI backend is told what the model thought in earlier turns.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    ReasoningContent,
    Reasoning,
    /// Nowhere: strict servers refuse a message with a member that they do not know.
    None,
}

/// How an Anthropic backend is told how much to think.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ThinkingStyle {
    /// A number of tokens.
    Budget,
    /// A level, as the newest models want it.
    Adaptive,
}

/// The header that carries the key.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `Authorization: Bearer`.
    Authorization,
    XApiKey,
    ApiKey,
}

/// The header with the key; `None`: the backend has none.
pub(super) fn authorization(config: &Config) -> Option<(HeaderName, HeaderValue)> {
    let key = config.api_key.as_ref().and_then(|key| key.value.as_ref())?.expose_secret();
    let usual = match config.api {
        Api::Anthropic => KeyHeader::XApiKey,
        Api::OpenAi | Api::Ollama | Api::Demo => KeyHeader::Authorization,
    };
    let (name, value) = match config.key_header.unwrap_or(usual) {
        KeyHeader::Authorization => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}"))),
        KeyHeader::XApiKey => (X_API_KEY, HeaderValue::try_from(key)),
        KeyHeader::ApiKey => (API_KEY, HeaderValue::try_from(key)),
    };
    let mut value = value.ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The version of Anthropic's API.
pub(super) fn version(config: &Config) -> HeaderValue {
    let set = config.anthropic_version.as_deref().and_then(|version| HeaderValue::from_str(version).ok());
    set.unwrap_or(HeaderValue::from_static(VERSION))
}

/// Is it the date that a version of Anthropic's API is called by?
pub fn is_version(version: &str) -> bool {
    let date = |at: usize, byte: u8| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    version.len() == VERSION.len() && version.bytes().enumerate().all(|(at, byte)| date(at, byte))
}

/// How requests are written for it.
pub(super) fn style(config: &Config) -> Style {
    let listed = config.refuses.as_ref().map(|refused| refused.iter().copied().collect());
    let by_version = config.anthropic_version.as_deref().is_some_and(|version| version >= WITHOUT_SAMPLING);
    Style {
        usage: config.stream_options,
        max_tokens_field: config.max_tokens_field.map(|field| match field {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        }),
        told_reasoning: match config.reasoning_field {
            Some(ReasoningField::ReasoningContent) | None => Some("reasoning_content"),
            Some(ReasoningField::Reasoning) => Some("reasoning"),
            Some(ReasoningField::None) => None,
        },
        sampling_extensions: config.sampling_extensions,
        max_tokens: config.default_max_tokens.map_or(DEFAULT_MAX_TOKENS, NonZeroU64::get),
        thinking: config.thinking.map(|style| match style {
            ThinkingStyle::Adaptive => Thinking::Adaptive,
            ThinkingStyle::Budget => Thinking::Budget,
        }),
        refused: listed.or_else(|| by_version.then(SamplingOptions::of_anthropic)),
        reasoned_calls: config.reasoned_calls,
        passed_on: PassedOn {
            unsigned_thinking: config.unsigned_thinking == Some(true),
            billing: config.billing_header.unwrap_or_else(|| is_anthropics_own(&config.url)),
        },
        ..Style::default()
    }
}

/// Does the address lead to Anthropic itself?
fn is_anthropics_own(url: &str) -> bool {
    let url: Option<Uri> = url.parse().ok();
    let host = url.as_ref().and_then(Uri::host).unwrap_or_default().to_ascii_lowercase();
    host == "anthropic.com" || host.ends_with(".anthropic.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_own_hosts_are_known_by_their_names() {
        for (url, own) in [
            ("https://api.anthropic.com", true),
            ("https://API.Anthropic.com:443/v1", true),
            ("https://api.moonshot.ai/anthropic", false),
            ("https://anthropic.com.example.org", false),
            ("https://notanthropic.com", false),
            ("http://127.0.0.1:8080", false),
        ] {
            assert_eq!(is_anthropics_own(url), own, "{url}");
        }
    }

    #[test]
    fn a_version_is_a_date() {
        assert!(is_version("2026-10-21"));
        for wrong in ["", "2026-10-2", "2026-10-211", "latest", "2026/10/21", "2026-1o-21"] {
            assert!(!is_version(wrong), "{wrong}");
        }
    }
}
