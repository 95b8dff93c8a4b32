//! Backends that refuse what they do not know: they are asked once more without it, or never told.

use serde_json::{Value, json};

use super::request;
use crate::support::{Gateway, Heard, Setup, Upstream, gateway_over};

/// A backend's refusal, in OpenAI's words.
fn refusal(message: &str, param: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}})
}

fn thinking() -> Value {
    request(json!({"think": "low"}))
}

#[tokio::test]
async fn an_effort_that_the_backend_refuses_is_taken_back_and_named() {
    for (status, words, param) in [
        (400, "Unrecognized request argument supplied: reasoning_effort", None),
        (422, "no such thing", Some("reasoning_effort")),
    ] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask_post("/api/chat", &thinking()).await;
        let call = upstream.call().await;
        assert_eq!(call.json()["reasoning_effort"], "low");
        call.answer(status, &refusal(words, param)).await;
        let mut call = upstream.call().await;
        assert!(call.json().get("reasoning_effort").is_none());
        call.say(&["Tajo"]).await;
        call.end().await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.header("x-dropped-fields"), Some("reasoning_effort"));
        assert_eq!(Heard::of(&mut answer).await.text, "Tajo");
    }
}

#[tokio::test]
async fn a_backend_that_refuses_again_is_not_asked_a_third_time() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/api/chat", &thinking()).await;
    for _ in 0..2 {
        upstream.call().await.answer(400, &refusal("`reasoning_effort`, `tools`: no", None)).await;
    }
    assert_eq!(asked.answer().await.status, 400);
    assert_eq!(upstream.calls_seen(), 2);
}

#[tokio::test]
async fn a_refusal_of_something_else_is_the_clients() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/api/chat", &thinking()).await;
    upstream.call().await.answer(400, &refusal("`temperature` is too high", Some("temperature"))).await;
    assert_eq!(asked.answer().await.status, 400);
    assert_eq!(upstream.calls_seen(), 1);
}

/// A gateway before an OpenAI backend that is told reasoning like this.
async fn told(line: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    (Setup::new().backend_with("one", "openai", &upstream.url(), line).start().await, upstream)
}

#[tokio::test]
async fn the_reasoning_of_earlier_turns_is_told_where_the_backend_wants_it() {
    let history = json!([
        {"role": "user", "content": "Name a river."},
        {"role": "assistant", "content": "Tajo", "thinking": "In Spain."},
        {"role": "user", "content": "Another."}
    ]);
    for (line, field) in [
        ("", Some("reasoning_content")),
        ("reasoning_field = \"reasoning_content\"", Some("reasoning_content")),
        ("reasoning_field = \"reasoning\"", Some("reasoning")),
        ("reasoning_field = \"none\"", None),
    ] {
        let (gateway, mut upstream) = told(line).await;
        let asked = gateway.ask_post("/api/chat", &request(json!({"messages": history}))).await;
        let mut call = upstream.call().await;
        let turn = call.json()["messages"][1].clone();
        for known in ["reasoning_content", "reasoning"] {
            let expected = if field == Some(known) { json!("In Spain.") } else { Value::Null };
            assert_eq!(turn[known], expected, "{line}: {turn}");
        }
        call.say(&["Duero"]).await;
        let dropped = field.is_none().then_some("reasoning");
        assert_eq!(asked.answer().await.header("x-dropped-fields"), dropped, "{line}");
    }
}

#[tokio::test]
async fn a_long_name_of_a_user_is_told_in_64_letters() {
    let long = format!("user_{}_account__session_{}", "0".repeat(64), "1".repeat(36));
    let more = json!({"max_tokens": 9, "metadata": {"user_id": long}});
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let _asked = gateway.ask_post("/v1/messages", &request(more)).await;
    let told = upstream.call().await.json()["user"].as_str().unwrap().to_owned();
    assert!(told.len() == 64 && told.chars().all(|c| c.is_ascii_hexdigit()), "{told}");
}

#[tokio::test]
async fn a_model_of_anthropic_is_told_one_of_temperature_and_top_p() {
    let (gateway, mut upstream) = gateway_over("anthropic", &[]).await;
    let more = json!({"temperature": 0.5, "top_p": 0.5, "tools": [{"type": "function", "function": {"name": "now", "parameters": {}}}]});
    let asked = gateway.ask_post("/v1/chat/completions", &request(more)).await;
    let mut call = upstream.call().await;
    let sent = call.json();
    assert_eq!((&sent["temperature"], sent.get("top_p")), (&json!(0.5), None));
    assert_eq!(sent["tools"][0]["input_schema"], json!({"type": "object"}));
    call.stream().await;
    call.sse(&json!({"type": "message_start", "message": {"id": "msg_1"}})).await;
    call.sse(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})).await;
    assert_eq!(asked.answer().await.header("x-dropped-fields"), Some("top_p"));
}
