//! An API key as it stands in the configuration: its digest, and what it may do.

use std::num::NonZeroU64;

use serde::Deserialize;

/// `[[key]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Stands in the log.
    pub name: String,
    /// The SHA-256 of the key, 64 hexadecimal digits.
    pub sha256: String,
    #[serde(default = "every_scope")]
    pub scopes: Vec<Scope>,
    /// How many streams the key may have at a time.
    #[serde(default)]
    pub max_streams: Option<usize>,
    /// How often the key is let in while others wait, too.
    #[serde(default)]
    pub priority: Priority,
    #[serde(default)]
    pub requests_per_minute: Option<NonZeroU64>,
    /// Of what models read and write.
    #[serde(default)]
    pub tokens_per_minute: Option<NonZeroU64>,
    /// The same from midnight to midnight, UTC.
    #[serde(default)]
    pub tokens_per_day: Option<NonZeroU64>,
    /// Patterns of the models that the key may use. Unset: all.
    #[serde(default)]
    pub models: Option<Vec<String>>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, Deserialize, Hash, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask models.
    Inference,
    /// List models.
    Models,
    /// Publish on channels.
    Publish,
    /// Pull, push, make, copy and delete models.
    Manage,
}

/// How often a key is let in where there is a queue, compared with others: each class gets a share, none starves.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    pub(super) fn weight(self) -> u32 {
        match self {
            Self::High => 16,
            Self::Normal => 4,
            Self::Low => 1,
        }
    }
}

/// What a key may do that does not say what: everything that changes nothing.
fn every_scope() -> Vec<Scope> {
    vec![Scope::Inference, Scope::Models]
}

impl KeyConfig {
    /// The digest, if it is one.
    pub fn digest(&self) -> Option<[u8; 32]> {
        digest(&self.sha256)
    }
}

/// The digest of a key that is written in hexadecimal digits, if it is one.
pub fn digest(sha256: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if sha256.len() != 64 || !sha256.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(sha256.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
