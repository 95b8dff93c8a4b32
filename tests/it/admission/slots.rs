//! Slots: how many calls a backend sees at once, and for how long one counts.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{CHAT, asked_by, chat_of, gateway, stands, user};
use crate::support::pairs::request;
use crate::support::{Heard, Request, Setup, Upstream, counts, openai, until};

#[tokio::test]
async fn two_hundred_at_once_never_give_a_backend_more_than_ten() {
    let (gateway, mut upstream) = gateway("max_concurrent = 10\nqueue = 200", &[]).await;
    let mut asked = Vec::new();
    for _ in 0..200 {
        asked.push(gateway.ask_post(CHAT, &chat_of("x")).await);
    }
    let mut running = Vec::new();
    for done in 0..200 {
        while running.len() < 10.min(200 - done) {
            running.push(upstream.call().await);
        }
        assert!(upstream.calls_seen() <= 10 + done, "{} calls, {done} of them over", upstream.calls_seen());
        let mut call = running.swap_remove(done % running.len());
        call.say(&["Save"]).await;
        call.end().await;
    }
    let mut answers = JoinSet::new();
    for client in asked {
        answers.spawn(async move { Heard::of(&mut client.answer().await).await });
    }
    while let Some(heard) = answers.join_next().await {
        assert!(heard.unwrap().succeeded());
    }
    assert_eq!(upstream.calls_seen(), 200);
    until("all slots to be free", async || gateway.metric("streamgate_slots_taken", &[]).await < 0.5).await;
    assert!(gateway.metric("streamgate_queue_wait_seconds_count", &[]).await >= 190.0);
}

#[tokio::test]
async fn a_slot_is_held_to_the_end_of_the_stream_not_to_its_head() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &[]).await;
    let first = gateway.ask_post(CHAT, &chat_of("first")).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let mut answer = first.answer().await;
    answer.next_event().await;
    let second = stands(&gateway, &asked_by("second"), 1).await;
    assert_eq!(upstream.calls_seen(), 1);
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    let mut call = upstream.call().await;
    assert_eq!(user(&call), "second");
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut second.answer().await).await.succeeded());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_frees_its_slot() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &[]).await;
    let first = gateway.ask_post(CHAT, &chat_of("first")).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let answer = first.answer().await;
    let _second = stands(&gateway, &asked_by("second"), 1).await;
    drop(answer);
    assert_eq!(user(&upstream.call().await), "second");
}

#[tokio::test]
async fn a_stream_that_goes_on_without_a_reader_holds_its_slot() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &[]).await;
    let first = gateway.ask(&asked_by("first").header("x-conversation-id", "c")).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let mut answer = first.answer().await;
    answer.next_event().await;
    drop(answer);
    let _second = stands(&gateway, &asked_by("second"), 1).await;
    call.stays(Duration::from_millis(300)).await;
    assert_eq!(upstream.calls_seen(), 1);
    counts(&gateway, "streamgate_slots_taken", &["backend=\"one\""], 1).await;
    call.end().await;
    assert_eq!(user(&upstream.call().await), "second");
}

#[tokio::test]
async fn a_backend_that_fails_frees_its_slot() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &[]).await;
    for _ in 0..3 {
        let asked = gateway.ask_post(CHAT, &chat_of("x")).await;
        upstream.call().await.answer(500, &json!({"error": {"message": "no"}})).await;
        assert_eq!(asked.answer().await.status, 500);
    }
}

#[tokio::test]
async fn whole_answers_and_embeddings_take_slots_too() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &[]).await;
    for path in [CHAT, "/v1/embeddings", "/v1/messages", "/api/chat"] {
        let held = gateway.ask_post(CHAT, &chat_of("held")).await;
        let mut call = upstream.call().await;
        let waiting = stands(&gateway, &Request::post(path, &request(path, "m", false)), 1).await;
        counts(&gateway, "streamgate_slots_taken", &[], 1).await;
        call.say(&["Save"]).await;
        call.end().await;
        assert!(Heard::of(&mut held.answer().await).await.succeeded());
        let mut call = upstream.call().await;
        counts(&gateway, "streamgate_slots_taken", &[], 1).await;
        if call.json()["stream"] == true {
            call.say(&["Save"]).await;
            call.end().await;
        } else {
            call.answer(200, &json!({"object": "list", "data": [], "model": "m"})).await;
        }
        assert_eq!(waiting.answer().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_generates_nothing_does_not_wait() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend_with("one", "ollama", &upstream.url(), "max_concurrent = 1");
    let gateway = setup.start().await;
    let _held = gateway.ask_post("/api/chat", &chat_of("held")).await;
    let _call = upstream.call().await;
    let asked = gateway.ask_post("/api/show", &json!({"model": "m"})).await;
    upstream.call().await.answer(200, &json!({"details": {}})).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn the_time_to_the_first_token_begins_when_the_backend_is_asked() {
    let lines = ["first_token_timeout = \"600ms\""];
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &lines).await;
    let held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let mut answer = held.answer().await;
    answer.next_event().await;
    let waiting = stands(&gateway, &asked_by("waiting"), 1).await;
    call.stays(Duration::from_millis(900)).await;
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut waiting.answer().await).await.succeeded());
}
