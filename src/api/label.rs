//! What a record says of itself to those who read it later.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::journal::Record;
use crate::wire::Dialect;

/// The label of a record. Kept as JSON, for the journal knows bytes only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Label {
    /// The route of the dialect.
    path: String,
    pub(super) model: String,
    /// The only frame is the whole answer: the client asked for no stream.
    pub(super) whole: bool,
    /// Does the client see numbers on its events?
    pub(super) numbered: bool,
    /// A digest of what was asked.
    pub(super) fingerprint: [u8; 32],
    /// Responses: the items that the answer was made from, as a JSON array.
    pub(super) input: Option<Box<RawValue>>,
    /// Responses: what is told before it has begun.
    pub(super) queued: Option<Box<RawValue>>,
}

impl Label {
    pub(super) fn new(dialect: Dialect, model: &str, fingerprint: [u8; 32]) -> Self {
        Self {
            path: dialect.path().into(),
            model: model.into(),
            whole: false,
            numbered: false,
            fingerprint,
            input: None,
            queued: None,
        }
    }

    pub(super) fn of(record: &Record) -> Option<Self> {
        serde_json::from_slice(&record.meta().label).ok()
    }

    pub(super) fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::at(&self.path).unwrap_or(Dialect::OpenAiChat)
    }
}
