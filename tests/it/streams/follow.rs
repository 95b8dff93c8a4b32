//! Reading a stream: from any event on, while it runs and behind its end, and what a reader is told who cannot.

use std::time::Duration;

use super::{CHAT, TALK, begin, finished, gateway, id_of, named, number_of, raws, source, stream_id, wish};
use crate::support::{Ending, Heard, Item, Request, openai, until};

#[tokio::test]
async fn a_reader_sees_what_was_and_then_what_comes() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let mut reader = gateway.send(&source(&id, None)).await;
    assert_eq!(reader.next_event().await.json(), openai::text("Rhine"));
    for text in ["Main", "Neckar"] {
        call.sse(&openai::text(text)).await;
        assert_eq!(reader.next_event().await.json(), openai::text(text));
    }
    call.end().await;
    assert_eq!(reader.events().await.1, Ending::Clean);
}

#[tokio::test]
async fn a_reader_goes_on_behind_its_cursor_and_is_told_where() {
    let (gateway, _upstream, events, id) = finished("openai", &[]).await;
    let cursor = id_of(&events[0]).unwrap();
    let mut reader = gateway.send(&source(&id, Some(cursor))).await;
    assert_eq!(reader.header("stream-resumed-after"), Some(cursor));
    assert_eq!(&*reader.rest().await.0, &*raws(&events[1..]));
    let whole = gateway.send(&source(&id, None)).await;
    assert_eq!(whole.header("stream-resumed-after"), None);
}

#[tokio::test]
async fn the_cursor_in_the_header_goes_before_the_one_in_the_query_and_both_before_a_number() {
    let (gateway, _upstream, events, id) = finished("openai", &[]).await;
    let first = async |query: &str, last: Option<u64>| {
        let path = format!("/v1/streams/{id}?{query}");
        let request = Request::get(&path).header("accept", "text/event-stream");
        let request = match last {
            Some(last) => request.header("last-event-id", &format!("{id}.{last}")),
            None => request,
        };
        number_of(&gateway.send(&request).await.next_event().await)
    };
    assert!(events.len() >= 3);
    assert_eq!(first(&format!("last_event_id={id}.2&starting_after=0"), Some(1)).await, 2);
    assert_eq!(first(&format!("starting_after=2&last_event_id={id}.1"), None).await, 2);
    assert_eq!(first("starting_after=2", None).await, 3);
    assert_eq!(first("", None).await, 1);
}

#[tokio::test]
async fn a_cursor_that_is_none_of_ours_says_nothing() {
    let (gateway, _upstream, _events, id) = finished("openai", &[]).await;
    for cursor in ["17", "x", "<script>", "../../etc/passwd", "-1", "abc.99999999999999999999", "''"] {
        let mut reader = gateway.send(&source(&id, Some(cursor))).await;
        assert_eq!(number_of(&reader.next_event().await), 1, "{cursor}");
    }
}

#[tokio::test]
async fn a_number_beyond_all_numbers_is_behind_the_end() {
    let (gateway, _upstream, _events, id) = finished("openai", &[]).await;
    let most = u64::MAX;
    for query in [format!("starting_after={most}"), format!("last_event_id={id}.9999999999999999999")] {
        assert_eq!(gateway.get(&format!("/v1/streams/{id}?{query}")).await.status, 204, "{query}");
    }
    let poll = format!("/v1/streams/{id}?starting_after={most}&wait={most}s&viewer=&from={most}");
    assert_eq!(gateway.send(&super::json_view(&poll)).await.status, 200);
    let mut raw = gateway.get(&format!("/v1/stream/talk?from={most}")).await;
    assert_eq!((raw.status, raw.rest().await.0.len()), (200, 0));
}

#[tokio::test]
async fn a_finished_stream_with_nothing_behind_the_cursor_is_a_204() {
    let (gateway, _upstream, events, id) = finished("openai", &[]).await;
    let last = id_of(events.last().unwrap()).unwrap();
    assert_eq!(gateway.send(&source(&id, Some(last))).await.status, 204);
    assert_eq!(gateway.get(&format!("/v1/streams/{id}?last_event_id={last}")).await.status, 204);
}

#[tokio::test]
async fn a_running_stream_with_nothing_behind_the_cursor_is_waited_for() {
    let (gateway, _upstream, mut answer, mut call) = named("openai", &[], &[]).await;
    let cursor = id_of(&answer.next_event().await).unwrap().to_owned();
    let mut reader = gateway.send(&source(&stream_id(&answer), Some(&cursor))).await;
    assert_eq!(reader.status, 200);
    call.sse(&openai::text("Main")).await;
    assert_eq!(reader.next_event().await.json(), openai::text("Main"));
}

