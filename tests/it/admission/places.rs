//! Places: a client that waits sees where it stands, and one that leaves is in nobody's way.

use super::{CHAT, asked_by, chat_of, gateway, quiet, stands, user};
use crate::support::pairs::{DOORS, RESPONSES, request};
use crate::support::{Heard, Item, Request};

const QUICK: &[&str] = &["commit_after = \"50ms\"", "keep_alive = \"150ms\""];

#[tokio::test]
async fn a_waiting_client_sees_its_place_and_that_it_moves() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", QUICK).await;
    let first = gateway.ask_post(CHAT, &chat_of("first")).await;
    let mut call = upstream.call().await;
    let second = stands(&gateway, &asked_by("second"), 1).await;
    let third = stands(&gateway, &asked_by("third"), 2).await;
    let (mut second, mut third) = (second.answer().await, third.answer().await);
    assert_eq!(quiet(&second.next_item().await), ": queued 1\n");
    assert_eq!(quiet(&third.next_item().await), ": queued 2\n");
    assert_eq!(quiet(&third.next_item().await), ": queued 2\n");
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut first.answer().await).await.succeeded());
    let mut call = upstream.call().await;
    assert_eq!(user(&call), "second");
    while quiet(&third.next_item().await) != ": queued 1\n" {}
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut second).await.succeeded());
    let mut call = upstream.call().await;
    assert_eq!(user(&call), "third");
    // It is asked now: the place is no longer told.
    while quiet(&third.next_item().await) != ": keep-alive\n" {}
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut third).await.succeeded());
}

#[tokio::test]
async fn a_move_is_told_without_waiting_for_the_silence_to_grow_long() {
    let lines = ["commit_after = \"50ms\"", "keep_alive = \"30s\""];
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &lines).await;
    let _first = gateway.ask_post(CHAT, &chat_of("first")).await;
    let _call = upstream.call().await;
    let second = stands(&gateway, &asked_by("second"), 1).await;
    let mut third = stands(&gateway, &asked_by("third"), 2).await.answer().await;
    assert_eq!(quiet(&third.next_item().await), ": queued 2\n");
    drop(second);
    assert_eq!(quiet(&third.next_item().await), ": queued 1\n");
}

#[tokio::test]
async fn every_door_keeps_its_own_keep_alive_while_a_client_waits() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", QUICK).await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    for (door, _) in DOORS {
        let mut answer = gateway.post(door, &request(door, "m", true)).await;
        assert_eq!(answer.status, 200);
        let mut told = 0;
        while told < 2 {
            match (door, answer.next_item().await) {
                (RESPONSES, Item::Event(event)) => {
                    let name = event.name.as_deref().unwrap();
                    assert!(["response.created", "response.in_progress"].contains(&name), "{event:?}");
                    continue;
                }
                ("/v1/messages", Item::Event(event)) => {
                    assert_eq!(event.raw, "event: ping\ndata: {\"type\": \"ping\"}\n\n".as_bytes());
                }
                ("/api/chat", item) => assert_eq!(quiet(&item), " "),
                (_, item) => assert_eq!(quiet(&item), ": queued 1\n", "{door}"),
            }
            told += 1;
        }
        drop(answer);
        crate::support::until("the line to be empty", async || {
            gateway.metric("streamgate_queue_length", &[]).await < 0.5
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_line_frees_its_place_at_once_and_the_next_one_is_let_in() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1\nqueue = 2", &[]).await;
    let held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let mut call = upstream.call().await;
    let leaver = stands(&gateway, &asked_by("leaver"), 1).await;
    let whole = Request::post(CHAT, &request(CHAT, "m", false));
    let whole = stands(&gateway, &whole, 2).await;
    assert_eq!(gateway.send(&asked_by("too many")).await.status, 503);
    drop((leaver, whole));
    crate::support::until("the line to be empty", async || {
        gateway.metric("streamgate_queue_length", &[]).await < 0.5
    })
    .await;
    let next = stands(&gateway, &asked_by("next"), 1).await;
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut held.answer().await).await.succeeded());
    let mut call = upstream.call().await;
    assert_eq!(user(&call), "next");
    call.say(&["Save"]).await;
    call.end().await;
    assert!(Heard::of(&mut next.answer().await).await.succeeded());
    assert_eq!(upstream.calls_seen(), 2);
}

#[tokio::test]
async fn a_drain_ends_the_waiting_too() {
    let (mut gateway, mut upstream) = {
        let upstream = crate::support::Upstream::start().await;
        let setup = crate::support::Setup::new().server("drain = \"300ms\"").server("workers = 2");
        let limits = "max_concurrent = 1";
        (setup.backend_with("one", "openai", &upstream.url(), limits).start().await, upstream)
    };
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    let waiting = stands(&gateway, &asked_by("waiting"), 1).await;
    gateway.signal("TERM");
    let mut answer = waiting.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json().await["error"]["code"], "draining");
    assert!(gateway.exit().await.success());
}
