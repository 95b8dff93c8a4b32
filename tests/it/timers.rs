//! The timers: what each one ends, and as what.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    Heard, Setup, Upstream, begun, chat, deaf_address, gateway_over, ollama, openai, prompt, refusing_address,
};

#[tokio::test]
async fn a_backend_that_refuses_is_a_502() {
    let (_kept, url) = refusing_address();
    let gateway = Setup::new().backend("one", "openai", &url).start().await;
    let mut answer = gateway.post("/v1/chat/completions", &chat()).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json().await["error"]["code"], "upstream_unreachable");
}

#[tokio::test]
async fn a_backend_that_refuses_is_told_in_ollamas_words() {
    let (_kept, url) = refusing_address();
    let gateway = Setup::new().backend("one", "ollama", &url).start().await;
    let mut answer = gateway.post("/api/chat", &chat()).await;
    assert_eq!(answer.status, 502);
    assert!(answer.json().await["error"].is_string());
}

#[tokio::test]
async fn a_connect_that_hangs_ends_at_connect_timeout() {
    let (_kept, url) = deaf_address();
    let gateway =
        Setup::new().stream("connect_timeout = \"200ms\"").backend("one", "openai", &url).start().await;
    let mut answer = gateway.post("/v1/chat/completions", &prompt("m", false)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json().await["error"]["code"], "upstream_unreachable");
}

#[tokio::test]
async fn a_connect_that_hangs_passes_on_to_the_next_backend() {
    let (_kept, url) = deaf_address();
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().stream("connect_timeout = \"200ms\"").backend("deaf", "openai", &url);
    let gateway = setup.backend("next", "openai", &upstream.url()).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Tagus")).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn no_first_token_before_the_commit_is_a_504() {
    let (gateway, mut upstream) =
        gateway_over("openai", &["commit_after = \"30s\"", "first_token_timeout = \"200ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json().await["error"]["code"], "first_token_timeout");
    call.closed().await;
}

#[tokio::test]
async fn only_content_is_a_first_token() {
    let (gateway, mut upstream) =
        gateway_over("openai", &["commit_after = \"30s\"", "first_token_timeout = \"400ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    call.chunk(": still loading\n\n").await;
    assert_eq!(asked.answer().await.status, 504);
}

#[tokio::test]
async fn no_first_token_after_the_commit_is_told_in_the_stream() {
    let (gateway, mut upstream) =
        gateway_over("ollama", &["commit_after = \"50ms\"", "first_token_timeout = \"300ms\""]).await;
    let asked = gateway.ask_post("/api/chat", &chat()).await;
    let mut call = upstream.call().await;
    call.lines().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
    call.closed().await;
}

#[tokio::test]
async fn a_whole_answer_that_does_not_come_is_a_504() {
    let (gateway, mut upstream) = gateway_over("openai", &["max_duration = \"200ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = upstream.call().await;
    assert_eq!(asked.answer().await.status, 504);
    call.closed().await;
}

#[tokio::test]
async fn a_backend_that_stalls_ends_the_stream_with_upstream_stalled() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &["idle_timeout = \"300ms\""]).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(heard.code(), Some("upstream_stalled"));
    call.closed().await;
}

#[tokio::test]
async fn a_stall_is_told_in_ollamas_words() {
    let (_gateway, _upstream, mut answer, _call) = begun("ollama", &["idle_timeout = \"300ms\""]).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
}

#[tokio::test]
async fn every_event_starts_the_idle_timer_anew() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &["idle_timeout = \"1s\""]).await;
    let begin = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(250));
    while begin.elapsed() < Duration::from_secs(2) {
        pace.tick().await;
        call.sse(&openai::text("on")).await;
        assert_eq!(answer.next_event().await.json(), openai::text("on"));
    }
}

#[tokio::test]
async fn a_stream_ends_at_max_duration() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &["max_duration = \"800ms\""]).await;
    call.sse(&openai::text("on")).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!((heard.code(), heard.text.as_str()), (Some("max_duration"), "on"));
    call.closed().await;
}

#[tokio::test]
async fn a_route_has_timers_of_its_own() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().stream("idle_timeout = \"60s\"").backend("one", "openai", &upstream.url());
    let setup = setup.route("model = \"quick\"\nbackends = [\"one\"]\nidle_timeout = \"300ms\"");
    let gateway = setup.route("model = \"*\"\nbackends = [\"one\"]").start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("quick", true)).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("Tagus")).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!(heard.code(), Some("upstream_stalled"));
}

#[tokio::test]
async fn an_embedding_that_does_not_come_is_a_504() {
    let (gateway, mut upstream) = gateway_over("openai", &["max_duration = \"200ms\""]).await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "Tagus"})).await;
    let mut call = upstream.call().await;
    assert_eq!(asked.answer().await.status, 504);
    call.closed().await;
}

/// Three times the idle timeout of these tests.
const LONG: Duration = Duration::from_millis(900);

#[tokio::test]
async fn a_first_token_may_come_later_than_idle_timeout() {
    let (gateway, mut upstream) = gateway_over("openai", &["idle_timeout = \"300ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stays(LONG).await;
    call.say(&["Tagus"]).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded() && heard.text == "Tagus", "{heard:?}");
}

#[tokio::test]
async fn a_first_token_may_come_long_after_the_role() {
    let (gateway, mut upstream) = gateway_over("openai", &["idle_timeout = \"300ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    call.stays(LONG).await;
    call.sse(&openai::text("Tagus")).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded() && heard.text == "Tagus", "{heard:?}");
}

#[tokio::test]
async fn a_translated_whole_answer_may_begin_later_than_idle_timeout() {
    let (gateway, mut upstream) = gateway_over("ollama", &["idle_timeout = \"300ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.stays(LONG).await;
    call.line(&ollama::text("Tagus")).await;
    call.end().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["choices"][0]["message"]["content"], "Tagus");
}
