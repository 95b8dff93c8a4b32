//! Requests that repeat: one that names the event it saw last, and one with the same `Idempotency-Key`, are answered by the
//! stream that there is.

use super::{CHAT, TALK, ask, becomes, begin, gateway, id_of, named, raws, stream_id, wish, with};
use crate::support::{Ending, Gateway, Heard, Request, Upstream, openai, prompt};

const KEY: (&str, &str) = ("idempotency-key", "k-1");

#[tokio::test]
async fn a_post_with_the_last_event_id_joins_the_running_stream() {
    let (gateway, upstream, mut answer, mut call) = named("openai", &[], &[]).await;
    let last = id_of(&answer.next_event().await).unwrap().to_owned();
    let id = stream_id(&answer);
    drop(answer);
    let again = wish(CHAT, &[(TALK, "talk"), ("last-event-id", &last)]);
    let mut again = gateway.send(&again).await;
    assert_eq!((again.header("stream-resumed-after"), stream_id(&again)), (Some(last.as_str()), id));
    call.sse(&openai::text("Main")).await;
    let event = again.next_event().await;
    assert_eq!((event.json(), super::number_of(&event)), (openai::text("Main"), 2));
    call.end().await;
    assert_eq!(again.events().await.1, Ending::Clean);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_post_with_the_last_event_id_reads_the_rest_of_a_finished_stream() {
    let (gateway, upstream, events, _) = super::finished("openai", &[]).await;
    let at = |at: usize| wish(CHAT, &[(TALK, "talk"), ("last-event-id", id_of(&events[at]).unwrap())]);
    assert_eq!(&*gateway.send(&at(0)).await.rest().await.0, &*raws(&events[1..]));
    assert_eq!(gateway.send(&at(events.len() - 1)).await.status, 204);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_last_event_id_with_another_body_is_a_422_and_one_of_no_stream_a_404() {
    let (gateway, _upstream, events, _) = super::finished("openai", &[]).await;
    let other =
        Request::post(CHAT, &prompt("other", true)).header("last-event-id", id_of(&events[0]).unwrap());
    assert_eq!(gateway.send(&other).await.status, 422);
    let unknown = wish(CHAT, &[("last-event-id", &format!("{}.1", "a".repeat(26)))]);
    assert_eq!(gateway.send(&unknown).await.status, 404);
}

#[tokio::test]
async fn a_last_event_id_of_somebody_else_is_passed_over() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (answer, _call) = begin(&gateway, &mut upstream, &wish(CHAT, &[("last-event-id", "17")])).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_post_with_the_last_event_id_of_a_cancelled_or_failed_stream_starts_anew() {
    for cancelled in [true, false] {
        let (gateway, mut upstream, mut answer, call) = named("openai", &[], &[]).await;
        let last = id_of(&answer.next_event().await).unwrap().to_owned();
        let id = stream_id(&answer);
        if cancelled {
            assert_eq!(gateway.send(&Request::new("DELETE", &format!("/v1/streams/{id}"))).await.status, 200);
        } else {
            call.cut().await;
            becomes(&gateway, &id, "failed").await;
        }
        let again = wish(CHAT, &[(TALK, "talk"), ("last-event-id", &last)]);
        let (again, _call) = begin(&gateway, &mut upstream, &again).await;
        assert_ne!(stream_id(&again), id);
    }
}

/// A stream or a whole answer with a key, and its backend's call.
async fn keyed(
    gateway: &Gateway,
    upstream: &mut Upstream,
    stream: bool,
) -> (crate::support::Client, crate::support::Call) {
    ask(gateway, upstream, &key(stream)).await
}

fn key(stream: bool) -> Request {
    with(Request::post(CHAT, &prompt("m", stream)), &[KEY])
}

#[tokio::test]
async fn the_same_key_joins_a_running_stream_and_reads_a_finished_one() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, mut call) = keyed(&gateway, &mut upstream, true).await;
    call.say(&["Rhine"]).await;
    let mut first = asked.answer().await;
    let mut second = gateway.send(&key(true)).await;
    call.end().await;
    let (first, second) = (first.rest().await, second.rest().await);
    assert_eq!(first, second);
    assert_eq!(gateway.send(&key(true)).await.rest().await, first);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn the_same_key_waits_for_a_whole_answer_and_is_given_a_finished_one() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (first, call) = keyed(&gateway, &mut upstream, false).await;
    let second = gateway.ask(&key(false)).await;
    call.answer(200, &openai::whole("Rhine")).await;
    let mut first = first.answer().await;
    let id = stream_id(&first);
    let first = first.json().await;
    let mut second = second.answer().await;
    assert_eq!((stream_id(&second), second.json().await), (id, first.clone()));
    assert_eq!(gateway.send(&key(false)).await.json().await, first);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn the_same_key_asked_by_many_at_once_generates_once() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let mut asked = Vec::new();
    for _ in 0..8 {
        asked.push(gateway.ask(&key(true)).await);
    }
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    call.end().await;
    for asked in asked {
        assert_eq!(Heard::of(&mut asked.answer().await).await.text, "Rhine");
    }
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_422() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (_asked, _call) = keyed(&gateway, &mut upstream, true).await;
    let mut answer = gateway.send(&key(false)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.json().await["error"]["message"].as_str().unwrap().contains("Idempotency-Key"));
}

