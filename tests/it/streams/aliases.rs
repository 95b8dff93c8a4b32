//! llama.cpp's resumable streams: the same header, by the conversation's name, and an offset in bytes.

use super::{CHAT, TALK, begin, finished, gateway, named, raws, stream_id, wish};
use crate::support::{Heard, Request, openai};

#[tokio::test]
async fn a_conversation_is_read_by_its_name_from_a_byte_on() {
    for api in ["openai", "ollama"] {
        let (gateway, _upstream, events, id) = finished(api, &[]).await;
        let all = raws(&events);
        for from in [0, 1, 17, all.len() / 2, all.len() - 1] {
            let mut read = gateway.get(&format!("/v1/stream/talk?from={from}")).await;
            assert_eq!(stream_id(&read), id);
            assert_eq!(&*read.rest().await.0, &all[from..], "{api} from {from}");
        }
        assert_eq!(&*gateway.get("/v1/stream/talk").await.rest().await.0, &*all);
    }
}

#[tokio::test]
async fn a_conversation_is_followed_by_its_name() {
    let (gateway, _upstream, _answer, mut call) = named("openai", &[], &[]).await;
    let mut read = gateway.get("/v1/stream/talk?from=0").await;
    read.next_event().await;
    call.sse(&openai::text("Main")).await;
    assert_eq!(read.next_event().await.json(), openai::text("Main"));
}

#[tokio::test]
async fn a_conversation_is_cancelled_by_its_name() {
    let (gateway, _upstream, mut answer, mut call) = named("openai", &[], &[]).await;
    for _ in 0..2 {
        assert_eq!(gateway.send(&Request::new("DELETE", "/v1/stream/talk")).await.status, 200);
    }
    call.closed().await;
    assert_eq!(Heard::of(&mut answer).await.code(), Some("cancelled"));
}

#[tokio::test]
async fn the_newest_stream_of_a_conversation_goes_by_its_name() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let mut last = String::new();
    for _ in 0..3 {
        let (mut answer, call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "a b/c")])).await;
        call.end().await;
        answer.rest().await;
        last = stream_id(&answer);
    }
    assert_eq!(stream_id(&gateway.get("/v1/stream/a%20b%2Fc").await), last);
    assert_eq!(stream_id(&gateway.get("/v1/conversations/a%20b%2Fc/stream").await), last);
}

#[tokio::test]
async fn an_unknown_conversation_is_a_404() {
    let (gateway, _upstream) = gateway("openai", &[], &[]).await;
    assert_eq!(gateway.get("/v1/stream/talk").await.status, 404);
    assert_eq!(gateway.send(&Request::new("DELETE", "/v1/stream/talk")).await.status, 404);
}
