//! One backend: a model server, or the built-in model.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue, SERVER};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;

use crate::telemetry::{Redactor, Secret};
use crate::upstream::client::Connector;
use crate::upstream::reuse::Served;
use crate::upstream::settings::{self, KeyHeader, MaxTokensField, ReasoningField, ThinkingStyle};
use crate::upstream::standing::Standing;
use crate::wire::{Code, Dialect, Failure, SamplingOption, Style};

/// Anthropic answers nobody who does not say which version of its API they speak.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// `[[backend]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub name: String,
    pub api: Api,
    /// The origin, `http://127.0.0.1:11434`. Needed for all but `demo`.
    #[serde(default)]
    pub url: String,
    /// What the gateway shows to be let in.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The header that carries the key. Unset: the usual one of its API.
    #[serde(default)]
    pub key_header: Option<KeyHeader>,
    /// Which field carries the token limit at an OpenAI backend. Unset: the one that the model's name stands for.
    #[serde(default)]
    pub max_tokens_field: Option<MaxTokensField>,
    /// Sampling options that its models refuse: they are left out of translated requests. Unset: those of which a model's name says
    /// that it refuses them.
    #[serde(default)]
    pub refuses: Option<Vec<SamplingOption>>,
    /// Does an OpenAI backend understand `stream_options`?
    #[serde(default = "yes")]
    pub stream_options: bool,
    /// Is an OpenAI backend asked through its Responses API?
    #[serde(default)]
    pub responses: bool,
    /// Does an OpenAI backend understand `top_k`, `min_p` and `repeat_penalty`, as vLLM and llama.cpp do?
    #[serde(default)]
    pub sampling_extensions: bool,
    /// Is an OpenAI backend a server of llama.cpp? Unset: as its answers say (`Server: llama.cpp`).
    #[serde(default)]
    pub llama_cpp: Option<bool>,
    /// Where an OpenAI backend is told what the model thought in earlier turns.
    #[serde(default)]
    pub reasoning_field: Option<ReasoningField>,
    /// Does an OpenAI backend refuse calls in a history that have no reasoning before them? Unset: as the model's name says.
    #[serde(default)]
    pub reasoned_calls: Option<bool>,
    /// The token limit that an Anthropic backend is told where the request has none.
    #[serde(default)]
    pub default_max_tokens: Option<NonZeroU64>,
    /// How an Anthropic backend is told how much to think. Unset: as the model's name says.
    #[serde(default)]
    pub thinking: Option<ThinkingStyle>,
    /// The version of Anthropic's API that translated requests are written in, a date.
    #[serde(default)]
    pub anthropic_version: Option<String>,
    /// Does an Anthropic backend take back thinking that is not signed? Anthropic itself does not.
    #[serde(default)]
    pub unsigned_thinking: Option<bool>,
    /// Is an Anthropic backend told the line for Anthropic's accounts in Claude Code's prompt? Unset: only Anthropic itself is.
    #[serde(default)]
    pub billing_header: Option<bool>,
    /// The path that is asked to see whether the backend is there, or `none`; unset: one that costs nothing in its API.
    #[serde(default)]
    pub probe: Option<String>,
    /// How many requests it works on at a time; more wait in its queue. Unset: no limit.
    #[serde(default)]
    pub max_concurrent: Option<NonZeroUsize>,
    /// How many may wait; more are refused. Unset: 64.
    #[serde(default)]
    pub queue: Option<usize>,
    /// How many of its slots are kept free for keys that hold none, while they ask now and then. Unset: 1 of 8 or more.
    #[serde(default)]
    pub reserve: Option<usize>,
}

/// The API that a backend speaks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    Ollama,
    OpenAi,
    Anthropic,
    /// The built-in model.
    Demo,
}

fn yes() -> bool {
    true
}

/// A backend that can be asked.
pub struct Backend {
    pub name: String,
    pub api: Api,
    /// How it stands, whichever worker asks it.
    pub standing: Arc<Standing>,
    /// What a probe asks for, if it is not the usual.
    pub(super) probe: Option<String>,
    origin: String,
    responses: bool,
    /// The header that carries the key.
    authorization: Option<(HeaderName, HeaderValue)>,
    /// The version of Anthropic's API.
    version: HeaderValue,
    redactor: Option<Arc<Redactor>>,
    style: Style,
    stream_options: bool,
    llama_cpp: Option<bool>,
    connector: Connector,
}

impl Backend {
    /// `config` has been checked: its URL is one, its key is there.
    pub fn new(config: &Config, connector: Connector, standing: Arc<Standing>) -> Self {
        let origin = config.url.trim_end_matches('/');
        let origin = origin.strip_suffix("/v1").unwrap_or(origin).to_owned();
        let key = config.api_key.as_ref().and_then(|key| key.value.as_ref());
        Self {
            name: config.name.clone(),
            api: config.api,
            standing,
            probe: config.probe.clone(),
            origin,
            responses: config.responses,
            authorization: settings::authorization(config),
            version: settings::version(config),
            redactor: key.and_then(|key| Redactor::new(key.clone())).map(Arc::new),
            style: settings::style(config),
            stream_options: config.stream_options,
            llama_cpp: config.llama_cpp,
            connector,
        }
    }

