//! Translation: a client of one dialect over a backend of the other.

mod answers;
mod arguments;
mod asides;
mod ask_ollama;
mod ask_openai;
mod caching;
mod calls;
mod characters;
mod choice;
mod citations;
mod claude_code;
mod codex;
mod conversation;
mod counting;
mod documents;
mod echo;
mod effort;
mod ends;
mod extras;
mod failures;
mod format;
mod from_anthropic;
mod from_responses;
mod generate;
mod headers;
mod hear_anthropic;
mod hear_ollama;
mod hear_openai;
mod hear_responses;
mod histories;
mod ids;
mod images;
mod limits;
mod losses;
mod mixed;
mod models;
mod names;
mod namespaces;
mod reasoning;
mod reasoning_streams;
mod relief;
mod results;
mod sampling;
mod seals;
mod signatures;
mod stops;
mod strict;
mod system;
mod thinkless;
mod tool_calls;
mod tools;
mod unplaced;
mod usage;

use serde_json::{Value, json};

use crate::support::{Answer, gateway_over};

/// A PNG by its first bytes.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";

/// A request of one user's turn, and what is laid over it.
fn request(more: Value) -> Value {
    let mut request = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let Value::Object(more) = more else { panic!("members of a request") };
    request.as_object_mut().unwrap().extend(more);
    request
}

/// What the backend is asked.
async fn sent(api: &str, door: &str, more: Value) -> Value {
    let (gateway, mut upstream) = gateway_over(api, &[]).await;
    let _asked = gateway.ask_post(door, &request(more)).await;
    upstream.call().await.json()
}

/// The answer to a request from which something was dropped, with a text through.
async fn answered(api: &str, door: &str, more: Value) -> (Answer, Value) {
    let (gateway, mut upstream) = gateway_over(api, &[]).await;
    let asked = gateway.ask_post(door, &request(more)).await;
    let mut call = upstream.call().await;
    call.say(&["Hi"]).await;
    (asked.answer().await, call.json())
}
