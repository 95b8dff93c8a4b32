//! Routes whose backends speak different dialects: each backend is judged by itself, and one that can be asked is asked.

use serde_json::{Value, json};

use super::request;
use crate::support::{Answer, Gateway, Heard, Request, Setup, Upstream, gateway_over, openai};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before two backends of these dialects, in this order.
async fn over(first: &str, second: &str) -> (Gateway, Upstream, Upstream) {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream("commit_after = \"30s\"").backend("one", first, &one.url());
    (setup.backend("two", second, &two.url()).start().await, one, two)
}

/// What an OpenAI client sends that only an OpenAI backend knows goes to that one as it came.
async fn assert_sent_as_it_came(first: &str, second: &str, field: &str) {
    let (gateway, one, two) = over(first, second).await;
    let (mut openai, ollama) = if first == "openai" { (one, two) } else { (two, one) };
    let body =
        format!("{{ \"model\":\"m\",\"messages\" : [{{\"role\":\"user\",\"content\":\"Hi\"}}], {field} }}");
    let asked = gateway.ask(&Request::raw(CHAT, body.as_bytes())).await;
    let call = openai.call().await;
    assert_eq!(call.body, body.as_bytes());
    call.answer(200, &openai::whole("Tisza")).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.json().await), (200, openai::whole("Tisza")));
    assert_eq!(ollama.calls_seen(), 0);
}

#[tokio::test]
async fn several_choices_go_to_the_backend_that_can_give_them() {
    assert_sent_as_it_came("openai", "ollama", "\"n\":2").await;
}

#[tokio::test]
async fn logprobs_go_to_the_backend_that_can_give_them() {
    assert_sent_as_it_came("openai", "ollama", "\"logprobs\":true, \"top_logprobs\" : 2").await;
}

#[tokio::test]
async fn a_backend_that_cannot_be_asked_is_passed_over() {
    assert_sent_as_it_came("ollama", "openai", "\"n\":2").await;
}

#[tokio::test]
async fn a_stream_of_several_choices_goes_to_the_backend_that_can_give_them() {
    let (gateway, mut openai, _ollama) = over("openai", "ollama").await;
    let options = json!({"n": 2, "stream_options": {"include_usage": true}});
    let body = request(options).to_string();
    let asked = gateway.ask(&Request::raw(CHAT, body.as_bytes())).await;
    let mut call = openai.call().await;
    assert_eq!(call.body, body.as_bytes());
    call.say(&["Tisza"]).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn loading_a_model_is_passed_on_to_ollama() {
    for (first, second) in [("ollama", "openai"), ("openai", "ollama")] {
        let (gateway, one, two) = over(first, second).await;
        let (mut ollama, openai) = if first == "ollama" { (one, two) } else { (two, one) };
        let asked = gateway.ask(&Request::raw("/api/chat", b"{\"model\":\"x\"}")).await;
        let call = ollama.call().await;
        assert_eq!((call.path.as_str(), &call.body[..]), ("/api/chat", &b"{\"model\":\"x\"}"[..]));
        // Ollama answers with one JSON document, though a stream was asked for.
        let loaded = json!({"model": "x", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "load"});
        call.answer(200, &loaded).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 200, "{first} first");
        assert_eq!(answer.json().await, loaded, "{first} first");
        assert_eq!(openai.calls_seen(), 0);
    }
}

/// What is said of this request without a prompt, streamed and whole, where there is no Ollama; nobody is asked.
async fn loaded(door: &str, more: &Value) -> [Value; 2] {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    let mut request = json!({"model": "x"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut answer = gateway.post(door, &request).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded() && heard.events.len() == 1, "{heard:?}");
    request["stream"] = json!(false);
    let mut answer = gateway.post(door, &request).await;
    assert_eq!(answer.status, 200);
    let whole = answer.json().await;
    assert_eq!(upstream.calls_seen(), 0);
    [heard.events[0].clone(), whole]
}

#[tokio::test]
async fn without_ollama_loading_a_model_is_told_and_nobody_is_asked() {
    for door in ["/api/chat", "/api/generate"] {
        for said in loaded(door, &json!({})).await {
            assert_eq!((&said["model"], &said["done"]), (&json!("x"), &json!(true)), "{door}: {said}");
            assert_eq!(said["done_reason"], "load", "{door}: {said}");
        }
    }
}

#[tokio::test]
async fn without_ollama_unloading_a_model_is_told_and_nobody_is_asked() {
    for door in ["/api/chat", "/api/generate"] {
        for keep_alive in [json!(0), json!("0s")] {
            for said in loaded(door, &json!({"keep_alive": keep_alive})).await {
                assert_eq!(said["done_reason"], "unload", "{door}, {keep_alive}: {said}");
            }
        }
    }
}

/// The answer to a `prediction`, which only OpenAI's dialect has, where the first backend serves or fails.
async fn predicted(fails: bool) -> Answer {
    let (gateway, mut openai, mut ollama) = over("openai", "ollama").await;
    let asked = gateway.ask_post(CHAT, &request(json!({"prediction": {"50256": -100}}))).await;
    let mut call = openai.call().await;
    if fails {
        call.answer(503, &openai::error("full")).await;
        call = ollama.call().await;
    }
    call.say(&["Tisza"]).await;
    asked.answer().await
}

#[tokio::test]
async fn what_the_backend_that_serves_was_told_is_not_named() {
    assert_eq!(predicted(false).await.header("x-dropped-fields"), None);
}

#[tokio::test]
async fn what_the_backend_that_serves_was_not_told_is_named() {
    assert_eq!(predicted(true).await.header("x-dropped-fields"), Some("prediction"));
}