    /// The dialect in which a request of `client`'s dialect is put to this backend: the same where it speaks it. `None`: it
    /// cannot be asked this at all.
    pub fn dialect_for(&self, client: Dialect) -> Option<Dialect> {
        match (self.api, client) {
            (Api::OpenAi | Api::Ollama, Dialect::OpenAiCompletions) => Some(Dialect::OpenAiCompletions),
            (Api::Demo | Api::Anthropic, Dialect::OpenAiCompletions) => None,
            (Api::OpenAi, _) if self.responses => Some(Dialect::OpenAiResponses),
            (Api::OpenAi | Api::Demo, _) => Some(Dialect::OpenAiChat),
            (Api::Anthropic, _) => Some(Dialect::Anthropic),
            (Api::Ollama, Dialect::OllamaGenerate) => Some(Dialect::OllamaGenerate),
            (Api::Ollama, _) => Some(Dialect::OllamaChat),
        }
    }

    /// Has it this model? `None`: nobody knows.
    pub fn has(&self, model: &str) -> Option<bool> {
        match self.api {
            Api::Demo => Some(model.split(':').next() == Some("demo")),
            Api::Ollama | Api::OpenAi | Api::Anthropic => self.standing.has(model),
        }
    }

    /// How requests must be written for this backend.
    pub fn style(&self) -> Style {
        self.style
    }

    /// May usage be asked for in a stream of `dialect`?
    pub fn reports_usage_on_request(&self, dialect: Dialect) -> bool {
        dialect.has_stream_options() && self.stream_options
    }

    /// Is it a server of llama.cpp? It is known by its answers, unless the configuration says it.
    pub fn is_llama_cpp(&self) -> bool {
        self.llama_cpp.unwrap_or_else(|| self.standing.is_llama_cpp())
    }

    /// Can it be asked in `dialect` to tell how far it is with the prompt? It writes with each batch then, and so notices in the
    /// middle of a long prompt that nobody waits for it any more: it looks at a connection when it writes, else only when no
    /// request of anybody had a result for a second.
    pub fn tells_progress(&self, dialect: Dialect) -> bool {
        let can =
            matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses);
        can && self.api == Api::OpenAi && self.is_llama_cpp()
    }

    /// Is it asked for a stream where its client wants a whole answer? A server of llama.cpp decodes a whole answer to its end,
    /// whoever has left, as long as it is busy with others.
    pub fn streams_whole(&self, dialect: Dialect) -> bool {
        dialect.has_stream_options() && self.stream_options && self.tells_progress(dialect)
    }

    /// It has answered with these headers.
    pub(super) fn heard(&self, headers: &HeaderMap) {
        let server = headers.get(SERVER).map(HeaderValue::as_bytes);
        self.standing.calls_itself_llama_cpp(server == Some(b"llama.cpp"));
    }

    /// Takes the gateway's key out of what this backend says, in whatever escaping: some quote it in their errors.
    pub fn scrub(&self, said: &Bytes) -> Bytes {
        self.redactor.as_ref().map_or_else(|| said.clone(), |redactor| redactor.redact(said))
    }

    /// The same for a failure that it reported.
    pub fn scrub_failure(&self, failure: Failure) -> Failure {
        if let Some(status @ (401 | 403)) = failure.status {
            return self.refused_us(status);
        }
        let Some(redactor) = &self.redactor else { return failure };
        let text = |text| redactor.redact_text(text);
        let Failure { message, kind, param, .. } = failure;
        Failure { message: text(message), kind: kind.map(text), param: param.map(text), ..failure }
    }

    /// What takes the gateway's key out of whatever this backend says; `None`: it has none.
    pub(super) fn redactor(&self) -> Option<&Arc<Redactor>> {
        self.redactor.as_ref()
    }

    /// It is the gateway's key that was refused: none of the client's business, and such messages quote it.
    pub(super) fn refused_us(&self, status: u16) -> Failure {
        let words = format!("the backend `{}` refused the gateway's credentials ({status})", self.name);
        Failure::new(Code::UpstreamError, words)
    }

    /// Which of its connections have served.
    pub(super) fn served(&self) -> &Served {
        &self.connector.served
    }

    /// A client that asks it on a new connection.
    pub(super) fn fresh(&self) -> Option<&Client> {
        self.connector.fresh()
    }

    /// A POST to a route of this backend.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.authorized(self.connector.client.post(format!("{}{path}", self.origin)))
    }

    /// Any request to a route of this backend.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorized(self.connector.client.request(method, format!("{}{path}", self.origin)))
    }

    /// A GET of a route of this backend.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.authorized(self.connector.client.get(format!("{}{path}", self.origin)))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let request = match self.api {
            Api::Anthropic => request.header(ANTHROPIC_VERSION, self.version.clone()),
            Api::OpenAi | Api::Ollama | Api::Demo => request,
        };
        match &self.authorization {
            Some((name, value)) => request.header(name.clone(), value.clone()),
            None => request,
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).field("api", &self.api).finish_non_exhaustive()
    }
}
