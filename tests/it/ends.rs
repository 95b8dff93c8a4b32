//! How a stream ends: with its terminator if it went well, and told, broken off and without one if it did not.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::pairs::{DOORS, RESPONSES, request};
use crate::support::{Answer, Call, Ending, Gateway, Heard, Item, Request, Upstream, begun, chat};
use crate::support::{gateway_over, ollama, openai, prompt};

/// A stream from this backend to this door, with the text `Rhine` on its way.
async fn crossed(api: &str, door: &str) -> (Gateway, Upstream, Answer, Call) {
    let (gateway, mut upstream) = gateway_over(api, &[]).await;
    let asked = gateway.ask_post(door, &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    (gateway, upstream, asked.answer().await, call)
}

#[track_caller]
fn assert_truncated(heard: &Heard) {
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(heard.code(), Some("upstream_truncated"));
}

/// Broken off, told in Ollama's words, after everything that came.
#[track_caller]
fn assert_ollama_failure(heard: &Heard) {
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
    assert_eq!(heard.text, "Rhine");
}

#[tokio::test]
async fn a_normal_end_has_its_terminator_once() {
    let (gateway, _upstream, mut answer, call) = begun("openai", &[]).await;
    call.end().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.finish, ["stop"]);
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
}

#[tokio::test]
async fn a_normal_end_of_ollama_is_its_done_line() {
    let (_gateway, _upstream, mut answer, call) = begun("ollama", &[]).await;
    call.end().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.events.last(), Some(&ollama::done("stop")));
}

#[tokio::test]
async fn a_clean_end_after_the_finish_reason_gets_its_done() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::finish("stop")).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn a_clean_end_after_the_finish_reason_is_an_end_for_ollama_too() {
    let (_gateway, _upstream, mut answer, mut call) = crossed("openai", "/api/chat").await;
    call.sse(&openai::finish("stop")).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn the_end_does_not_wait_for_the_backends_last_chunk() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::finish("stop")).await;
    call.chunk("data: [DONE]\n\n").await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn a_connection_serves_on_after_a_stream_that_went_well() {
    let (_gateway, mut upstream, mut answer, call) = begun("openai", &[]).await;
    call.end().await;
    Heard::of(&mut answer).await;
    let mut client = answer.reuse();
    client.ask(&Request::post("/v1/chat/completions", &chat())).await;
    let mut call = upstream.call().await;
    call.say(&["Meuse"]).await;
    assert_eq!(client.answer().await.next_event().await.json(), openai::text("Meuse"));
}

#[tokio::test]
async fn a_clean_end_without_terminator_is_an_error() {
    let (gateway, _upstream, mut answer, call) = begun("openai", &[]).await;
    call.finish().await;
    assert_truncated(&Heard::of(&mut answer).await);
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"upstream_truncated\""], 1.0).await;
}

#[tokio::test]
async fn a_clean_end_without_done_is_an_error_at_ollamas_door() {
    let (_gateway, _upstream, mut answer, call) = begun("ollama", &[]).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
}

#[tokio::test]
async fn a_truncated_ollama_stream_is_an_openai_error() {
    let (_gateway, _upstream, mut answer, call) = crossed("ollama", "/v1/chat/completions").await;
    call.finish().await;
    assert_truncated(&Heard::of(&mut answer).await);
}

#[tokio::test]
async fn a_truncated_openai_stream_is_an_ollama_error() {
    let (_gateway, _upstream, mut answer, call) = crossed("openai", "/api/chat").await;
    call.finish().await;
    assert_ollama_failure(&Heard::of(&mut answer).await);
}

#[tokio::test]
async fn a_cut_connection_is_an_error() {
    let (_gateway, _upstream, mut answer, call) = begun("openai", &[]).await;
    call.cut().await;
    assert_truncated(&Heard::of(&mut answer).await);
}

#[tokio::test]
async fn a_cut_ollama_connection_is_an_openai_error() {
    let (_gateway, _upstream, mut answer, call) = crossed("ollama", "/v1/chat/completions").await;
    call.cut().await;
    assert_truncated(&Heard::of(&mut answer).await);
}

#[tokio::test]
async fn a_cut_openai_connection_is_an_ollama_error() {
    let (_gateway, _upstream, mut answer, call) = crossed("openai", "/api/chat").await;
    call.cut().await;
    assert_ollama_failure(&Heard::of(&mut answer).await);
}

/// curl and nghttpx over HTTP/2, Traffic Server and Bun lose the last frames of a body that is reset with them.
#[tokio::test]
async fn between_an_error_and_the_break_there_is_a_pause() {
    for (door, api) in DOORS.into_iter().filter(|(door, _)| *door != RESPONSES) {
        let (_gateway, _upstream, mut answer, call) = begun(api, &[]).await;
        call.cut().await;
        while !answer.next_event().await.data.contains("error") {}
        let told = Instant::now();
        assert!(matches!(answer.next_item().await, Item::End(Ending::Aborted)), "{door}");
        assert!(told.elapsed() >= Duration::from_millis(250), "{door}: {:?}", told.elapsed());
    }
}

