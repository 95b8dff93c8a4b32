//! Endpoints, how the one that a method and a path name is found in the table of routes, and in whose dialect a door speaks.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::{ALLOW, HeaderName, HeaderValue};
use http::{Method, Request};
use matchit::Router;
use tower::{Layer, Service};

use crate::edge::handshake::{check, takes_websocket};
use crate::edge::table::{self, Policy, Row};
use crate::edge::{Query, Refusal, Routed, Traced};
use crate::wire::{Code, Dialect};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A model is to answer.
    Generate(Dialect),
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// Passed on to a backend that speaks it.
    Forward(Forwarded),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`.
    Model(String),
    /// `GET /api/tags`.
    Tags,
    /// `GET /api/ps`.
    Running,
    /// `GET /api/version`.
    Version,
    /// `GET /`: what Ollama's clients look for.
    Root,
    /// `GET /v1/streams`.
    Streams,
    /// `GET|HEAD|DELETE /v1/streams/{id}`.
    Stream(String),
    /// `POST /v1/streams/{id}/cancel`.
    CancelStream(String),
    /// `POST /v1/streams/{id}/token`.
    SignStream(String),
    /// `GET /v1/conversations/{id}/stream`, and with `DELETE` the older form of llama.cpp's, `/v1/stream/{id}`.
    Conversation {
        id: String,
        raw: bool,
    },
    /// llama.cpp's `GET|DELETE /v1/stream?conv_id={id}`.
    StreamOfConversation,
    /// llama.cpp's `POST /v1/streams/lookup`.
    LookUpStreams,
    /// `GET|DELETE /v1/responses/{id}`.
    Response(String),
    /// `POST /v1/responses/{id}/cancel`.
    CancelResponse(String),
    /// `GET|HEAD|POST|DELETE /v1/channels/{id}`.
    Channel(String),
    /// `POST /v1/channels/{id}/token`.
    SignChannel(String),
    /// `GET /events`.
    Events,
    /// `POST|DELETE /v1/models/pull`: Cortex's way to begin and to stop a download.
    PullTask,
    /// Passed on to a backend whose models it changes.
    Manage(Managed),
    Healthz,
    Readyz,
    /// On the admin listener only.
    Metrics,
}

/// Routes that are passed on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// `/v1/embeddings`.
    Embeddings,
    /// `/api/embed`.
    Embed,
    /// `/api/embeddings`, the older form.
    OldEmbeddings,
    /// `/api/show`.
    Show,
    /// `/v1/rerank`.
    Rerank,
    /// `/tokenize` of llama.cpp and vLLM.
    Tokenize,
    /// `/v1/chat/completions/input_tokens`.
    CountChat,
    /// `/v1/responses/input_tokens`.
    CountResponse,
}

impl Forwarded {
    pub fn path(self) -> &'static str {
        match self {
            Self::Embeddings => "/v1/embeddings",
            Self::Embed => "/api/embed",
            Self::OldEmbeddings => "/api/embeddings",
            Self::Show => "/api/show",
            Self::Rerank => "/v1/rerank",
            Self::Tokenize => "/tokenize",
            Self::CountChat => "/v1/chat/completions/input_tokens",
            Self::CountResponse => "/v1/responses/input_tokens",
        }
    }

    /// Does it make the model work? To count and to look costs nothing, and is not waited for.
    pub fn works(self) -> bool {
        match self {
            Self::Embeddings | Self::Embed | Self::OldEmbeddings | Self::Rerank => true,
            Self::Show | Self::Tokenize | Self::CountChat | Self::CountResponse => false,
        }
    }
}

/// Routes of Ollama that change which models there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managed {
    /// `/api/pull`.
    Pull,
    /// `/api/push`.
    Push,
    /// `/api/create`.
    Create,
    /// `/api/copy`.
    Copy,
    /// `/api/delete`.
    Delete,
}

impl Managed {
    pub fn path(self) -> &'static str {
        match self {
            Self::Pull => "/api/pull",
            Self::Push => "/api/push",
            Self::Create => "/api/create",
            Self::Copy => "/api/copy",
            Self::Delete => "/api/delete",
        }
    }

    pub fn method(self) -> Method {
        match self {
            Self::Pull | Self::Push | Self::Create | Self::Copy => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }
}

/// Anthropic's clients must send it.
pub const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A door: the API to which a path belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    OpenAi,
    Anthropic,
    Ollama,
    /// Probes and metrics.
    Gateway,
}

impl Door {
    /// The door at which a request stands, known to us or not. Where paths are shared (`/v1/models`) the header tells that
    /// Anthropic's clients must send.
    pub fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        if path == "/" || path.starts_with("/api/") {
            Self::Ollama
        } else if path.starts_with(Dialect::Anthropic.path())
            || path.starts_with("/v1/models") && request.headers().contains_key(ANTHROPIC_VERSION)
        {
            Self::Anthropic
        } else if path.starts_with("/v1/") {
            Self::OpenAi
        } else {
            Self::Gateway
        }
    }

    /// The dialect of errors at this door.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi | Self::Gateway => Dialect::OpenAiChat,
            Self::Anthropic => Dialect::Anthropic,
            Self::Ollama => Dialect::OllamaChat,
        }
    }

    /// The word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Gateway => "gateway",
        }
    }
}

/// The routes of one listener, to be found by their path.
#[derive(Clone, Debug)]
pub struct Routes(Arc<Router<Vec<Row>>>);

impl Routes {
    /// What clients see.
    pub fn public() -> Self {
        Self::of(table::public())
    }

    /// What operators see.
    pub fn admin() -> Self {
        Self::of(table::admin())
    }

    fn of(rows: Vec<Row>) -> Self {
        let mut paths: Vec<(&'static str, Vec<Row>)> = Vec::new();
        for row in rows {
            match paths.iter_mut().find(|(path, _)| *path == row.path) {
                Some((_, rows)) => rows.push(row),
                None => paths.push((row.path, vec![row])),
            }
        }
        let mut router = Router::new();
        for (path, rows) in paths {
            let inserted = router.insert(path, rows);
            debug_assert!(inserted.is_ok(), "two routes for {path}");
        }
        Self(Arc::new(router))
    }

    fn find<B>(&self, request: &Request<B>) -> Result<(Endpoint, Policy), Refusal> {
        let (method, path) = (request.method(), request.uri().path());
        let Ok(found) = self.0.at(path) else {
            let words = format!("there is no route {method} {}", shown(path));
            let refusal = Refusal::new(Code::InvalidRequest, words).with_status(404);
            return Err(refusal);
        };
        // A handshake is a GET: also where there is no other, what the path does not take is the WebSocket.
        let websockets = found.value.iter().any(|row| takes_websocket(&row.endpoint));
        check(request, websockets)?;
        let Some(row) = found.value.iter().find(|row| row.methods.contains(method)) else {
            let allowed: Vec<&str> =
                found.value.iter().flat_map(|row| row.methods).map(Method::as_str).collect();
            let words = format!("{} takes {}, not {method}", shown(path), allowed.join(" and "));
            let refusal = Refusal::new(Code::InvalidRequest, words).with_status(405);
            let allow = HeaderValue::try_from(allowed.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
            return Err(refusal.header(ALLOW, allow));
        };
        let mut endpoint = row.endpoint.clone();
        if let (
            Endpoint::Model(name)
            | Endpoint::Stream(name)
            | Endpoint::CancelStream(name)
            | Endpoint::SignStream(name)
            | Endpoint::Channel(name)
            | Endpoint::SignChannel(name)
            | Endpoint::Conversation { id: name, .. }
            | Endpoint::Response(name)
            | Endpoint::CancelResponse(name),
            Some(given),
        ) = (&mut endpoint, found.params.get("id"))
        {
            *name = percent_decode(given);
        }
        Ok((endpoint, row.policy))
    }
}

/// A path in an error message: not longer than a line.
fn shown(path: &str) -> String {
    path.chars().take(100).collect()
}

/// Clients encode the `/` and `:` of a model's name (RFC 3986 section 2.1); what is no escape stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let escape = after.split_at_checked(2).and_then(|(digits, behind)| {
            let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            Some((u8::from_str_radix(digits, 16).ok().filter(|_| hex)?, behind))
        });
        match escape {
            Some((byte, behind)) => {
                bytes.push(byte);
                rest = behind;
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Finds the endpoint.
#[derive(Clone, Debug)]
pub struct RouteLayer(pub Routes);

/// See [`RouteLayer`].
#[derive(Clone, Debug)]
pub struct Route<S> {
    routes: Routes,
    inner: S,
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route { routes: self.0.clone(), inner }
    }
}

impl<S: Service<Routed, Error = Refusal>> Service<Traced> for Route<S> {
    type Response = S::Response;
    type Error = Refusal;
    type Future = Either<S::Future, Ready<Result<S::Response, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, traced: Traced) -> Self::Future {
        let found = self.routes.find(&traced.request);
        match found.and_then(|found| Ok((found, Query::of(traced.request.uri())?))) {
            Ok(((endpoint, policy), query)) => {
                Either::Left(self.inner.call(Routed { endpoint, policy, query, traced }))
            }
            Err(refusal) => Either::Right(ready(Err(refusal.unread(traced.request)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Result<Endpoint, Refusal> {
        let found = Routes::public().find(&Request::builder().method(method).uri(path).body(()).unwrap());
        found.map(|(endpoint, _)| endpoint)
    }

    #[test]
    fn a_models_name_may_hold_slashes_and_colons() {
        let model = |name: &str| Endpoint::Model(name.into());
        assert_eq!(find("GET", "/v1/models/hf.co/x/y:Q4").unwrap(), model("hf.co/x/y:Q4"));
        assert_eq!(find("GET", "/v1/models/hf.co%2Fx%2fy%3AQ4").unwrap(), model("hf.co/x/y:Q4"));
        assert_eq!(find("GET", "/v1/models/100%").unwrap(), model("100%"));
        assert_eq!(find("GET", "/v1/models/a%zz%+1").unwrap(), model("a%zz%+1"));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        let refusal = find("GET", "/v1/chat/completions").unwrap_err();
        assert_eq!(refusal.failure.status(), 405);
        assert_eq!(refusal.headers[0].1, "POST");
        assert_eq!(find("POST", "/v2").unwrap_err().failure.status(), 404);
    }
}
