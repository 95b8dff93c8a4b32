//! Models of Ollama that cannot think: a request that was translated is put to them again without the wish.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Call, Request, addressed, ollama, question};

const REFUSAL: &str = "{\"error\":\"\\\"m\\\" does not support thinking\"}";

/// A question that wants some thinking, as a client of this API asks for it.
fn thoughtful(client: Api) -> Value {
    let more = match client {
        Api::Chat => json!({"reasoning_effort": "high"}),
        Api::Responses => json!({"reasoning": {"effort": "high"}}),
        Api::Anthropic => json!({"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 9000}),
        Api::Ollama => json!({"think": true}),
    };
    question(client, &more)
}

/// The request as bytes, for Ollama's backend.
fn raw(client: Api, request: &Value) -> Request {
    Request::raw(client.door(), addressed(Api::Ollama, &request.to_string()).as_bytes())
}

async fn refuse(call: Call) {
    call.answer_with(400, &[], REFUSAL).await;
}

#[tokio::test]
async fn a_model_that_cannot_think_is_asked_again_without() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        let (call, mut asked) = bench.call(Api::Ollama, &raw(client, &thoughtful(client))).await;
        let mut wanted = call.json();
        assert_eq!(wanted.as_object_mut().unwrap().remove("think"), Some(json!("high")), "{client:?}");
        refuse(call).await;
        let mut again = bench.backend(Api::Ollama).call().await;
        assert_eq!(again.json(), wanted, "{client:?}");
        again.lines().await;
        again.line(&ollama::text("Tisza")).await;
        let answer = asked.head().await;
        assert_eq!(answer.status, 200, "{client:?}");
        assert_eq!(answer.header("x-dropped-fields"), Some("reasoning_effort"), "{client:?}");
    }
}

#[tokio::test]
async fn it_is_asked_again_once_only() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        let seen = bench.backend(Api::Ollama).calls_seen();
        let (call, mut asked) = bench.call(Api::Ollama, &raw(client, &thoughtful(client))).await;
        refuse(call).await;
        refuse(bench.backend(Api::Ollama).call().await).await;
        let answer = asked.head().await;
        assert_eq!(answer.status, 400, "{client:?}");
        assert!(answer.text().await.contains("does not support thinking"), "{client:?}");
        assert_eq!(bench.backend(Api::Ollama).calls_seen() - seen, 2, "{client:?}");
    }
}

#[tokio::test]
async fn a_request_without_the_wish_is_not_repeated() {
    let mut bench = Bench::start().await;
    let (call, mut asked) = bench.call(Api::Ollama, &raw(Api::Chat, &question(Api::Chat, &json!({})))).await;
    refuse(call).await;
    assert_eq!(asked.head().await.status, 400);
    assert_eq!(bench.backend(Api::Ollama).calls_seen(), 1);
}

#[tokio::test]
async fn a_client_of_ollama_hears_it_as_it_is() {
    let mut bench = Bench::start().await;
    let (call, mut asked) = bench.call(Api::Ollama, &raw(Api::Ollama, &thoughtful(Api::Ollama))).await;
    refuse(call).await;
    let answer = asked.head().await;
    assert_eq!((answer.status, answer.text().await), (400, REFUSAL.to_owned()));
    assert_eq!(bench.backend(Api::Ollama).calls_seen(), 1);
}

#[tokio::test]
async fn another_refusal_is_not_taken_for_it() {
    let mut bench = Bench::start().await;
    let (call, mut asked) = bench.call(Api::Ollama, &raw(Api::Chat, &thoughtful(Api::Chat))).await;
    call.answer(400, &json!({"error": "\"m\" does not support tools"})).await;
    assert_eq!(asked.head().await.status, 400);
    assert_eq!(bench.backend(Api::Ollama).calls_seen(), 1);
}
