//! The access log: every request has one line, which says how it ended.

use serde_json::json;

use crate::support::{Client, Gateway, Request, Setup, Upstream, gateway_over, openai, prompt};

const CHAT: &str = "/v1/chat/completions";
const ID: &str = "ride-4720";

/// Asks for a whole answer, under the id by which its line is found.
async fn ask_whole(gateway: &Gateway) -> Client {
    gateway.ask(&Request::post(CHAT, &prompt("m", false)).header("x-request-id", ID)).await
}

async fn assert_end(gateway: &Gateway, end: &str) {
    let line = gateway.access_line(ID).await;
    assert!(line.contains(&format!("end=\"{end}\"")), "{line}");
}

/// A gateway before two OpenAI backends, `first` and `second`.
async fn two() -> (Gateway, Upstream, Upstream) {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend("first", "openai", &first.url());
    (setup.backend("second", "openai", &second.url()).start().await, first, second)
}

#[tokio::test]
async fn a_whole_answer_of_the_second_backend_is_done() {
    let (gateway, mut first, mut second) = two().await;
    let asked = ask_whole(&gateway).await;
    first.call().await.answer(500, &openai::error("not me")).await;
    second.call().await.answer(200, &openai::whole("Rur")).await;
    assert_eq!(asked.answer().await.json().await, openai::whole("Rur"));
    assert_end(&gateway, "done").await;
}

#[tokio::test]
async fn a_translated_whole_answer_of_the_second_backend_is_done() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "ollama", &second.url()).start().await;
    let asked = ask_whole(&gateway).await;
    first.call().await.answer(500, &openai::error("not me")).await;
    let mut call = second.call().await;
    call.say(&["Rur"]).await;
    call.end().await;
    assert_eq!(asked.answer().await.json().await["choices"][0]["message"]["content"], "Rur");
    assert_end(&gateway, "done").await;
}

#[tokio::test]
async fn embeddings_are_done() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let request = Request::post("/v1/embeddings", &json!({"model": "m", "input": "Rur"}));
    let asked = gateway.ask(&request.header("x-request-id", ID)).await;
    upstream.call().await.answer(200, &json!({"object": "list", "data": []})).await;
    assert_eq!(asked.answer().await.status, 200);
    assert_end(&gateway, "done").await;
}

#[tokio::test]
async fn a_whole_answer_whose_client_left_ended_with_that() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = ask_whole(&gateway).await;
    let mut call = upstream.call().await;
    drop(asked);
    call.closed().await;
    assert_end(&gateway, "client_gone").await;
}

#[tokio::test]
async fn an_answer_that_no_backend_gave_ended_with_the_code_that_the_client_was_told() {
    let (gateway, mut first, mut second) = two().await;
    let asked = ask_whole(&gateway).await;
    first.call().await.answer(500, &openai::error("not me")).await;
    second.call().await.cut().await;
    let told = asked.answer().await.json().await["error"]["code"].clone();
    assert_end(&gateway, told.as_str().expect("a code")).await;
}
