//! A request for an answer, taken apart and written anew for its backends: all the work on it that grows with its body, in two
//! steps, for what is kept of earlier responses is looked up between them. Both leave the worker where the body is large.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::api::Parts;
use crate::api::conversation::{in_body, prefix};
use crate::api::memory::{Account, Charge};
use crate::api::plan::{self, Planned};
use crate::api::wishes::fingerprint;
use crate::edge::{Caller, Refusal};
use crate::telemetry::Access;
use crate::upstream::Choice;
use crate::wire::openai_responses::{State, input_items, joined_items, stand_alone};
use crate::wire::{Demand, Dialect, Echo, Envelope, ModelKey, ParseError, streaming};

/// Who asks, and how: what both steps need beside the body.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) parts: Arc<Parts>,
    pub(super) dialect: Dialect,
    pub(super) caller: Caller,
    pub(super) account: Account,
    pub(super) access: Access,
}

/// A request that was read.
pub(super) struct Parsed {
    body: Bytes,
    pub(super) envelope: Envelope,
    /// A digest of what is asked.
    pub(super) fingerprint: [u8; 32],
    /// Responses: what it says of responses that are kept.
    pub(super) state: Option<Result<State, ParseError>>,
    echo: Echo,
}

/// The items that a request of Responses goes on from.
pub(super) enum Before {
    Nothing,
    Known(String),
    /// The backend may know them, and says so itself if it does not.
    Elsewhere,
}

/// What the second step must know.
pub(super) struct Terms {
    pub(super) before: Before,
    /// Headers of the client that belong to its dialect.
    pub(super) headers: HeaderMap,
    /// The number of the conversation, if the headers name it.
    pub(super) conversation: Option<u64>,
    /// The stream goes on to its end whoever reads it.
    pub(super) runs_on: bool,
}

/// A request that is ready for its backends.
pub(super) struct Prepared {
    pub(super) planned: Planned,
    pub(super) choice: Choice,
    pub(super) demand: Demand,
    pub(super) model: String,
    pub(super) echo: Echo,
    /// Responses: the items that are kept with the answer.
    pub(super) input: Option<String>,
    /// What is held of the request until its answer is over.
    pub(super) held: Charge,
}

/// How often an answer of Responses holds what it repeats of its request: in itself, in its record's label, in the two events
/// that wait for a reader, and twice in what its client is kept alive with.
const ECHOES: usize = 6;

impl Asking {
    /// The first step: what the request is.
    pub(super) async fn parse(&self, body: Bytes) -> Result<Parsed, Refusal> {
        let asking = self.clone();
        let offload = self.parts.pool.offload();
        self.account.run(offload, body.len(), move || asking.parse_now(body)).await
    }

    fn parse_now(&self, body: Bytes) -> Result<Parsed, Refusal> {
        let envelope = self.envelope(&body)?;
        self.access.model(&envelope.model);
        self.parts.serving.find_for(&self.caller, &envelope.model)?;
        let state = (self.dialect == Dialect::OpenAiResponses).then(|| State::of(&body));
        let stored = |state: &State| Echo::of(&body, state.store);
        let echo = state.as_ref().and_then(|state| state.as_ref().ok()).map(stored).unwrap_or_default();
        Ok(Parsed { fingerprint: fingerprint(self.dialect, &body), body, envelope, state, echo })
    }

    fn envelope(&self, body: &Bytes) -> Result<Envelope, Refusal> {
        let (streams, depth) = (self.dialect.streams_by_default(), self.parts.bounds.json_depth);
        Envelope::parse(body, ModelKey::Model, streams, depth).map_err(|error| plan::refusal(&error))
    }

    /// The second step: what is asked of whom.
    pub(super) async fn prepare(&self, parsed: Parsed, terms: Terms) -> Result<Prepared, Refusal> {
        let (asking, bytes) = (self.clone(), parsed.body.len() + terms.before.len());
        let offload = self.parts.pool.offload();
        self.account.run(offload, bytes, move || asking.prepare_now(parsed, terms)).await
    }

    fn prepare_now(&self, parsed: Parsed, terms: Terms) -> Result<Prepared, Refusal> {
        let Parsed { mut body, mut envelope, state, echo, .. } = parsed;
        let Terms { before, headers, conversation, runs_on } = terms;
        let held = echo.len() * ECHOES;
        let mut held = self.account.charge(held)?;
        let mut input = None;
        if let Some(state) = state.transpose().map_err(|error| plan::refusal(&error))?
            && !matches!(before, Before::Elsewhere)
        {
            let echoes = held.bytes();
            held.resize(echoes + body.len() + before.len())?;
            let own = input_items(&body);
            let items = match &before {
                Before::Known(items) => joined_items(&[items, &own]),
                Before::Nothing | Before::Elsewhere => own,
            };
            if matches!(before, Before::Known(_)) || state.background {
                let whole = stand_alone(&body, &items).map_err(|error| plan::refusal(&error))?;
                body = self.account.hold(whole)?;
                envelope = self.envelope(&body)?;
            }
            held.resize(if state.store { echoes + items.len() } else { echoes })?;
            input = state.store.then_some(items);
        }
        // What runs by itself is always a stream: it can be read while it grows.
        if runs_on && !envelope.stream {
            body = self.account.hold(streaming(&body).map_err(|error| plan::refusal(&error))?)?;
            envelope = self.envelope(&body)?;
        }
        let served = self.parts.serving.find_for(&self.caller, &envelope.model)?;
        let named = || conversation.or_else(|| in_body(&self.caller, &body));
        let choice = served.choice(|| named().unwrap_or_else(|| prefix(&body)));
        let planned = plan::plan(served, self.dialect, &envelope, (&body, &self.account), &headers)?;
        let demand = Demand::of(&body);
        Ok(Prepared { planned, choice, demand, model: envelope.model, echo, input, held })
    }
}

impl Before {
    fn len(&self) -> usize {
        match self {
            Self::Known(items) => items.len(),
            Self::Nothing | Self::Elsewhere => 0,
        }
    }
}