#[tokio::test]
async fn the_same_key_behind_a_cancelled_stream_starts_anew() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (first, mut call) = begin(&gateway, &mut upstream, &key(true)).await;
    let id = stream_id(&first);
    gateway.send(&Request::new("DELETE", &format!("/v1/streams/{id}"))).await;
    call.closed().await;
    let (second, _call) = begin(&gateway, &mut upstream, &key(true)).await;
    assert_ne!(stream_id(&second), id);
}

#[tokio::test]
async fn the_same_key_behind_a_failure_starts_anew() {
    for stream in [true, false] {
        let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
        let (asked, call) = keyed(&gateway, &mut upstream, stream).await;
        call.answer(500, &openai::error("full")).await;
        assert_eq!(asked.answer().await.status, 500);
        let (_asked, _call) = keyed(&gateway, &mut upstream, stream).await;
    }
}

#[tokio::test]
async fn the_same_key_behind_a_client_that_left_starts_anew() {
    for stream in [true, false] {
        let (gateway, mut upstream) = gateway("openai", &["on_disconnect = \"drain:60s\""], &[]).await;
        let (asked, mut call) = keyed(&gateway, &mut upstream, stream).await;
        if stream {
            call.say(&["Rhine"]).await;
            let answer = asked.answer().await;
            let id = stream_id(&answer);
            drop(answer);
            becomes(&gateway, &id, "cancelled").await;
        } else {
            drop(asked);
            call.closed().await;
        }
        let (_asked, _call) = keyed(&gateway, &mut upstream, stream).await;
    }
}

#[tokio::test]
async fn a_key_alone_does_not_keep_a_stream_running() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (answer, mut call) = begin(&gateway, &mut upstream, &key(true)).await;
    drop(answer);
    call.closed().await;
}

#[tokio::test]
async fn keys_hold_in_every_dialect_and_of_every_door_by_itself() {
    for (door, api) in crate::support::pairs::DOORS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (mut answer, call) = begin(&gateway, &mut upstream, &wish(door, &[KEY])).await;
        call.end().await;
        let first = answer.rest().await;
        assert_eq!(gateway.send(&wish(door, &[KEY])).await.rest().await, first, "{door}");
        assert_eq!(upstream.calls_seen(), 1, "{door}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_a_400() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    let long = "x".repeat(300);
    for headers in [(TALK, ""), (TALK, long.as_str()), ("idempotency-key", ""), ("x-on-conflict", "shout")] {
        let mut answer = gateway.send(&wish(CHAT, &[headers])).await;
        assert_eq!(answer.status, 400, "{headers:?}");
        assert_eq!(answer.json().await["error"]["code"], "invalid_request");
    }
}
