//! What stands around a question: who asks, and fields that both of OpenAI's APIs have and no other.

use crate::wire::json::{Field, Text};
use crate::wire::request::Dropped;

/// Who asks, for the vendor's abuse checks.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    pub id: Text<'a>,
    /// The client's word for it.
    pub word: &'static str,
}

/// A field that both of OpenAI's APIs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    Metadata,
    PromptCacheKey,
    SafetyIdentifier,
    ServiceTier,
    Verbosity,
}

impl Extra {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Metadata, "metadata"),
        (Self::PromptCacheKey, "prompt_cache_key"),
        (Self::SafetyIdentifier, "safety_identifier"),
        (Self::ServiceTier, "service_tier"),
        (Self::Verbosity, "verbosity"),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(extra, _)| *extra)
    }

    /// Its name, in the API or in the object where it stands.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(extra, _)| *extra == self).map_or("", |(_, name)| name)
    }
}

/// The extras of a request, each with the client's word for it and its value as it was written.
#[derive(Clone, Debug, Default)]
pub struct Extras<'a>(Vec<(Extra, &'static str, &'a str)>);

impl<'a> Extras<'a> {
    /// An empty string says nothing.
    pub(super) fn add(&mut self, extra: Extra, word: &'static str, value: Field<'a>) {
        if let Some(raw) = value.raw().filter(|raw| *raw != "\"\"") {
            self.0.push((extra, word, raw));
        }
    }

    pub(super) fn value(&self, extra: Extra) -> Option<&'a str> {
        self.0.iter().rfind(|(known, ..)| *known == extra).map(|(_, _, value)| *value)
    }

    /// Names all that were not told.
    pub(super) fn name_lost(&self, told: impl Fn(Extra) -> bool, dropped: &mut Dropped) {
        for (_, word, _) in self.0.iter().filter(|(extra, ..)| !told(*extra)) {
            dropped.add(*word);
        }
    }
}
