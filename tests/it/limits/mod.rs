//! Limits of a key: requests and tokens a minute, tokens a day, the models that it may use; and what one request may take of
//! memory and of its worker's time.

mod bodies;
mod budgets;
mod headers;
mod models;
mod routes;
#[cfg(feature = "redis")]
mod shared;
mod work;

use serde_json::{Value, json};

use super::support::{Answer, Call, Gateway, Request, Setup, Upstream, openai};

const CHAT: &str = "/v1/chat/completions";
const SECRET: &str = "sk-it-limits-2c81";

/// A gateway of four workers with the key of Alice, which has these limits.
async fn gateway(limits: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup =
        Setup::new().server("workers = 4").stream("commit_after = \"30s\"").key("alice", SECRET, limits);
    (setup.backend("one", "openai", &upstream.url()).start().await, upstream)
}

/// With the key of Alice.
fn keyed(request: Request) -> Request {
    request.header("authorization", &format!("Bearer {SECRET}"))
}

/// A chat with these members.
fn chat_with(stream: bool, more: &Value) -> Request {
    let mut body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    keyed(Request::post(CHAT, &body))
}

/// A chat whose answer may have so many tokens.
fn chat_of(stream: bool, max_tokens: u64) -> Request {
    chat_with(stream, &json!({"max_tokens": max_tokens}))
}

/// Answers a call with a whole answer that tells of this usage.
async fn answer(call: Call, input: u64, output: u64) {
    let message = json!({"role": "assistant", "content": "Save"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    let whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage});
    call.answer(200, &whole).await;
}

/// Streams this text to its end, with this usage if any.
async fn speak(mut call: Call, text: &str, usage: Option<(u64, u64)>) {
    call.stream().await;
    call.sse(&openai::text(text)).await;
    call.sse(&openai::finish("stop")).await;
    if let Some((input, output)) = usage {
        call.sse(&openai::usage(input, output)).await;
    }
    call.done().await;
}

/// What is left of this, as a header says it.
fn left(answer: &Answer, what: &str) -> u64 {
    let name = format!("x-ratelimit-remaining-{what}");
    answer.header(&name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers)).parse().unwrap()
}

/// What is left of the tokens now. It asks the gateway something that costs nothing.
async fn tokens_left(gateway: &Gateway) -> u64 {
    left(&gateway.send(&keyed(Request::get("/v1/models"))).await, "tokens")
}
