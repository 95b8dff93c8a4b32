//! Many readers of one stream: fan-out and its limit, viewers that take over, and readers that do not read.

use std::time::Duration;

use super::{named, raws, source, stream_id};
use crate::support::{Answer, Client, Ending, Gateway, Heard, Item, Request, openai, until};

async fn viewer(gateway: &Gateway, id: &str, name: &str) -> Answer {
    gateway.send(&view(id, name)).await
}

fn view(id: &str, name: &str) -> Request {
    Request::get(&format!("/v1/streams/{id}?viewer={name}&exclusive=1")).header("accept", "text/event-stream")
}

#[tokio::test]
async fn all_readers_read_the_same() {
    let (gateway, upstream, mut answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(gateway.send(&source(&id, None)).await);
    }
    for _ in 0..20 {
        call.sse(&openai::text("on")).await;
    }
    call.end().await;
    let first = raws(&answer.events().await.0);
    for reader in &mut readers {
        let (body, ending) = reader.rest().await;
        assert_eq!((&*body, ending), (&*first, Ending::Clean));
    }
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn one_reader_over_the_limit_is_a_429_and_an_event_source_is_told_to_come_back() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &["max_readers = 3"]).await;
    let id = stream_id(&answer);
    let mut readers = vec![gateway.send(&source(&id, None)).await, gateway.send(&source(&id, None)).await];
    let mut over = gateway.get(&format!("/v1/streams/{id}")).await;
    assert_eq!((over.status, &over.json().await["error"]["code"]), (429, &"rate_limited".into()));
    assert!(over.header("retry-after").is_some());
    let mut told = gateway.send(&source(&id, None)).await;
    assert_eq!((told.status, told.header("content-type")), (200, Some("text/event-stream")));
    assert!(told.rest().await.0.starts_with(b"retry: "));
    readers.pop();
    until("a place to be free", async || gateway.get(&format!("/v1/streams/{id}")).await.status == 200).await;
}

#[tokio::test]
async fn sixty_four_readers_are_the_default() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let mut readers = Vec::new();
    for _ in 1..64 {
        readers.push(gateway.send(&source(&id, None)).await);
    }
    assert_eq!(gateway.get(&format!("/v1/streams/{id}")).await.status, 429);
}

#[tokio::test]
async fn the_newest_viewer_wins_and_the_older_is_told_and_closed() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let mut old = viewer(&gateway, &id, "a").await;
    let mut new = viewer(&gateway, &id, "b").await;
    let heard = Heard::of(&mut old).await;
    assert!(heard.failed() && heard.code() == Some("superseded"), "{heard:?}");
    new.next_event().await;
    call.sse(&openai::text("Main")).await;
    assert_eq!(new.next_event().await.json(), openai::text("Main"));
}

#[tokio::test]
async fn a_displaced_viewer_never_wins_again() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let _old = viewer(&gateway, &id, "a").await;
    let mut new = viewer(&gateway, &id, "b").await;
    for _ in 0..3 {
        assert_eq!(viewer(&gateway, &id, "a").await.status, 204, "an EventSource is stopped");
        let mut others = gateway.get(&format!("/v1/streams/{id}?viewer=a&exclusive=1")).await;
        assert_eq!((others.status, &others.json().await["error"]["code"]), (409, &"superseded".into()));
        assert_eq!(gateway.get(&format!("/v1/streams/{id}?viewer=a")).await.status, 409);
    }
    assert_eq!(new.next_event().await.json(), openai::text("Rhine"));
}

#[tokio::test]
async fn a_viewer_that_comes_back_takes_its_own_place() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let mut first = viewer(&gateway, &id, "a").await;
    let mut second = viewer(&gateway, &id, "a").await;
    assert_eq!(second.next_event().await.json(), openai::text("Rhine"));
    assert!(Heard::of(&mut first).await.aborted);
    assert_eq!(viewer(&gateway, &id, "a").await.status, 200);
}

#[tokio::test]
async fn a_viewer_that_is_not_let_in_displaces_nobody() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &["max_stream_bytes = \"1KiB\""]).await;
    let id = stream_id(&answer);
    let mut old = viewer(&gateway, &id, "a").await;
    old.next_event().await;
    for _ in 0..20 {
        call.sse(&openai::text("on")).await;
        old.next_event().await;
    }
    assert_eq!(viewer(&gateway, &id, "b").await.status, 410);
    call.sse(&openai::text("Main")).await;
    assert_eq!(old.next_event().await.json(), openai::text("Main"));
}

/// Sends until `reader`, who reads nothing, has been dropped; the first to notice is the count of readers.
async fn flood(gateway: &Gateway, id: &str, call: &mut crate::support::Call) {
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(30_000)));
    until("the slow reader to be dropped", async || {
        for _ in 0..40 {
            call.chunk(&event).await;
        }
        super::described(gateway, id).await["readers"] == 1
    })
    .await;
}

#[tokio::test]
async fn a_reader_of_a_record_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let journal = ["max_stream_bytes = \"64MiB\""];
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &journal).await;
    let id = stream_id(&answer);
    drop(answer);
    let mut deaf = Client::connect_narrow(gateway.public).await;
    deaf.ask(&source(&id, None)).await;
    let mut deaf = deaf.answer().await;
    deaf.next_event().await;
    let mut along = gateway.send(&source(&id, None)).await;
    let reading = async {
        loop {
            let item = tokio::time::timeout(Duration::from_secs(5), along.next_item()).await;
            match item.expect("an event while another reader is deaf") {
                Item::End(ending) => return ending,
                Item::Event(_) | Item::Quiet(_) => {}
            }
        }
    };
    let (ending, ()) = tokio::join!(reading, async {
        flood(&gateway, &id, &mut call).await;
        call.end().await;
    });
    assert_eq!(ending, Ending::Clean);
    assert_eq!(deaf.rest().await.1, Ending::Aborted);
}

#[tokio::test]
async fn a_fast_backend_costs_no_healthy_reader_its_place() {
    let (gateway, _upstream, mut answer, mut call) =
        named("openai", &[], &["max_stream_bytes = \"64MiB\""]).await;
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(3000)));
    let many = event.repeat(100);
    let ((_, ending), ()) = tokio::join!(answer.rest(), async {
        for _ in 0..100 {
            call.chunk(&many).await;
        }
        call.end().await;
    });
    assert_eq!(ending, Ending::Clean);
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
}

#[tokio::test]
async fn a_viewer_that_hangs_in_a_write_is_closed_by_the_next() {
    let (gateway, _upstream, answer, mut call) =
        named("openai", &[], &["max_stream_bytes = \"64MiB\""]).await;
    let id = stream_id(&answer);
    drop(answer);
    let mut deaf = Client::connect_narrow(gateway.public).await;
    deaf.ask(&view(&id, "a")).await;
    let mut deaf = deaf.answer().await;
    deaf.next_event().await;
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(30_000)));
    for _ in 0..400 {
        call.chunk(&event).await;
    }
    let _new = viewer(&gateway, &id, "b").await;
    until("the old connection to be closed", async || super::described(&gateway, &id).await["readers"] == 1)
        .await;
    gateway.metric_reaches("streamgate_connections_live", &[], 1.0).await;
    assert_eq!(deaf.rest().await.1, Ending::Aborted);
}
