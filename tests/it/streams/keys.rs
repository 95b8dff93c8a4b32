//! What a recorded stream does to doors that record nothing, and what is refused in whose words.

use serde_json::json;

use super::{TALK, gateway, with};
use crate::support::{Heard, Request};

#[tokio::test]
async fn refusals_are_in_the_words_of_each_door() {
    for (door, api) in crate::support::pairs::DOORS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let headers = [(TALK, "talk"), ("x-on-conflict", "reject")];
        let (_answer, _call) = super::begin(&gateway, &mut upstream, &super::wish(door, &headers)).await;
        let mut refused = gateway.send(&super::wish(door, &headers)).await;
        assert_eq!(refused.status, 409, "{door}");
        let error = refused.json().await;
        let words = if door == "/api/chat" { &error["error"] } else { &error["error"]["message"] };
        assert!(words.is_string(), "{door}: {error}");
    }
}

#[tokio::test]
async fn a_model_that_is_only_loaded_is_not_recorded() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    for door in ["/api/chat", "/api/generate"] {
        let body = json!({"model": "m", "messages": [], "prompt": ""});
        let mut answer = gateway.send(&with(Request::post(door, &body), &[(TALK, "talk")])).await;
        assert_eq!((answer.status, answer.header("stream-id")), (200, None), "{door}");
        assert_eq!(Heard::of(&mut answer).await.done, 1);
    }
    assert_eq!(gateway.get("/v1/streams").await.json().await["data"], json!([]));
}

#[tokio::test]
async fn wishes_at_doors_that_do_not_stream_are_passed_over() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let body = json!({"model": "m", "input": "a river"});
    let headers = [(TALK, "talk"), ("idempotency-key", "k"), ("prefer", "respond-async")];
    let asked = gateway.ask(&with(Request::post("/v1/embeddings", &body), &headers)).await;
    upstream.call().await.answer(200, &json!({"object": "list", "data": []})).await;
    let answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("stream-id")), (200, None));
}
