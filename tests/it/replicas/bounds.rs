//! What is bounded where replicas share a store, and found without looking through it.

use serde_json::json;

use super::super::support::redis::Redis;
use super::super::support::{Client, Request, Setup, Upstream, prompt, responses, until};

/// A replica whose lease is long: what it is busy with here is no reason to take it for dead.
fn replica(url: &str) -> Setup {
    Setup::new().journal("store = \"redis\"").journal(&format!("url = \"{url}\"")).server("workers = 1")
}

async fn next(mut client: Client, request: &Request) -> (Client, u16) {
    client.ask(request).await;
    let mut answer = client.answer().await;
    let status = answer.status;
    assert_eq!(status == 429, answer.header("retry-after").is_some());
    answer.rest().await;
    (answer.reuse(), status)
}

#[tokio::test]
async fn a_line_ends_at_its_bound_on_all_replicas_together_and_goes_on_when_one_has_left() {
    let redis = Redis::start().await;
    let start = async || replica(&redis.url()).demo().start().await;
    let (a, b) = (start().await, start().await);
    let waiting = |policy: &str| {
        let request = Request::post("/v1/chat/completions", &prompt("demo:words=9000,pace=20ms", true));
        let request = request.header("prefer", "respond-async").header("x-conversation-id", "c");
        request.header("x-on-conflict", policy)
    };
    let (mut one, mut other) = (a.client().await, b.client().await);
    let mut status;
    for _ in 0..128 {
        (one, status) = next(one, &waiting("enqueue")).await;
        assert_eq!(status, 202);
        (other, status) = next(other, &waiting("enqueue")).await;
        assert_eq!(status, 202);
    }
    (one, status) = next(one, &waiting("enqueue")).await;
    assert_eq!(status, 429);
    (other, status) = next(other, &waiting("enqueue")).await;
    assert_eq!(status, 429);
    (_, status) = next(one, &waiting("interrupt")).await;
    assert_eq!(status, 202);
    let mut client = Some(other);
    until("the line to have room", async || {
        let (back, status) = next(client.take().unwrap(), &waiting("enqueue")).await;
        client = Some(back);
        status == 202
    })
    .await;
}

#[tokio::test]
async fn a_response_is_found_on_another_replica_by_what_its_backend_calls_it() {
    let redis = Redis::start().await;
    let mut upstream = Upstream::start().await;
    let start = async || replica(&redis.url()).backend("one", "responses", &upstream.url()).start().await;
    let (a, b) = (start().await, start().await);
    let ask = Request::post("/v1/responses", &json!({"model": "m", "input": "Name a river."}));
    let asked = a.ask(&ask).await;
    let call = upstream.call().await;
    let item = responses::message(&[responses::text_part("Rhine")]);
    call.answer(200, &responses::completed(&[item])["response"]).await;
    let mut answer = asked.answer().await;
    let told = answer.json().await;
    let id = told["id"].as_str().unwrap();
    assert_ne!(id, format!("resp_{}", answer.header("stream-id").unwrap()), "the backend's own");
    let path = format!("/v1/responses/{id}");
    until("the other replica to know it", async || b.get(&path).await.status == 200).await;
    assert_eq!(b.get(&path).await.json().await, told);
    assert_eq!(b.get("/v1/responses/resp_other").await.status, 404);
    assert_eq!(b.send(&Request::new("DELETE", &path)).await.status, 200);
    until("it to be gone", async || a.get(&path).await.status == 404).await;
}
