//! Cancelling: by anybody who may, as often as they like, and the backend sees it.

use std::time::Duration;

use tokio::time::Instant;

use super::{CHAT, TALK, ask, begin, described, gateway, named, stream_id, wish};
use crate::support::pairs::APIS;
use crate::support::{Heard, Request, openai};

fn ways(id: &str) -> [Request; 2] {
    let path = format!("/v1/streams/{id}");
    [Request::new("DELETE", &path), Request::new("POST", &format!("{path}/cancel"))]
}

#[tokio::test]
async fn a_cancelled_stream_drops_its_backend_at_once_and_says_so() {
    for api in APIS {
        for way in 0..2 {
            let (gateway, _upstream, mut answer, mut call) = named(api, &[], &[]).await;
            let id = stream_id(&answer);
            let began = Instant::now();
            let [delete, post] = ways(&id);
            let mut told = gateway.send(if way == 0 { &delete } else { &post }).await;
            let took = call.closed().await.duration_since(began);
            println!("{api}: the backend was dropped {:.1} ms after the cancel", took.as_secs_f64() * 1e3);
            assert!(took < Duration::from_secs(1), "{took:?}");
            assert_eq!((told.status, &told.json().await["state"]), (200, &"cancelled".into()), "{api}");
            let heard = Heard::of(&mut answer).await;
            assert!(heard.failed() && heard.text == "Rhine", "{api}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn cancelling_is_idempotent() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    for request in ways(&id).iter().chain(&ways(&id)) {
        let mut told = gateway.send(request).await;
        assert_eq!((told.status, &told.json().await["state"]), (200, &"cancelled".into()));
    }
    call.closed().await;
}

#[tokio::test]
async fn a_finished_stream_that_is_cancelled_stays_as_it_is() {
    let (gateway, _upstream, events, id) = super::finished("openai", &[]).await;
    for request in ways(&id) {
        assert_eq!(gateway.send(&request).await.json().await["state"], "done");
    }
    assert_eq!(described(&gateway, &id).await["last_event"], events.len());
}

#[tokio::test]
async fn a_stream_without_content_can_be_cancelled() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, mut call) = ask(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let id = gateway.get("/v1/streams").await.json().await["data"][0]["id"].as_str().unwrap().to_owned();
    gateway.send(&Request::new("DELETE", &format!("/v1/streams/{id}"))).await;
    call.closed().await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, &answer.json().await["error"]["code"]), (409, &"cancelled".into()));
}

#[tokio::test]
async fn a_whole_answer_can_be_cancelled() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let request = super::with(Request::post(CHAT, &crate::support::prompt("m", false)), &[(TALK, "talk")]);
    let (asked, mut call) = ask(&gateway, &mut upstream, &request).await;
    gateway.send(&Request::new("DELETE", "/v1/stream/talk")).await;
    call.closed().await;
    assert_eq!(asked.answer().await.status, 409);
}

#[tokio::test]
async fn a_backend_that_never_pauses_is_cancelled_too() {
    let (gateway, _upstream, answer, mut call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    drop(answer);
    let event = format!("data: {}\n\n", openai::text(&"x".repeat(3000)));
    let [delete, _] = ways(&id);
    let (told, ()) = tokio::join!(gateway.send(&delete), async {
        while call.try_send(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.is_ok() {}
    });
    assert_eq!(told.status, 200);
}

#[tokio::test]
async fn an_unknown_stream_is_not_cancelled() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    for request in ways(&"a".repeat(26)) {
        assert_eq!(gateway.send(&request).await.status, 404);
    }
}

#[tokio::test]
async fn cancelled_twice_at_once_is_cancelled() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    for _ in 0..10 {
        let (answer, mut call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
        let [delete, post] = ways(&stream_id(&answer));
        let (first, second) = tokio::join!(gateway.send(&delete), gateway.send(&post));
        assert_eq!((first.status, second.status), (200, 200));
        call.closed().await;
    }
}