#[tokio::test]
async fn a_failed_response_ends_properly_and_its_connection_serves_on() {
    let (_gateway, mut upstream, mut answer, call) = begun("responses", &[]).await;
    call.cut().await;
    let (events, ending) = answer.events().await;
    assert!(events.last().unwrap().data.contains("\"response.failed\""), "{events:?}");
    assert_ne!(ending, Ending::Aborted);
    let mut client = answer.reuse();
    client.ask(&Request::post(RESPONSES, &request(RESPONSES, "m", true))).await;
    upstream.call().await.say(&["Main"]).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_reset_connection_is_an_error() {
    let (_gateway, _upstream, mut answer, call) = begun("openai", &[]).await;
    call.reset();
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
}

#[tokio::test]
async fn a_cut_in_the_middle_of_an_event_passes_no_half_event_on() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.chunk("data: {\"id\":\"chatcmpl-it7\",\"choices\":[{\"ind").await;
    call.cut().await;
    let heard = Heard::of(&mut answer).await;
    assert_truncated(&heard);
    assert_eq!(heard.events.len(), 1, "only the error");
}

#[tokio::test]
async fn an_error_inside_a_frame_ends_the_stream_without_done() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    // In one write: behind the error the gateway reads no more.
    call.chunk(format!("data: {}\n\ndata: [DONE]\n\n", openai::error("the model ran away"))).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert!(heard.error.unwrap()["message"].as_str().unwrap().contains("the model ran away"));
}

#[tokio::test]
async fn an_error_inside_a_frame_is_told_in_ollamas_words() {
    let (_gateway, _upstream, mut answer, mut call) = crossed("openai", "/api/chat").await;
    call.sse(&openai::error("the model ran away")).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert_ollama_failure(&heard);
    assert!(heard.error.unwrap().as_str().unwrap().contains("the model ran away"));
}

#[tokio::test]
async fn an_error_line_of_ollama_ends_the_stream_without_done() {
    let (_gateway, _upstream, mut answer, mut call) = begun("ollama", &[]).await;
    call.line(&json!({"error": "the runner died"})).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert!(heard.error.unwrap().as_str().unwrap().contains("the runner died"));
}

#[tokio::test]
async fn an_error_line_of_ollama_is_an_openai_error() {
    let (_gateway, _upstream, mut answer, mut call) = crossed("ollama", "/v1/chat/completions").await;
    call.line(&json!({"error": "the runner died"})).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(heard.code(), Some("upstream_error"));
    assert!(heard.error.unwrap()["message"].as_str().unwrap().contains("the runner died"));
}

#[tokio::test]
async fn two_dones_are_one() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::finish("stop")).await;
    call.chunk("data: [DONE]\n\ndata: [DONE]\n\n").await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

#[tokio::test]
async fn nothing_behind_done_is_passed_on() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::finish("stop")).await;
    call.chunk(format!("data: [DONE]\n\ndata: {}\n\nrubbish", openai::text("late"))).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.text, "", "nothing came after the text that was read at the beginning");
}

#[tokio::test]
async fn an_event_over_the_limit_is_told_and_what_came_before_is_kept() {
    let (gateway, mut upstream) = gateway_over("openai", &["max_event_bytes = \"8KiB\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    call.sse(&openai::text(&"x".repeat(16 * 1024))).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!((heard.code(), heard.text.as_str()), (Some("frame_too_large"), "Rhine"));
    call.closed().await;
}

#[tokio::test]
async fn an_event_under_the_limit_of_4_mib_is_passed_on() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    let long = openai::text(&"x".repeat(3 << 20));
    let (event, ()) = tokio::join!(answer.next_event(), call.sse(&long));
    assert_eq!(event.json(), long);
}

#[tokio::test]
async fn a_second_finish_reason_makes_no_second_end() {
    let (_gateway, _upstream, mut answer, mut call) = crossed("openai", "/api/chat").await;
    call.sse(&openai::finish("length")).await;
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.finish, ["length"]);
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_is_an_error_with_a_status() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = upstream.call().await;
    call.head(200, "application/json").await;
    call.chunk("{\"id\": \"chatcmpl-it7\", \"cho").await;
    call.cut().await;
    if let Some(mut answer) = asked.answer_or_close().await {
        let (_, ending) = answer.rest().await;
        assert!(answer.status == 502 || ending == Ending::Aborted, "{} {ending:?}", answer.status);
    }
}
