//! What a client is told of a backend that answers, but not as it was asked: with an error's status, or with something else
//! than an answer.

use serde_json::{Value, json};

use crate::support::{Answer, Setup, Upstream, gateway_over, openai, prompt};

const CHAT: &str = "/v1/chat/completions";

/// The answer to an OpenAI client whose only backend, of this dialect, answers so.
async fn told(api: &str, stream: bool, status: u16, content_type: &str, body: &str) -> Answer {
    let (gateway, mut upstream) = gateway_over(api, &["commit_after = \"30s\""]).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
    upstream.call().await.answer_as(status, content_type, body).await;
    asked.answer().await
}

/// Both streamed and whole, over both dialects, a client is told this status and code; gives the messages.
async fn assert_told(status: u16, content_type: &str, body: &str, wanted: (u16, &str)) -> Vec<String> {
    let mut messages = Vec::new();
    for (api, stream) in [("openai", true), ("openai", false), ("ollama", true), ("ollama", false)] {
        let mut answer = told(api, stream, status, content_type, body).await;
        let error = answer.json().await["error"].clone();
        let code = error["code"].as_str().unwrap();
        assert_eq!((answer.status, code), wanted, "{api}, stream {stream}: {error}");
        messages.push(error["message"].as_str().unwrap().to_owned());
    }
    messages
}

#[tokio::test]
async fn a_500_keeps_its_status_and_its_message() {
    let body = openai::error("CUDA out of memory").to_string();
    let messages = assert_told(500, "application/json", &body, (500, "upstream_error")).await;
    assert!(messages.iter().all(|words| words.contains("CUDA out of memory")), "{messages:?}");
}

#[tokio::test]
async fn a_404_that_says_so_by_its_code_is_a_model_not_found() {
    let error = json!({"message": "The model `m` does not exist", "type": "x", "code": "model_not_found"});
    let body = json!({"error": error}).to_string();
    assert_told(404, "application/json", &body, (404, "model_not_found")).await;
}

#[tokio::test]
async fn a_404_in_ollamas_words_is_a_model_not_found() {
    let body = json!({"error": "model \"m\" not found, try pulling it first"}).to_string();
    let messages = assert_told(404, "application/json", &body, (404, "model_not_found")).await;
    assert!(messages.iter().all(|words| words.contains("not found")), "{messages:?}");
}

#[tokio::test]
async fn a_404_in_plain_text_keeps_its_words_and_is_no_missing_model() {
    let messages = assert_told(404, "text/plain", "404 page not found", (404, "upstream_error")).await;
    assert!(messages.iter().all(|words| words == "404 page not found"), "{messages:?}");
}

#[tokio::test]
async fn a_404_in_html_keeps_its_words_and_is_no_missing_model() {
    let page = "<html><h1>Not Found</h1></html>";
    let messages = assert_told(404, "text/html", page, (404, "upstream_error")).await;
    assert!(messages.iter().all(|words| words == "Not Found"), "{messages:?}");
}

#[tokio::test]
async fn a_page_with_status_200_is_no_answer() {
    let page = "<html><h1>Welcome</h1></html>";
    assert_told(200, "text/html", page, (502, "upstream_error")).await;
}

#[tokio::test]
async fn an_error_with_status_200_is_no_answer() {
    let mut answer =
        told("openai", false, 200, "application/json", &openai::error("no slot left").to_string()).await;
    let error = answer.json().await["error"].clone();
    assert_eq!((answer.status, &error["code"]), (502, &Value::from("upstream_error")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("no slot left"), "{error}");
}

#[tokio::test]
async fn an_error_with_status_200_is_no_answer_of_ollama_either() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/chat", &prompt("m", false)).await;
    upstream.call().await.answer(200, &json!({"error": "no slot left"})).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 502);
    assert!(answer.json().await["error"].as_str().unwrap().contains("no slot left"));
}

#[tokio::test]
async fn a_page_in_place_of_embeddings_is_no_answer() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a river"})).await;
    upstream.call().await.answer_as(200, "text/html", "<html></html>").await;
    assert_eq!(asked.answer().await.status, 502);
}

#[tokio::test]
async fn a_whole_answer_over_max_duration_is_a_504_and_nobody_else_is_asked() {
    let (mut first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream("max_duration = \"300ms\"").backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "openai", &second.url()).start().await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let mut call = first.call().await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, &answer.json().await["error"]["code"]), (504, &Value::from("max_duration")));
    call.closed().await;
    assert_eq!(second.calls_seen(), 0);
}
