//! A gateway before one scripted backend of each API: what a client of any API asks can be put to any backend.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

use super::answer::Answer;
use super::call::Call;
use super::gateway::Gateway;
use super::lawful::lawful;
use super::request::Request;
use super::setup::Setup;
use super::upstream::Upstream;

/// An API, as a client's or as a backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Responses,
    Anthropic,
    Ollama,
}

impl Api {
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Anthropic, Self::Ollama];

    /// The other APIs: those to which a request must be translated.
    pub(crate) fn others(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |other| *other != self)
    }

    /// Every pair of a client and a backend of different APIs.
    pub(crate) fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().flat_map(|client| client.others().map(move |backend| (client, backend)))
    }

    pub(crate) fn door(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Anthropic => "/v1/messages",
            Self::Ollama => "/api/chat",
        }
    }

    /// The model that the backend of this API serves; the backend has the same name.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }

    fn at(self) -> usize {
        Self::ALL.iter().position(|api| *api == self).unwrap()
    }
}

/// What a backend was asked.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it came.
    pub(crate) text: String,
    pub(crate) json: Value,
    /// What `X-Dropped-Fields` says.
    pub(crate) dropped: Vec<String>,
}

/// Why a request was refused, in the words of the client's API.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) message: String,
    /// Only OpenAI's APIs have it.
    pub(crate) param: Option<String>,
}

pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    backends: Vec<Upstream>,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(Api::Chat, "").await
    }

    /// With further lines in the table of one of the backends.
    pub(crate) async fn with(api: Api, lines: &str) -> Self {
        Self::over(Setup::new(), api, lines).await
    }

    /// The same with more of the configuration around the backends.
    pub(crate) async fn over(mut setup: Setup, with: Api, lines: &str) -> Self {
        let mut backends = Vec::new();
        for api in Api::ALL {
            let upstream = Upstream::start().await;
            let (kind, own) = match api {
                Api::Chat => ("openai", ""),
                Api::Responses => ("openai", "responses = true\n"),
                Api::Anthropic => ("anthropic", ""),
                Api::Ollama => ("ollama", ""),
            };
            let more = [own, if api == with { lines } else { "" }].concat();
            let name = api.model();
            setup = setup.backend_with(name, kind, &upstream.url(), &more);
            setup = setup.route(&format!("model = {name:?}\nbackends = [{name:?}]"));
            backends.push(upstream);
        }
        Self { gateway: setup.start().await, backends }
    }

    pub(crate) fn backend(&mut self, api: Api) -> &mut Upstream {
        &mut self.backends[api.at()]
    }

    /// Puts a request, which names no model, to the backend of this API, which answers it with a text.
    pub(crate) async fn ask(&mut self, client: Api, backend: Api, request: &Value) -> Sent {
        self.ask_text(client, backend, &request.to_string()).await
    }

    /// The same for a request that is written just so.
    pub(crate) async fn ask_text(&mut self, client: Api, backend: Api, request: &str) -> Sent {
        self.send(backend, &Request::raw(client.door(), addressed(backend, request).as_bytes())).await
    }

    /// Sends any request for this backend's model, which is answered with a text; what the backend is asked must be lawful in its API.
    pub(crate) async fn send(&mut self, backend: Api, request: &Request) -> Sent {
        let sent = self.pass(backend, request).await;
        lawful(backend, &sent.json);
        sent
    }

    /// The same for a request that is passed on as it is, whatever its client wrote.
    pub(crate) async fn pass(&mut self, backend: Api, request: &Request) -> Sent {
        let (mut call, mut asked) = self.call(backend, request).await;
        call.send(opening(&call.path).as_bytes()).await;
        let answer = asked.head().await;
        assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.early));
        let dropped = answer.header("x-dropped-fields").unwrap_or_default();
        let dropped = dropped.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let text = String::from_utf8(call.body.to_vec()).unwrap();
        // A number that no parser of ours can hold stands for itself in `text`.
        let json = serde_json::from_str(&text.replace("1e400", "1e300")).unwrap();
        Sent { path: call.path.clone(), headers: call.headers.clone(), text, json, dropped }
    }

    /// Sends a request and hands out the call that comes of it; a refusal is a failure of the test.
    pub(crate) async fn call(&mut self, backend: Api, request: &Request) -> (Call, Asked) {
        let mut asked = Asked::of(&self.gateway, request).await;
        let call = tokio::select! {
            biased;
            call = self.backends[backend.at()].call() => call,
            answer = asked.head() => {
                let status = answer.status;
                panic!("{status} where {backend:?} was to be asked: {}", answer.text().await);
            }
        };
        (call, asked)
    }

    /// What the backend is asked.
    pub(crate) async fn sent(&mut self, client: Api, backend: Api, request: &Value) -> Value {
        self.ask(client, backend, request).await.json
    }

    /// Why this request is not put to the backend: a 400 of the client's own API, and nobody was asked.
    pub(crate) async fn refused(&mut self, client: Api, backend: Api, request: &Value) -> Refused {
        let body = addressed(backend, &request.to_string());
        self.refused_request(client, backend, &Request::raw(client.door(), body.as_bytes())).await
    }

    pub(crate) async fn refused_request(&mut self, client: Api, backend: Api, request: &Request) -> Refused {
        let seen = self.backend(backend).calls_seen();
        let mut asked = Asked::of(&self.gateway, request).await;
        let answer = tokio::select! {
            biased;
            answer = asked.head() => answer,
            call = self.backends[backend.at()].call() =>
                panic!("{backend:?} was asked where a refusal was awaited: {:?}", call.body),
        };
        let (status, body) = (answer.status, answer.json().await);
        assert_eq!(status, 400, "{body}");
        assert_eq!(self.backend(backend).calls_seen(), seen, "the backend was asked");
        match client {
            Api::Chat | Api::Responses => {
                assert_eq!(body["error"]["code"], "invalid_request", "{body}");
                let param = body["error"]["param"].as_str().map(str::to_owned);
                Refused { message: body["error"]["message"].as_str().unwrap().to_owned(), param }
            }
            Api::Anthropic => {
                assert_eq!(
                    (&body["type"], &body["error"]["type"]),
                    (&json!("error"), &json!("invalid_request_error"))
                );
                Refused { message: body["error"]["message"].as_str().unwrap().to_owned(), param: None }
            }
            Api::Ollama => Refused { message: body["error"].as_str().unwrap().to_owned(), param: None },
        }
    }
}

