//! What is to be asked of whom: the backends that may serve a request, each with the body written for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::upstream::backend::Backend;
use crate::upstream::balance::{Choice, Share};
use crate::upstream::slots::Ticket;
use crate::wire::{Dialect, Dropped, Names};

/// One request to the backends.
#[derive(Clone, Debug)]
pub struct Plan {
    pub candidates: Vec<Candidate>,
    pub choice: Choice,
    /// How long one backend may take to its first content.
    pub first_token_timeout: Duration,
    /// How large one event may be, in bytes.
    pub max_event_bytes: usize,
    /// As whom it waits for a slot; `None`: it has one.
    pub ticket: Option<Ticket>,
}

/// One backend and what it will be asked.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub backend: Arc<Backend>,
    pub share: Share,
    pub dialect: Dialect,
    pub body: Bytes,
    /// Was the request translated for it? Then it may be put more simply if the model cannot do what it asks.
    pub translated: bool,
    /// Fields of the request that its dialect cannot carry.
    pub dropped: Dropped,
    /// Names of tools that it is told in another form.
    pub names: Names,
    /// Headers of the client that belong to its dialect.
    pub headers: HeaderMap,
    /// It is asked for a stream in the client's own dialect, though the client wants a whole answer.
    pub assembled: bool,
    /// Where the client itself asked to be told of progress: from when on that is shown before there is content.
    pub progress_after: Option<Duration>,
    /// The gateway asked it to tell of progress, and the client did not.
    pub hides_progress: bool,
    /// The answer ends at so many tokens, and its backend does not say so.
    pub limit: Option<u64>,
}
