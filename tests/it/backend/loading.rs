//! A model that is being loaded is waited for, as a slot is.

use serde_json::{Value, json};

use super::{assert_heard, request, whole};
use crate::support::pairs::{CHAT, DOORS};
use crate::support::{Gateway, Item, Manner, Server, Setup, Upstream, counts, gateway_over, prompt};

/// Words of servers that load.
fn loads(at: usize) -> Value {
    [
        json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        json!({"error": "Model org/m is currently loading", "estimated_time": 20.0}),
        json!({"error": {"message": "The model is still loading, please wait", "type": "server_error"}}),
    ][at % 3]
        .clone()
}

#[tokio::test]
async fn a_model_that_loads_is_waited_for_streamed_and_whole() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    for (door, _) in DOORS {
        for stream in [true, false] {
            let asked = gateway.ask_post(door, &request(door, "m", stream)).await;
            for at in 0..3 {
                upstream.call().await.answer(503, &loads(at)).await;
            }
            upstream.call().await.answer(200, &whole("openai")).await;
            assert_heard(asked.answer().await, stream, &format!("{door}, stream {stream}")).await;
        }
    }
    counts(&gateway, "streamgate_backend_ejections_total", &[], 0).await;
}

#[tokio::test]
async fn embeddings_wait_for_it_too() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a"})).await;
    upstream.call().await.answer(503, &loads(0)).await;
    upstream.call().await.answer(200, &json!({"data": []})).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn the_client_is_kept_alive_while_a_model_loads() {
    for (door, _) in DOORS {
        // What fills a silence is an event on some streams, of which the number says nothing.
        let often = if door == CHAT { "keep_alive = \"50ms\"" } else { "keep_alive = \"5s\"" };
        let lines = ["commit_after = \"50ms\"", often];
        let (gateway, mut upstream) = gateway_over("openai", &lines).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        upstream.call().await.answer(503, &loads(0)).await;
        let call = upstream.call().await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 200, "{door}");
        assert!(!answer.early.is_empty(), "{door}");
        call.answer(503, &loads(1)).await;
        let call = upstream.call().await;
        if door == CHAT {
            assert!(matches!(answer.next_item().await, Item::Quiet(_)), "{door}");
        }
        call.answer(200, &whole("openai")).await;
        assert_heard(answer, true, door).await;
    }
}

/// A gateway before two backends that are not probed, and those.
async fn two() -> (Gateway, Upstream, Upstream) {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().pool("probe_interval = \"0s\"").backend("first", "openai", &first.url());
    (setup.backend("second", "openai", &second.url()).start().await, first, second)
}

#[tokio::test]
async fn who_has_the_model_is_asked_first() {
    let (gateway, mut first, mut second) = two().await;
    for stream in [true, false] {
        let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
        first.call().await.answer(503, &loads(0)).await;
        second.call().await.answer(200, &whole("openai")).await;
        assert_eq!(asked.answer().await.status, 200, "stream {stream}");
    }
    assert_eq!((first.calls_seen(), second.calls_seen()), (2, 2));
}

#[tokio::test]
async fn when_all_else_fails_the_one_that_loads_is_waited_for() {
    let (gateway, mut first, mut second) = two().await;
    for stream in [true, false] {
        let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
        first.call().await.answer(503, &loads(0)).await;
        second.call().await.answer(500, &json!({"error": "out of memory"})).await;
        first.call().await.answer(200, &whole("openai")).await;
        assert_eq!(asked.answer().await.status, 200, "stream {stream}");
    }
    assert_eq!(second.calls_seen(), 2, "one that has failed is not asked again");
}

/// What the client is told of a backend that never comes to an end with it.
async fn told(gateway: &Gateway, stream: bool) -> (u16, Option<String>, String) {
    let mut answer = gateway.post(CHAT, &prompt("m", stream)).await;
    let after = answer.header("retry-after").map(str::to_owned);
    (answer.status, after, super::words(&answer.json().await))
}

#[tokio::test]
async fn it_is_not_waited_for_longer_than_for_a_slot_nor_ejected() {
    let server = Server::start(Manner::Loading).await;
    let setup = Setup::new().stream("queue_timeout = \"300ms\"").stream("commit_after = \"30s\"");
    let gateway = setup.pool("probe_interval = \"0s\"").backend("one", "openai", &server.url()).start().await;
    for round in 0..6 {
        let (status, after, words) = told(&gateway, round % 2 == 0).await;
        assert_eq!((status, after.as_deref()), (503, Some("10")), "{words}");
        assert!(words.contains("Loading model"), "{words}");
    }
    assert!(server.seen() > 6, "it was asked once and not again");
    counts(&gateway, "streamgate_backend_ejections_total", &[], 0).await;
    let state = ["backend=\"one\"", "state=\"up\""];
    counts(&gateway, "streamgate_backend_state", &state, 1).await;
}