/// A request under way.
pub(crate) struct Asked {
    reading: Pin<Box<dyn Future<Output = Answer>>>,
    answer: Option<Answer>,
}

impl Asked {
    async fn of(gateway: &Gateway, request: &Request) -> Self {
        Self { reading: Box::pin(gateway.ask(request).await.answer()), answer: None }
    }

    /// The answer, once its head has come.
    pub(crate) async fn head(&mut self) -> &mut Answer {
        if self.answer.is_none() {
            self.answer = Some((&mut self.reading).await);
        }
        self.answer.as_mut().unwrap()
    }
}

/// The request with the model of this backend, as a stream.
pub(crate) fn addressed(backend: Api, request: &str) -> String {
    let rest = request.trim_start().strip_prefix('{').expect("a JSON object");
    format!("{{\"model\":{:?},\"stream\":true,{rest}", backend.model())
}

/// One question of a client of this API, with what is laid over it.
pub(crate) fn question(client: Api, more: &Value) -> Value {
    let mut request = match client {
        Api::Chat | Api::Ollama => json!({"messages": [{"role": "user", "content": "Hi"}]}),
        Api::Responses => json!({"input": "Hi"}),
        Api::Anthropic => json!({"max_tokens": 500, "messages": [{"role": "user", "content": "Hi"}]}),
    };
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

/// The head of a stream and a first text, in the API of this route.
fn opening(path: &str) -> String {
    let (media_type, body) = match path {
        "/api/chat" => (
            "application/x-ndjson",
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n",
        ),
        "/api/generate" => ("application/x-ndjson", "{\"model\":\"m\",\"response\":\"Hi\",\"done\":false}\n"),
        "/v1/messages" => ("text/event-stream", MESSAGE),
        "/v1/responses" => ("text/event-stream", RESPONSE),
        _ => (
            "text/event-stream",
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
        ),
    };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    )
}

const MESSAGE: &str = "event: message_start\n\
    data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
    event: content_block_start\n\
    data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\n\
    data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";

const RESPONSE: &str = "event: response.created\n\
    data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\n\
    event: response.output_item.added\n\
    data: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"in_progress\",\"content\":[]}}\n\n\
    event: response.content_part.added\n\
    data: {\"type\":\"response.content_part.added\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n\
    event: response.output_text.delta\n\
    data: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\"}\n\n";
