//! Drain: a signal ends the process when its streams have ended, or told them so; a second one ends it at once.

use serde_json::json;

use crate::support::{
    Client, Ending, Gateway, Heard, Request, Setup, Upstream, begin, chat, openai, prompt, until,
};

async fn gateway(drain: &str, api: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server(&format!("drain = \"{drain}\"")).backend("one", api, &upstream.url());
    (setup.start().await, upstream)
}

#[tokio::test]
async fn without_streams_a_signal_ends_the_process() {
    let (mut gateway, _upstream) = gateway("60s", "openai").await;
    gateway.signal("TERM");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_kept_connection_without_a_request_does_not_hold_up_the_end() {
    let (mut gateway, _upstream) = gateway("60s", "openai").await;
    let mut answer = gateway.get("/healthz").await;
    answer.rest().await;
    let _kept = answer.reuse();
    gateway.signal("TERM");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_running_stream_goes_on_to_its_end() {
    let (mut gateway, mut upstream) = gateway("60s", "openai").await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    gateway.signal("TERM");
    assert_draining(&gateway).await;
    for _ in 0..5 {
        call.sse(&openai::text("on")).await;
        assert_eq!(answer.next_event().await.json(), openai::text("on"));
    }
    call.end().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

/// Waits until nothing new is taken: the listener is closed, or says that it is not ready.
async fn assert_draining(gateway: &Gateway) {
    until("the gateway to take nothing new", async || {
        let Ok(mut client) = Client::try_connect(gateway.public).await else {
            return true;
        };
        !client.try_ask(&Request::get("/readyz")).await
            || client.answer_or_close().await.is_none_or(|answer| answer.status == 503)
    })
    .await;
}

#[tokio::test]
async fn readyz_on_a_kept_connection_is_a_503_or_the_connection_ends() {
    let (gateway, mut upstream) = gateway("60s", "openai").await;
    let (_answer, _call) = begin(&gateway, &mut upstream, "openai").await;
    let mut answer = gateway.get("/readyz").await;
    assert_eq!(answer.status, 200);
    answer.rest().await;
    let mut kept = answer.reuse();
    gateway.signal("TERM");
    assert_draining(&gateway).await;
    if kept.try_ask(&Request::get("/readyz")).await
        && let Some(answer) = kept.answer_or_close().await
    {
        assert_eq!(answer.status, 503);
    }
}

#[tokio::test]
async fn a_stream_over_the_limit_is_told_that_the_gateway_drains() {
    let (mut gateway, mut upstream) = gateway("300ms", "openai").await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    gateway.signal("TERM");
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(heard.code(), Some("draining"));
    call.closed().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_ollama_stream_over_the_limit_is_told_in_its_words() {
    let (mut gateway, mut upstream) = gateway("300ms", "ollama").await;
    let (mut answer, _call) = begin(&gateway, &mut upstream, "ollama").await;
    gateway.signal("TERM");
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
    gateway.exit().await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let (mut gateway, mut upstream) = gateway("60s", "openai").await;
    let (mut answer, _call) = begin(&gateway, &mut upstream, "openai").await;
    gateway.signal("TERM");
    assert_draining(&gateway).await;
    gateway.signal("TERM");
    gateway.exit().await;
    let (_, ending) = answer.rest().await;
    assert_eq!(ending, Ending::Aborted, "an end that no client takes for success");
}

#[tokio::test]
async fn a_head_that_comes_later_says_nothing_of_the_connection() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("drain = \"60s\"").stream("commit_after = \"60s\"");
    let mut gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    gateway.signal("TERM");
    assert_draining(&gateway).await;
    call.say(&["Rhine"]).await;
    call.end().await;
    let mut answer = asked.answer().await;
    // Behind `Connection: close`, Node's clients take a cut for an end.
    assert_eq!(answer.header("connection"), None);
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

/// A whole answer of this backend is on its way when the limit passes.
async fn assert_whole_is_told(api: &str) {
    let (mut gateway, mut upstream) = gateway("300ms", api).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = upstream.call().await;
    gateway.signal("TERM");
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json().await["error"]["code"], "draining");
    call.closed().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_whole_answer_over_the_limit_is_told_that_the_gateway_drains() {
    assert_whole_is_told("openai").await;
}

#[tokio::test]
async fn a_translated_whole_answer_over_the_limit_is_told_that_the_gateway_drains() {
    assert_whole_is_told("ollama").await;
}

#[tokio::test]
async fn embeddings_over_the_limit_are_told_that_the_gateway_drains() {
    let (mut gateway, mut upstream) = gateway("300ms", "openai").await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a river"})).await;
    let _call = upstream.call().await;
    gateway.signal("TERM");
    assert_eq!(asked.answer().await.status, 503);
    gateway.exit().await;
}
