//! What becomes of the work when its reader has left: `on_disconnect`.

use std::time::Duration;

use tokio::time::Instant;

use super::{CHAT, TALK, becomes, begin, gateway, named, source, stream_id, wish};
use crate::support::{Heard, openai};

#[tokio::test]
async fn a_named_stream_goes_on_for_a_reader_to_come_back() {
    let (gateway, _upstream, mut answer, mut call) = named("openai", &[], &[]).await;
    let last = super::id_of(&answer.next_event().await).unwrap().to_owned();
    let id = stream_id(&answer);
    drop(answer);
    call.stays(Duration::from_millis(300)).await;
    call.sse(&openai::text("Main")).await;
    let mut back = gateway.send(&source(&id, Some(&last))).await;
    assert_eq!(back.next_event().await.json(), openai::text("Main"));
    call.end().await;
    assert_eq!(becomes(&gateway, &id, "done").await["text"], "RhineMain");
}

#[tokio::test]
async fn it_goes_on_no_longer_than_it_is_told_to() {
    let (gateway, _upstream, answer, mut call) =
        named("openai", &["on_disconnect = \"continue:500ms\""], &[]).await;
    let (id, left) = (stream_id(&answer), Instant::now());
    drop(answer);
    let took = call.closed().await.duration_since(left);
    assert!(took >= Duration::from_millis(490), "{took:?}");
    assert_eq!(becomes(&gateway, &id, "cancelled").await["error"], "cancelled");
}

#[tokio::test]
async fn a_reader_who_comes_in_time_stops_the_clock_and_one_who_leaves_starts_it_anew() {
    let (gateway, _upstream, answer, mut call) =
        named("openai", &["on_disconnect = \"continue:800ms\""], &[]).await;
    let id = stream_id(&answer);
    drop(answer);
    call.stays(Duration::from_millis(400)).await;
    let back = gateway.send(&source(&id, None)).await;
    call.stays(Duration::from_millis(1200)).await;
    let left = Instant::now();
    drop(back);
    assert!(call.closed().await.duration_since(left) >= Duration::from_millis(790));
}

#[tokio::test]
async fn with_cancel_a_named_stream_ends_with_its_last_reader() {
    let (gateway, _upstream, answer, mut call) = named("openai", &["on_disconnect = \"cancel\""], &[]).await;
    let other = gateway.send(&source(&stream_id(&answer), None)).await;
    drop(answer);
    call.stays(Duration::from_millis(200)).await;
    drop(other);
    call.closed().await;
}

#[tokio::test]
async fn with_drain_the_stream_is_over_at_once_and_its_usage_is_still_read() {
    let (gateway, mut upstream) = gateway("openai", &["on_disconnect = \"drain:10s\""], &[]).await;
    let (answer, mut call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let id = stream_id(&answer);
    drop(answer);
    becomes(&gateway, &id, "cancelled").await;
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(31, 21)).await;
    call.done().await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 21.0).await;
}

#[tokio::test]
async fn a_stream_that_is_recorded_anyway_is_cancelled_when_its_client_leaves() {
    let (gateway, mut upstream) = gateway("openai", &["record = \"always\""], &[]).await;
    let (answer, mut call) = begin(&gateway, &mut upstream, &wish(CHAT, &[])).await;
    drop(answer);
    call.closed().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_content_comes_back_to_it() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, mut call) = super::ask(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    drop(asked);
    call.stays(Duration::from_millis(200)).await;
    let mut back = gateway.get("/v1/conversations/talk/stream").await;
    call.say(&["Rhine"]).await;
    call.end().await;
    assert_eq!(Heard::of(&mut back).await.text, "Rhine");
}
