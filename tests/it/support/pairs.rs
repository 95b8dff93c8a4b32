//! All backends by all doors: one gateway before a scripted server that stands for a backend of every API, each under a model's
//! name of its own.

use serde_json::{Value, json};

use super::answer::Answer;
use super::call::Call;
use super::client::Client;
use super::gateway::Gateway;
use super::heard::Heard;
use super::setup::Setup;
use super::upstream::Upstream;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const RESPONSES: &str = "/v1/responses";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const OLLAMA: &str = "/api/chat";

/// The APIs of backends, as [`Setup::backend`] takes them.
pub(crate) const APIS: [&str; 4] = ["openai", "responses", "anthropic", "ollama"];
/// The doors whose clients are translated for, each beside the API that speaks its dialect.
pub(crate) const DOORS: [(&str, &str); 4] =
    [(CHAT, "openai"), (RESPONSES, "responses"), (MESSAGES, "anthropic"), (OLLAMA, "ollama")];

/// Every API by every door; `true`: they speak one dialect.
pub(crate) fn pairs() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let by_door = |api| move |(door, own): (&'static str, &str)| (api, door, own == api);
    APIS.into_iter().flat_map(move |api| DOORS.into_iter().map(by_door(api)))
}

/// The pairs that are translated.
pub(crate) fn crossed() -> impl Iterator<Item = (&'static str, &'static str)> {
    pairs().filter(|(_, _, same)| !same).map(|(api, door, _)| (api, door))
}

pub(crate) struct Pairs {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
}

impl Pairs {
    /// With these lines in `[stream]`.
    pub(crate) async fn start(stream: &[&str]) -> Self {
        let upstream = Upstream::start().await;
        let mut setup = Setup::new().lines(stream);
        for api in APIS {
            let route = format!("model = \"{api}\"\nbackends = [{{ name = \"{api}\", model = \"m\" }}]");
            setup = setup.backend(api, api, &upstream.url()).route(&route);
        }
        Self { gateway: setup.start().await, upstream }
    }

    /// A request that was asked, and the call that came of it.
    pub(crate) async fn ask(&mut self, door: &str, request: &Value) -> (Client, Call) {
        let asked = self.gateway.ask_post(door, request).await;
        (asked, self.upstream.call().await)
    }

    /// The answer at this door to a plain request, whose backend sends these frames and then ends.
    pub(crate) async fn answer(&mut self, api: &str, door: &str, stream: bool, frames: &[String]) -> Answer {
        self.answer_to(door, &request(door, api, stream), frames).await
    }

    pub(crate) async fn answer_to(&mut self, door: &str, request: &Value, frames: &[String]) -> Answer {
        let (asked, call) = self.ask(door, request).await;
        call.play(frames).await;
        asked.answer().await
    }

    /// What is heard of it, streamed or whole.
    pub(crate) async fn hear(&mut self, api: &str, door: &str, stream: bool, frames: &[String]) -> Heard {
        self.hear_as(door, &request(door, api, stream), frames).await
    }

    pub(crate) async fn hear_as(&mut self, door: &str, request: &Value, frames: &[String]) -> Heard {
        let mut answer = self.answer_to(door, request, frames).await;
        if request["stream"] == true {
            Heard::of(&mut answer).await
        } else {
            assert_eq!(answer.status, 200);
            Heard::of_whole(&answer.json().await)
        }
    }
}

/// What every client but those of this API hears of these frames, streamed and whole.
pub(crate) async fn each(api: &str, frames: &[String], check: impl Fn(&str, &Heard)) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
        for stream in [true, false] {
            let heard = pairs.hear(api, door, stream, frames).await;
            let what = format!("{door} over {api}, stream {stream}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            check(&what, &heard);
        }
    }
}

/// A request for this door, which asks for usage where that must be asked for.
pub(crate) fn request(door: &str, model: &str, stream: bool) -> Value {
    let words = "Name a river.";
    let messages = json!([{"role": "user", "content": words}]);
    match door {
        RESPONSES => json!({"model": model, "stream": stream, "input": words}),
        MESSAGES | "/v1/messages/count_tokens" => {
            json!({"model": model, "stream": stream, "max_tokens": 512, "messages": messages})
        }
        CHAT if stream => json!({
            "model": model, "stream": true, "messages": messages, "stream_options": {"include_usage": true}
        }),
        "/api/generate" | "/v1/completions" => json!({"model": model, "stream": stream, "prompt": words}),
        "/v1/embeddings" | "/api/embed" => json!({"model": model, "input": words}),
        _ => json!({"model": model, "stream": stream, "messages": messages}),
    }
}

/// A request with these members besides.
pub(crate) fn request_with(door: &str, model: &str, stream: bool, more: &Value) -> Value {
    let mut request = request(door, model, stream);
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}
