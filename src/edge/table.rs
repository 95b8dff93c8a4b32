//! The table of routes: what each path is for, and what is asked of a request before it is served.

use http::Method;

use crate::edge::key::Scope;
use crate::edge::{Endpoint, Forwarded, Grant, Managed};
use crate::wire::Dialect;

/// A path, its methods, and what they are for.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) methods: &'static [Method],
    pub(super) endpoint: Endpoint,
    pub(super) policy: Policy,
}

/// What is asked of a request before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The key must have one of these. None at all: no key is asked for.
    pub scopes: &'static [Scope],
    /// What a signed address must allow that is taken in place of a key.
    pub signed: Option<Grant>,
    /// Is it one of the requests per minute that its key may send?
    pub counted: bool,
    /// Does it take one of the streams that may run at a time?
    pub runs: bool,
}

impl Policy {
    /// Counted, unless it says otherwise: a route that does work or opens something must not be forgotten.
    const fn of(scopes: &'static [Scope]) -> Self {
        Self { scopes, signed: None, counted: true, runs: false }
    }

    const fn signed(self, grant: Grant) -> Self {
        Self { signed: Some(grant), ..self }
    }

    const fn uncounted(self) -> Self {
        Self { counted: false, ..self }
    }

    const fn runs(self) -> Self {
        Self { runs: true, ..self }
    }
}

/// Probes, and what says nothing of anybody.
const OPEN: Policy = Policy::of(&[]).uncounted();
const ASKS: Policy = Policy::of(&[Scope::Inference]).runs();
const READS: Policy = Policy::of(&[Scope::Inference]);
/// Who has asked too often may still end what costs.
const ENDS: Policy = READS.uncounted();
/// Programs look at the lists of models over and over, and what they show is remembered.
const LISTS: Policy = Policy::of(&[Scope::Models]).uncounted();
const SUBSCRIBES: Policy = Policy::of(&[Scope::Inference, Scope::Publish]);
const PUBLISHES: Policy = Policy::of(&[Scope::Publish]);
const LISTENS: Policy = Policy::of(&[Scope::Inference, Scope::Models, Scope::Manage]);
const MANAGES: Policy = Policy::of(&[Scope::Manage]);

const POST: &[Method] = &[Method::POST];
const GET: &[Method] = &[Method::GET, Method::HEAD];
const DELETE: &[Method] = &[Method::DELETE];

/// What clients see.
pub(super) fn public() -> Vec<Row> {
    let generate = |dialect: Dialect| row(dialect.path(), POST, Endpoint::Generate(dialect), ASKS);
    let forward = |forwarded: Forwarded| row(forwarded.path(), POST, Endpoint::Forward(forwarded), ASKS);
    let manage = |managed: Managed, methods| row(managed.path(), methods, Endpoint::Manage(managed), MANAGES);
    let stream = || Endpoint::Stream(String::new());
    let cancel = || Endpoint::CancelStream(String::new());
    let channel = || Endpoint::Channel(String::new());
    let conversation = |raw| Endpoint::Conversation { id: String::new(), raw };
    let response = || Endpoint::Response(String::new());
    vec![
        generate(Dialect::OpenAiChat),
        generate(Dialect::OpenAiCompletions),
        generate(Dialect::OpenAiResponses),
        generate(Dialect::Anthropic),
        row("/v1/messages/count_tokens", POST, Endpoint::CountTokens, ASKS),
        generate(Dialect::OllamaChat),
        generate(Dialect::OllamaGenerate),
        forward(Forwarded::Embeddings),
        forward(Forwarded::Embed),
        forward(Forwarded::OldEmbeddings),
        forward(Forwarded::Show),
        forward(Forwarded::Rerank),
        forward(Forwarded::Tokenize),
        forward(Forwarded::CountChat),
        forward(Forwarded::CountResponse),
        manage(Managed::Pull, POST),
        manage(Managed::Push, POST),
        manage(Managed::Create, POST),
        manage(Managed::Copy, POST),
        manage(Managed::Delete, DELETE),
        row("/v1/models/pull", POST, Endpoint::PullTask, MANAGES),
        row("/v1/models/pull", DELETE, Endpoint::PullTask, MANAGES.uncounted()),
        row("/v1/channels/{id}", GET, channel(), SUBSCRIBES.signed(Grant::Read)),
        row("/v1/channels/{id}", POST, channel(), PUBLISHES),
        row("/v1/channels/{id}", DELETE, channel(), PUBLISHES.uncounted()),
        row("/v1/channels/{id}/token", POST, Endpoint::SignChannel(String::new()), SUBSCRIBES),
        row("/events", GET, Endpoint::Events, LISTENS),
        row("/v1/models", GET, Endpoint::Models, LISTS),
        row("/v1/models/{*id}", GET, Endpoint::Model(String::new()), LISTS),
        row("/api/tags", GET, Endpoint::Tags, LISTS),
        row("/api/ps", GET, Endpoint::Running, LISTS),
        row("/api/version", GET, Endpoint::Version, OPEN),
        row("/", GET, Endpoint::Root, OPEN),
        row("/v1/streams", GET, Endpoint::Streams, READS),
        row("/v1/streams/{id}", GET, stream(), READS.signed(Grant::Read)),
        row("/v1/streams/{id}", DELETE, stream(), ENDS.signed(Grant::Cancel)),
        row("/v1/streams/{id}/cancel", POST, cancel(), ENDS.signed(Grant::Cancel)),
        row("/v1/streams/{id}/token", POST, Endpoint::SignStream(String::new()), READS),
        row("/v1/conversations/{id}/stream", GET, conversation(false), READS),
        row("/v1/streams/lookup", POST, Endpoint::LookUpStreams, READS),
        row("/v1/stream", GET, Endpoint::StreamOfConversation, READS),
        row("/v1/stream", DELETE, Endpoint::StreamOfConversation, ENDS),
        row("/v1/stream/{id}", GET, conversation(true), READS),
        row("/v1/stream/{id}", DELETE, conversation(true), ENDS),
        row("/v1/responses/{id}", GET, response(), READS),
        row("/v1/responses/{id}", DELETE, response(), ENDS),
        row("/v1/responses/{id}/cancel", POST, Endpoint::CancelResponse(String::new()), ENDS),
        row("/healthz", GET, Endpoint::Healthz, OPEN),
        row("/readyz", GET, Endpoint::Readyz, OPEN),
    ]
}

/// What operators see.
pub(super) fn admin() -> Vec<Row> {
    vec![
        row("/metrics", GET, Endpoint::Metrics, OPEN),
        row("/healthz", GET, Endpoint::Healthz, OPEN),
        row("/readyz", GET, Endpoint::Readyz, OPEN),
    ]
}

fn row(path: &'static str, methods: &'static [Method], endpoint: Endpoint, policy: Policy) -> Row {
    Row { path, methods, endpoint, policy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_each_method_once() {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for row in public() {
            all.extend(row.methods.iter().map(|method| (row.path, method.as_str())));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn no_route_is_open_but_those_that_say_nothing_of_anybody() {
        let open: Vec<&str> =
            public().iter().filter(|row| row.policy.scopes.is_empty()).map(|row| row.path).collect();
        assert_eq!(open, ["/api/version", "/", "/healthz", "/readyz"]);
        assert!(public().iter().all(|row| !row.policy.runs || row.policy.counted), "what runs is counted");
    }
}
