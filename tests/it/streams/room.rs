//! How much is kept, and how long.

use std::time::Duration;

use super::{CHAT, TALK, begin, described, finished, gateway, named, number_of, source, stream_id, wish};
use crate::support::{Request, openai, until};

#[tokio::test]
async fn a_live_stream_over_its_cap_loses_its_oldest_events_and_says_so() {
    let (gateway, _upstream, mut answer, mut call) =
        named("openai", &[], &["max_stream_bytes = \"4KiB\""]).await;
    answer.next_event().await;
    for _ in 0..60 {
        call.sse(&openai::text("on")).await;
        answer.next_event().await; // who keeps up loses nothing
    }
    let id = stream_id(&answer);
    let view = described(&gateway, &id).await;
    let first = view["first_event"].as_u64().unwrap();
    assert!(first > 1 && view["bytes"].as_u64().unwrap() <= 4096, "{view}");
    let mut gone = gateway.send(&source(&id, None)).await;
    assert_eq!(
        (gone.status, gone.header("stream-earliest-id")),
        (410, Some(format!("{id}.{first}").as_str()))
    );
    assert!(gone.json().await["error"].is_object());
    let last = format!("{id}.{}", first - 1);
    let mut kept = gateway.send(&source(&id, Some(&last))).await;
    assert_eq!(number_of(&kept.next_event().await), first);
    let before = format!("{id}.{}", first - 2);
    assert_eq!(gateway.send(&source(&id, Some(&before))).await.status, 410);
    call.end().await;
}

#[tokio::test]
async fn over_the_cap_of_all_the_oldest_finished_stream_goes_first() {
    let (gateway, mut upstream) = gateway("openai", &[], &["max_bytes = \"64KiB\""]).await;
    let (running, mut call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "running")])).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        let (mut answer, mut call) =
            begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, &number.to_string())])).await;
        call.sse(&openai::text(&"x".repeat(20_000))).await;
        call.end().await;
        answer.rest().await;
        ids.push(stream_id(&answer));
    }
    let status = async |id: &str| gateway.send(&source(id, None)).await.status;
    until("the oldest to be gone", async || status(&ids[0]).await == 410).await;
    assert_eq!(status(&ids[3]).await, 200);
    assert_eq!(status(&stream_id(&running)).await, 200);
    call.sse(&openai::text("on")).await;
}

#[tokio::test]
async fn a_large_request_that_is_kept_counts_and_goes_with_its_stream() {
    let (gateway, mut upstream) = gateway("responses", &[], &["max_bytes = \"200KiB\""]).await;
    let body = serde_json::json!({"model": "m", "stream": true, "input": "x".repeat(100_000)});
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (mut answer, call) = begin(&gateway, &mut upstream, &Request::post("/v1/responses", &body)).await;
        call.end().await;
        answer.rest().await;
        ids.push(stream_id(&answer));
    }
    let status = async |id: &str| gateway.send(&source(id, None)).await.status;
    until("the oldest to be gone", async || status(&ids[0]).await == 410).await;
    assert_eq!(status(&ids[2]).await, 200);
}

#[tokio::test]
async fn a_finished_stream_is_kept_for_its_time() {
    let (gateway, _upstream, _events, id) = finished("openai", &["retention = \"2s\""]).await;
    assert_eq!(gateway.send(&source(&id, None)).await.status, 200);
    until("it to expire", async || gateway.send(&source(&id, None)).await.status == 410).await;
    until("its bytes to be free", async || gateway.metric("streamgate_record_bytes", &[]).await < 0.5).await;
}

#[tokio::test]
async fn who_comes_to_a_conversation_from_a_stream_that_is_not_kept_is_told_so() {
    let (gateway, mut upstream, _events, id) = finished("openai", &["retention = \"2s\""]).await;
    until("it to expire", async || gateway.send(&source(&id, None)).await.status == 410).await;
    let (_newest, _call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let back = Request::get("/v1/conversations/talk/stream").header("last-event-id", &format!("{id}.1"));
    assert_eq!(gateway.send(&back).await.status, 410);
}

#[tokio::test]
async fn times_without_end_are_no_end_of_the_gateway() {
    let journal = ["retention = \"500000000000years\"", "url_lifetime = \"500000000000years\""];
    let stream = ["on_disconnect = \"continue:500000000000years\""];
    let (gateway, mut upstream) = gateway("openai", &stream, &journal).await;
    let request = wish(CHAT, &[(TALK, "talk"), ("prefer", "respond-async")]);
    let (asked, mut call) = super::ask(&gateway, &mut upstream, &request).await;
    call.say(&["Rhine"]).await;
    let answer = asked.answer().await;
    call.stays(Duration::from_millis(1500)).await;
    call.end().await;
    let id = stream_id(&answer);
    super::becomes(&gateway, &id, "done").await;
    let (_asked, mut other) = super::ask(&gateway, &mut upstream, &wish(CHAT, &[])).await;
    other.stays(Duration::from_millis(1500)).await; // the sweep comes once a second
    assert_eq!(gateway.send(&source(&id, None)).await.status, 200);
    assert!(gateway.metric("streamgate_records", &[]).await > 0.5);
}

#[tokio::test]
async fn a_running_stream_does_not_expire() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &["retention = \"0s\""]).await;
    call.stays(Duration::from_millis(2500)).await;
    assert_eq!(described(&gateway, &stream_id(&answer)).await["state"], "running");
}
