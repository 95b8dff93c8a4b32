//! In front of llama.cpp: it notices who leaves, tells how far it is with a prompt, counts, and takes more than its APIs say.

mod counting;
mod known;
mod limit;
mod progress;
mod refused;
mod streams;
mod whole;

use serde_json::{Value, json};

use crate::support::pairs::CHAT;
use crate::support::{Call, Client, Gateway, Request, Setup, Upstream};

const KNOWN: &str = "llama_cpp = true\nsampling_extensions = true";

/// A gateway before a server of llama.cpp that is asked in this API, with further lines of its table.
async fn gateway(api: &str, more: &str, stream: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().lines(stream).backend_with("one", api, &upstream.url(), more);
    (setup.start().await, upstream)
}

/// A chat request with further members.
fn chat_with(stream: bool, more: &Value) -> Value {
    let mut request =
        json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Name a river."}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

/// What was asked of the gateway, and the call that came of it.
async fn asked(gateway: &Gateway, upstream: &mut Upstream, request: &Value) -> (Client, Call) {
    let asked = gateway.ask(&Request::post(CHAT, request)).await;
    (asked, upstream.call().await)
}
