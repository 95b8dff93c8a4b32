//! What a record says of itself to those who read it later.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::journal::Record;
use crate::wire::Dialect;

/// How the client of a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// By the stream.
    Stream,
    /// By one whole answer: the record's only frame.
    Whole,
    /// By where the stream can be read.
    Addresses,
    /// By the response as it stands.
    Response,
}

/// The label of a record. Kept as JSON, for the journal knows bytes only: the label, and behind it what is seldom asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Label {
    /// The route of the dialect.
    path: String,
    pub(super) model: String,
    pub(super) told: Told,
    /// Does the client see numbers on its events?
    pub(super) numbered: bool,
    /// Responses: it is kept, to be gone on from.
    pub(super) kept: bool,
    /// A digest of what was asked.
    pub(super) fingerprint: [u8; 32],
}

impl Label {
    pub(super) fn new(dialect: Dialect, model: &str, told: Told, fingerprint: [u8; 32]) -> Self {
        Self {
            path: dialect.path().into(),
            model: model.into(),
            told,
            numbered: false,
            kept: false,
            fingerprint,
        }
    }

    pub(super) fn of(record: &Record) -> Option<Self> {
        Self::read(&record.meta().label)
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()
    }

    /// The label with what stands behind it: the response before it has begun, and the items that it is made from.
    pub(super) fn bytes(&self, queued: Option<&str>, input: Option<&str>) -> Bytes {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let parts = [queued, input].map(|part| part.map_or(4, str::len) + 1);
        bytes.reserve_exact(parts.iter().sum());
        for part in [queued, input] {
            bytes.push(b'\n');
            bytes.extend_from_slice(part.unwrap_or("null").as_bytes());
        }
        bytes.shrink_to_fit(); // it is kept for long
        bytes.into()
    }

    /// Responses: what is told before it has begun.
    pub(super) fn queued(record: &Record) -> Option<String> {
        Self::part(record, 1)
    }

    /// Responses: the items that the answer was made from, as a JSON array.
    pub(super) fn input(record: &Record) -> Option<String> {
        Self::part(record, 2)
    }

    fn part(record: &Record, number: usize) -> Option<String> {
        let parts = serde_json::Deserializer::from_slice(&record.meta().label);
        let part: &RawValue = parts.into_iter().nth(number)?.ok()?;
        Some(part.get().to_owned()).filter(|part| part != "null")
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::at(&self.path).unwrap_or(Dialect::OpenAiChat)
    }

    /// The only frame is the whole answer.
    pub(super) fn whole(&self) -> bool {
        self.told == Told::Whole
    }
}
