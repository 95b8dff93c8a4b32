//! The JSON view: how a stream stands and what it says so far, with a long poll for networks that hold everything back.

use std::time::Duration;

use tokio::time::Instant;

use super::{becomes, described, finished, json_view, named, stream_id};
use crate::support::pairs::APIS;
use crate::support::{Request, chat, openai, script};

#[tokio::test]
async fn the_view_says_how_a_stream_stands() {
    let (gateway, _upstream, answer, call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let view = described(&gateway, &id).await;
    assert_eq!(
        (&view["id"], &view["state"], &view["text"]),
        (&id.as_str().into(), &"running".into(), &"Rhine".into())
    );
    assert_eq!(
        (&view["conversation"], &view["readers"], &view["last_event"]),
        (&"talk".into(), &1.into(), &1.into())
    );
    assert_eq!(view["last_event_id"], format!("{id}.1"));
    call.end().await;
    assert_eq!(becomes(&gateway, &id, "done").await["text"], "Rhine");
}

#[tokio::test]
async fn the_view_has_text_and_usage_in_every_dialect() {
    for api in APIS {
        let (gateway, _upstream, _events, id) = finished(api, &[]).await;
        let view = described(&gateway, &id).await;
        assert_eq!(view["text"], "Rhine", "{api}");
        assert!(view["usage"]["output_tokens"].is_number() || api == "openai", "{api}: {view}");
    }
}

#[tokio::test]
async fn the_view_has_the_usage_that_the_client_did_not_ask_for() {
    let (gateway, mut upstream) = super::gateway("openai", &[], &[]).await;
    let (mut answer, mut call) = super::begin(
        &gateway,
        &mut upstream,
        &super::with(Request::post(super::CHAT, &chat()), &[(super::TALK, "t")]),
    )
    .await;
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(31, 21)).await;
    call.done().await;
    let (events, _) = answer.events().await;
    assert!(!events.iter().any(|event| event.data.contains("31")));
    let usage = &described(&gateway, &stream_id(&answer)).await["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&31.into(), &21.into()));
}

#[tokio::test]
async fn who_polls_along_reads_all_of_the_text() {
    for api in APIS {
        let (gateway, _upstream, answer, mut call) = named(api, &[], &[]).await;
        let id = stream_id(&answer);
        let more = script::opening(&call.path, &["on"]).pop().unwrap();
        let mut text = "Rhine".to_owned();
        for _ in 0..20 {
            let after = described(&gateway, &id).await["last_event"].clone();
            let path = format!("/v1/streams/{id}?wait=9s&starting_after={after}");
            call.chunk(&more).await;
            text.push_str("on");
            assert_eq!(gateway.send(&json_view(&path)).await.json().await["text"], text.as_str(), "{api}");
        }
        call.cut().await;
        assert_eq!(becomes(&gateway, &id, "failed").await["text"], text.as_str(), "{api}");
    }
}

#[tokio::test]
async fn a_poll_waits_for_what_is_behind_the_cursor() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    let began = Instant::now();
    let asked = gateway.ask(&json_view(&format!("/v1/streams/{id}?wait=9s&starting_after=1"))).await;
    call.stays(Duration::from_millis(200)).await;
    call.sse(&openai::text("Main")).await;
    assert_eq!(asked.answer().await.json().await["text"], "RhineMain");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_poll_behind_what_is_there_does_not_wait() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let view =
        gateway.send(&json_view(&format!("/v1/streams/{}?wait=60s", stream_id(&answer)))).await.json().await;
    assert_eq!(view["text"], "Rhine");
}

#[tokio::test]
async fn a_poll_ends_with_the_stream_and_with_its_time() {
    let (gateway, _upstream, answer, call) = named("openai", &[], &[]).await;
    let path = format!("/v1/streams/{}?starting_after=99", stream_id(&answer));
    for wait in ["300ms", "1"] {
        let view = gateway.send(&json_view(&format!("{path}&wait={wait}"))).await.json().await;
        assert_eq!(view["state"], "running");
    }
    let asked = gateway.ask(&json_view(&format!("{path}&wait=9s"))).await;
    let mut asked = std::pin::pin!(asked.answer());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut asked).await.is_err());
    call.cut().await;
    assert_eq!(asked.await.status, 200);
}

#[tokio::test]
async fn one_who_polls_is_no_reader_but_keeps_the_stream_alive() {
    let (gateway, _upstream, answer, mut call) =
        named("openai", &["on_disconnect = \"continue:1s\""], &[]).await;
    let id = stream_id(&answer);
    drop(answer);
    for _ in 0..4 {
        let path = format!("/v1/streams/{id}?starting_after=1&wait=500ms");
        assert_eq!(gateway.send(&json_view(&path)).await.json().await["readers"], 0);
    }
    call.sse(&openai::text("Main")).await;
    call.end().await;
    assert_eq!(becomes(&gateway, &id, "done").await["text"], "RhineMain");
}

#[tokio::test]
async fn the_list_names_the_streams_and_the_metrics_count_them() {
    let (gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let list = gateway.get("/v1/streams").await.json().await;
    assert_eq!(list["data"][0]["id"], stream_id(&answer));
    assert!(gateway.metric("streamgate_streams_recorded_total", &[]).await > 0.5);
    assert!(gateway.metric("streamgate_records", &[]).await > 0.5);
    assert!(gateway.metric("streamgate_record_readers", &[]).await > 0.5);
    assert!(gateway.metric("streamgate_record_bytes", &[]).await > 100.0);
    drop(answer);
    super::super::support::until("no reader to be counted", async || {
        gateway.metric("streamgate_record_readers", &[]).await < 0.5
    })
    .await;
}

#[tokio::test]
async fn the_access_line_names_the_stream() {
    let (gateway, _upstream, mut answer, call) = named("openai", &[], &[]).await;
    let (request, id) = (answer.header("x-request-id").unwrap().to_owned(), stream_id(&answer));
    call.end().await;
    answer.rest().await;
    let line = gateway.access_line(&request).await;
    assert!(line.contains(&format!("recorded=\"{id}\"")), "{line}");
}
