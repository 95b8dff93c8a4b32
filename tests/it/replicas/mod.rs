//! Several replicas on one Redis: each serves the streams of all, and none of them fails because another does, or Redis.

mod alive;
mod bounds;
mod channel_bounds;
mod channels;
mod conversations;
mod fenced;
mod large;
mod lists;
mod outage;
mod partition;
mod permissions;
mod pulls;
mod sealed;
mod shared;
mod storm;

use serde_json::json;

use super::support::redis::Redis;
use super::support::{Answer, Call, Event, Gateway, Request, Setup, Upstream, chat};

/// Two gateways, one Redis, one backend.
struct Pair {
    a: Gateway,
    b: Gateway,
    redis: Redis,
    upstream: Upstream,
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(|setup| setup).await
    }

    async fn start_with(also: impl Fn(Setup) -> Setup) -> Self {
        Self::start_on(Redis::start().await, also).await
    }

    async fn start_on(redis: Redis, also: impl Fn(Setup) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        let start =
            async || also(replica(&redis.url()).backend("one", "openai", &upstream.url())).start().await;
        let (a, b) = (start().await, start().await);
        Self { a, b, redis, upstream }
    }

    /// A stream of a conversation, begun on A.
    async fn begun(&mut self) -> Begun {
        begin(&self.a, &mut self.upstream, "c").await
    }
}

/// A replica whose lease is short.
fn replica(url: &str) -> Setup {
    Setup::new()
        .journal("store = \"redis\"")
        .journal(&format!("url = \"{url}\""))
        .journal("lease = \"2s\"")
        .server("workers = 1")
}

/// A stream whose first event has come.
struct Begun {
    answer: Answer,
    call: Call,
    id: String,
    first: Event,
}

/// A chat of this conversation.
fn said(conversation: &str) -> Request {
    Request::post("/v1/chat/completions", &chat()).header("x-conversation-id", conversation)
}

async fn begin(gateway: &Gateway, upstream: &mut Upstream, conversation: &str) -> Begun {
    let asked = gateway.ask(&said(conversation)).await;
    let mut call = upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    let id = answer.header("stream-id").expect("a stream with an id").to_owned();
    let first = answer.next_event().await;
    Begun { answer, call, id, first }
}

/// The backend says one word.
async fn say(call: &mut Call, text: &str) {
    call.sse(&super::support::openai::text(text)).await;
}

/// The backend's answer comes to its end.
async fn over(mut call: Call) {
    call.sse(&super::support::openai::finish("stop")).await;
    call.done().await;
}

fn read(id: &str) -> Request {
    Request::get(&format!("/v1/streams/{id}")).header("accept", "text/event-stream")
}

fn look(id: &str) -> Request {
    Request::get(&format!("/v1/streams/{id}")).header("accept", "application/json")
}

/// The code of an error event.
fn code(event: &Event) -> String {
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or(json!(null));
    data["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The number of an event of a stream.
fn id(event: &Event) -> Option<String> {
    let raw = std::str::from_utf8(&event.raw).unwrap();
    raw.lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned)
}
