//! llama.cpp's routes for streams as they are today: found by the names of their conversations, read and ended by a query.

use serde_json::{Value, json};

use super::{KNOWN, chat_with, gateway};
use crate::support::pairs::CHAT;
use crate::support::{Call, Client, Gateway, Heard, Request, Setup, Upstream};

async fn begun(gateway: &Gateway, upstream: &mut Upstream, name: &str) -> (Client, Call) {
    let request = Request::post(CHAT, &chat_with(true, &json!({}))).header("x-conversation-id", name);
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.say(&["Elbe"]).await;
    (asked, call)
}

async fn looked_up(gateway: &Gateway, names: &[&str]) -> Value {
    let mut answer = gateway.post("/v1/streams/lookup", &json!({ "conversation_ids": names })).await;
    assert_eq!(answer.status, 200);
    answer.json().await
}

#[tokio::test]
async fn streams_are_looked_up_by_the_names_of_their_conversations() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    assert_eq!(looked_up(&gateway, &[]).await, json!([]));
    let (asked, call) = begun(&gateway, &mut upstream, "a b/c").await;
    let mut running = asked.answer().await;
    running.next_event().await;
    let found = looked_up(&gateway, &["else", "a b/c"]).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let state = (&found[0]["conversation_id"], &found[0]["is_done"], &found[0]["completed_at"]);
    assert_eq!(state, (&json!("a b/c"), &json!(false), &json!(0)));
    assert!(
        found[0]["total_bytes"].as_u64().unwrap() > 0
            && found[0]["started_at"].as_u64().unwrap() > 1_700_000_000
    );
    call.end().await;
    running.events().await;
    crate::support::until("the stream to be done", async || {
        looked_up(&gateway, &["a b/c"]).await[0]["is_done"] == true
    })
    .await;
    let found = looked_up(&gateway, &["a b/c"]).await;
    assert!(found[0]["completed_at"].as_u64() >= found[0]["started_at"].as_u64());
    let all = gateway.get("/v1/stream?conv_id=a+b%2Fc").await.rest().await.0;
    assert_eq!(found[0]["total_bytes"], all.len() as u64);
}

#[tokio::test]
async fn the_bytes_of_a_stream_of_lines_are_counted_as_they_are_read() {
    let (gateway, mut upstream) = gateway("ollama", "", &[]).await;
    let request =
        Request::post("/api/chat", &chat_with(true, &json!({}))).header("x-conversation-id", "talk");
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.say(&["Elbe", " and", " Main"]).await;
    call.end().await;
    asked.answer().await.rest().await;
    let all = gateway.get("/v1/stream?conv_id=talk").await.rest().await.0;
    assert_eq!(looked_up(&gateway, &["talk"]).await[0]["total_bytes"], all.len() as u64);
}

#[tokio::test]
async fn a_stream_is_read_from_a_byte_on_and_ended_by_its_conversation() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let (asked, mut call) = begun(&gateway, &mut upstream, "talk").await;
    let mut answer = asked.answer().await;
    let first = answer.next_event().await;
    let mut read = gateway.get("/v1/stream?conv_id=talk&from=3").await;
    assert_eq!(read.header("content-type"), Some("text/event-stream"));
    assert_eq!(read.next_event().await.raw, first.raw.slice(3..));
    for _ in 0..2 {
        let mut ended = gateway.send(&Request::new("DELETE", "/v1/stream?conv_id=talk")).await;
        assert_eq!((ended.status, ended.text().await), (204, String::new()));
    }
    call.closed().await;
    assert_eq!(Heard::of(&mut answer).await.code(), Some("cancelled"));
}

#[tokio::test]
async fn what_names_no_conversation_is_told_so() {
    let (gateway, _upstream) = gateway("openai", KNOWN, &[]).await;
    for method in ["GET", "DELETE"] {
        for query in ["", "?conv_id=", "?from=1"] {
            let answer = gateway.send(&Request::new(method, &format!("/v1/stream{query}"))).await;
            assert_eq!(answer.status, 400, "{method} {query}");
        }
    }
    assert_eq!(gateway.get("/v1/stream?conv_id=talk").await.status, 404);
    assert_eq!(gateway.send(&Request::new("DELETE", "/v1/stream?conv_id=talk")).await.status, 204);
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    for body in [
        json!({"conversation_ids": "talk"}),
        json!({"conversation_ids": [1]}),
        json!("talk"),
        json!({ "conversation_ids": many }),
    ] {
        assert_eq!(gateway.post("/v1/streams/lookup", &body).await.status, 400);
    }
}

#[tokio::test]
async fn a_stream_of_another_key_is_not_found() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "openai", &upstream.url());
    let gateway = setup.key("ann", "sk-ann", "").key("bob", "sk-bob", "").start().await;
    let by = |request: Request, key: &str| request.header("authorization", &format!("Bearer {key}"));
    let request = Request::post(CHAT, &chat_with(true, &json!({}))).header("x-conversation-id", "talk");
    let asked = gateway.ask(&by(request, "sk-ann")).await;
    let mut call = upstream.call().await;
    call.say(&["Elbe"]).await;
    asked.answer().await.next_event().await;
    let lookup = || Request::post("/v1/streams/lookup", &json!({"conversation_ids": ["talk"]}));
    assert_eq!(gateway.send(&by(lookup(), "sk-bob")).await.json().await, json!([]));
    assert_eq!(
        gateway.send(&by(Request::new("DELETE", "/v1/stream?conv_id=talk"), "sk-bob")).await.status,
        204
    );
    assert_eq!(gateway.send(&by(lookup(), "sk-ann")).await.json().await[0]["is_done"], false);
    assert_eq!(gateway.send(&lookup()).await.status, 401);
}
