//! Routes with several backends: the first that has a slot free is asked, and all of them are waited for where none has.

use serde_json::json;

use super::{CHAT, asked_by, chat_of, stands, user};
use crate::support::pairs::request;
use crate::support::{Gateway, Heard, Request, Setup, Upstream, counts};

/// Two backends with one slot each.
async fn two(more: &str) -> (Gateway, Upstream, Upstream) {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let limits = format!("max_concurrent = 1\n{more}");
    let setup = Setup::new().server("workers = 2").backend_with("one", "openai", &first.url(), &limits);
    (setup.backend_with("two", "openai", &second.url(), &limits).start().await, first, second)
}

#[tokio::test]
async fn a_busy_backend_is_passed_over_for_a_free_one() {
    for stream in [true, false] {
        let (gateway, mut first, mut second) = two("").await;
        let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
        let _call = first.call().await;
        let _next = gateway.ask_post(CHAT, &request(CHAT, "m", stream)).await;
        second.call().await;
        assert_eq!(first.calls_seen(), 1);
    }
}

#[tokio::test]
async fn who_waits_is_let_in_by_the_first_backend_that_is_free() {
    for stream in [true, false] {
        let (gateway, mut first, mut second) = two("").await;
        let _one = gateway.ask_post(CHAT, &chat_of("one")).await;
        let _first_call = first.call().await;
        let two = gateway.ask_post(CHAT, &chat_of("two")).await;
        let mut call = second.call().await;
        let waiting = Request::post(CHAT, &request(CHAT, "m", stream));
        let waiting = stands(&gateway, &waiting, 2).await; // one request, in two lines
        call.say(&["Save"]).await;
        call.end().await;
        assert!(Heard::of(&mut two.answer().await).await.succeeded());
        let call = second.call().await;
        counts(&gateway, "streamgate_queue_length", &[], 0).await;
        call.answer(500, &json!({"error": "no"})).await;
        // Failover waits in the other's line.
        gateway.metric_reaches("streamgate_queue_length", &["backend=\"one\""], 1.0).await;
        drop(waiting);
    }
}

#[tokio::test]
async fn failover_takes_a_slot_of_the_next_backend() {
    let (gateway, mut first, mut second) = two("").await;
    let asked = gateway.ask_post(CHAT, &chat_of("x")).await;
    first.call().await.answer(500, &json!({"error": "no"})).await;
    let mut call = second.call().await;
    counts(&gateway, "streamgate_slots_taken", &["backend=\"one\""], 0).await;
    counts(&gateway, "streamgate_slots_taken", &["backend=\"two\""], 1).await;
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
}

#[tokio::test]
async fn a_backend_without_a_limit_is_always_free() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend_with("one", "openai", &first.url(), "max_concurrent = 1\nqueue = 0");
    let gateway = setup.backend("two", "openai", &second.url()).start().await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = first.call().await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(gateway.ask(&asked_by("next")).await);
        assert_eq!(user(&second.call().await), "next");
    }
}
