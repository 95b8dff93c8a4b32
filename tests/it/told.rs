//! What a backend tells in its first frame counts as if it had said it with a status.

use serde_json::{Value, json};

use crate::support::{Answer, Setup, Upstream, chat, gateway_over, openai};

/// What the client of a door gets when this is all that its backend says.
async fn told(api: &str, door: &str, frame: &Value) -> Answer {
    let (gateway, mut upstream) = gateway_over(api, &["commit_after = \"30s\""]).await;
    let mut request = chat();
    request["max_tokens"] = json!(9);
    let asked = gateway.ask_post(door, &request).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(frame).await;
    call.finish().await;
    asked.answer().await
}

fn error(kind: &str, code: &Value) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": "not now", "code": code}})
}

#[tokio::test]
async fn an_error_of_anthropic_before_the_first_token_has_its_status() {
    for (kind, status) in [("rate_limit_error", 429), ("invalid_request_error", 400), ("timeout_error", 504)]
    {
        let answer = told("anthropic", "/v1/chat/completions", &error(kind, &Value::Null)).await;
        assert_eq!(answer.status, status, "{kind}");
    }
    let overloaded = error("overloaded_error", &Value::Null);
    assert_eq!(told("anthropic", "/v1/messages", &overloaded).await.status, 529);
    assert_eq!(told("anthropic", "/v1/chat/completions", &overloaded).await.status, 503);
}

#[tokio::test]
async fn an_error_with_a_status_in_it_has_that() {
    for (code, status) in [(json!(503), 503), (json!(400), 400), (json!(7), 502), (json!("x"), 502)] {
        let answer = told("openai", "/v1/chat/completions", &error("unavailable_error", &code)).await;
        assert_eq!(answer.status, status, "{code}");
    }
}

#[tokio::test]
async fn a_refused_key_is_none_of_the_clients_business_also_in_a_frame() {
    let frame = json!({"error": {"message": "bad key: sk-4711", "code": 401}});
    let mut answer = told("openai", "/v1/chat/completions", &frame).await;
    assert_eq!(answer.status, 502);
    let text = answer.text().await;
    assert!(!text.contains("4711"), "{text}");
}

/// Two backends, of which the first says only this; was the second asked?
async fn passes_on(frame: &str) -> bool {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream("commit_after = \"30s\"").backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "openai", &second.url()).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = first.call().await;
    call.stream().await;
    call.chunk(format!("data: {frame}\n\n")).await;
    let call = tokio::select! {
        call = second.call() => Some(call),
        answer = asked.answer() => { assert_eq!(answer.status, 400); None }
    };
    call.is_some()
}

#[tokio::test]
async fn only_what_another_backend_could_mend_passes_on_to_it() {
    assert!(passes_on(&error("server_error", &json!(503)).to_string()).await);
    assert!(passes_on(&error("server_error", &Value::Null).to_string()).await);
    assert!(!passes_on(&error("invalid_request_error", &json!(400)).to_string()).await);
}

#[tokio::test]
async fn a_lone_done_passes_on_to_the_next_backend() {
    assert!(passes_on("[DONE]").await);
}

#[tokio::test]
async fn done_behind_a_text_without_a_finish_reason_is_no_end() {
    for (api, door) in [("openai", "/v1/chat/completions"), ("openai", "/api/chat")] {
        let (gateway, mut upstream) = gateway_over(api, &[]).await;
        let asked = gateway.ask_post(door, &chat()).await;
        let mut call = upstream.call().await;
        call.say(&["Tormes"]).await;
        call.done().await;
        let heard = crate::support::Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.text == "Tormes", "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn a_full_context_is_told_so_that_clients_know_it() {
    let words = "This model's maximum context length is 8192 tokens.";
    for (door, code) in [("/v1/chat/completions", Some("context_length_exceeded")), ("/v1/messages", None)] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let mut request = chat();
        request["max_tokens"] = json!(9);
        let asked = gateway.ask_post(door, &request).await;
        upstream.call().await.answer(400, &openai::error(words)).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 400);
        let error = answer.json().await["error"].clone();
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"].as_str(), code);
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(words) && (code.is_some() || told.starts_with("prompt is too long")), "{told}");
    }
}

#[tokio::test]
async fn a_call_whose_arguments_never_end_is_not_kept_for_ever() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::tool(0, "call_a", "depth", "{\"of\":\"")).await;
    let fragment = format!("data: {}\n\n", openai::arguments(0, &"x".repeat(3 << 20)));
    for _ in 0..22 {
        // what the last of them does is to be seen at the other side
        let size = format!("{:x}\r\n", fragment.len());
        drop(call.try_send(format!("{size}{fragment}\r\n").as_bytes()).await);
    }
    let heard = crate::support::Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed(), "{heard:?}");
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"frame_too_large\""], 1.0).await;
}