#[tokio::test]
async fn an_unknown_stream_is_a_404_in_the_words_of_the_door() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    for path in [
        format!("/v1/streams/{}", "a".repeat(26)),
        "/v1/streams/x".into(),
        "/v1/conversations/x/stream".into(),
    ] {
        let mut answer = gateway.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json().await["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn a_stream_over_its_time_is_a_410() {
    let (gateway, _upstream, _events, id) = finished("openai", &["retention = \"0s\""]).await;
    until("the stream to expire", async || gateway.send(&source(&id, None)).await.status == 410).await;
    assert_eq!(gateway.send(&Request::new("DELETE", &format!("/v1/streams/{id}"))).await.status, 410);
    assert_eq!(gateway.get("/v1/conversations/talk/stream").await.status, 404);
}

#[tokio::test]
async fn the_head_of_a_stream_is_given_without_it() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let head = gateway.send(&Request::new("HEAD", &format!("/v1/streams/{id}"))).await;
    assert_eq!((head.status, stream_id(&head)), (200, id));
}

#[tokio::test]
async fn a_reader_of_a_stream_without_content_has_its_head_at_once() {
    let (gateway, mut upstream) = gateway("openai", &["keep_alive = \"200ms\""], &[]).await;
    let (_asked, mut call) = super::ask(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let mut reader = gateway.get("/v1/conversations/talk/stream").await;
    assert_eq!(reader.status, 200);
    let Item::Quiet(said) = reader.next_item().await else { panic!("a keep-alive") };
    assert_eq!(&*said, b": keep-alive\n", "one line end: behind an id, a blank line would be an event");
    call.say(&["Rhine"]).await;
    assert_eq!(reader.next_event().await.json(), openai::text("Rhine"));
}

#[tokio::test]
async fn keep_alives_between_numbered_events_are_comments_with_one_line_end() {
    let (_gateway, _upstream, mut answer, mut call) = named("openai", &["keep_alive = \"100ms\""], &[]).await;
    answer.next_event().await;
    for text in ["Main", "Neckar"] {
        let Item::Quiet(said) = answer.next_item().await else { panic!("a keep-alive") };
        assert_eq!(&*said, b": keep-alive\n");
        call.sse(&openai::text(text)).await;
        assert_eq!(answer.next_event().await.json(), openai::text(text));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_tells_its_readers_then_and_later() {
    for api in ["openai", "responses", "anthropic", "ollama"] {
        let (gateway, _upstream, mut answer, call) = named(api, &[], &[]).await;
        let id = stream_id(&answer);
        let mut along = gateway.send(&source(&id, None)).await;
        call.cut().await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed(), "{api}: {heard:?}");
        for reader in [&mut along, &mut gateway.send(&source(&id, None)).await] {
            let heard = Heard::of(reader).await;
            assert!(heard.failed() && heard.text == "Rhine", "{api}: {heard:?}");
        }
        assert_eq!(super::described(&gateway, &id).await["error"], "upstream_truncated");
    }
}

#[tokio::test]
async fn a_failure_before_content_is_a_status_to_the_post_and_kept_for_readers() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, call) = super::ask(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    call.answer(400, &openai::error("too long")).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 400);
    let id = stream_id(&answer);
    assert!(answer.json().await["error"].is_object());
    let heard = Heard::of(&mut gateway.send(&source(&id, None)).await).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(super::described(&gateway, &id).await["state"], "failed");
}

#[tokio::test]
async fn a_drain_tells_the_readers_of_a_stream_that_it_ends() {
    let upstream = crate::support::Upstream::start().await;
    let mut upstream = upstream;
    let setup =
        crate::support::Setup::new().server("drain = \"500ms\"").backend("one", "openai", &upstream.url());
    let mut gateway = setup.start().await;
    let (answer, _call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let mut reader = gateway.send(&source(&stream_id(&answer), None)).await;
    let mut kept = gateway.get("/healthz").await;
    kept.rest().await;
    gateway.signal("TERM");
    let heard = Heard::of(&mut reader).await;
    assert!(heard.failed() && heard.code() == Some("draining"), "{heard:?}");
    gateway.exit().await;
}

#[tokio::test]
async fn an_event_source_that_comes_while_the_gateway_drains_is_told_when_to_come_back() {
    let mut upstream = crate::support::Upstream::start().await;
    let setup = crate::support::Setup::new().server("drain = \"60s\"").server("workers = 1");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let (answer, _call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let id = stream_id(&answer);
    // A connection that is at a request when the drain begins may ask once more.
    let mut asked = gateway.client().await;
    let body = crate::support::prompt("m", false);
    asked.ask(&Request::post(CHAT, &body)).await;
    let slow = upstream.call().await;
    asked.ask(&source(&id, None)).await;
    gateway.signal("TERM");
    gateway.logged("draining").await;
    slow.answer(200, &openai::whole("Rhine")).await;
    let mut first = asked.answer().await;
    first.rest().await;
    if let Some(mut told) = first.reuse().answer_or_close().await {
        assert_eq!(told.status, 200);
        let (body, _) = tokio::time::timeout(Duration::from_secs(5), told.rest()).await.unwrap();
        assert!(
            body.starts_with(b"retry: ") && body.ends_with(b"\n") && !body.ends_with(b"\n\n"),
            "{body:?}"
        );
    }
}
