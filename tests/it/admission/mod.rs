//! Admission: a backend with `max_concurrent` is never asked more at a time; who comes then waits in a fair line, and sees where.

mod fair;
mod full;
mod groups;
mod places;
mod slots;

use serde_json::{Value, json};

use super::support::{Call, Client, Gateway, Item, Request, Setup, Upstream};

const CHAT: &str = "/v1/chat/completions";

/// A backend with these limits behind a gateway of four workers.
async fn gateway(limits: &str, stream: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 4").lines(stream);
    (setup.backend_with("one", "openai", &upstream.url(), limits).start().await, upstream)
}

/// A streamed chat in which the user says this.
fn chat_of(who: &str) -> Value {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": who}]})
}

/// The same as a request with this caller's key, which is the caller's name.
fn asked_by(who: &str) -> Request {
    Request::post(CHAT, &chat_of(who)).header("authorization", &format!("Bearer {who}"))
}

/// What the user says in a call.
fn user(call: &Call) -> String {
    call.json()["messages"][0]["content"].as_str().unwrap().to_owned()
}

/// Asks, and waits until so many wait in line.
async fn stands(gateway: &Gateway, request: &Request, length: u32) -> Client {
    let asked = gateway.ask(request).await;
    gateway.metric_reaches("streamgate_queue_length", &[], f64::from(length)).await;
    asked
}

/// The text of a keep-alive.
fn quiet(item: &Item) -> &str {
    let Item::Quiet(raw) = item else { panic!("{item:?} where a keep-alive was awaited") };
    std::str::from_utf8(raw).unwrap()
}
