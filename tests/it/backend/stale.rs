//! Connections that a backend closes for their idleness, at the moment when a request goes out on them: uvicorn does so after
//! five seconds.

use serde_json::json;

use super::{request, whole};
use crate::support::pairs::{CHAT, DOORS};
use crate::support::{Call, Gateway, Setup, Upstream, counts, prompt};

/// Every worker keeps connections of its own.
const ONE_POOL: &str = "workers = 1";

/// A gateway before one backend that nobody probes.
async fn quiet(api: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server(ONE_POOL).pool("probe_interval = \"0s\"");
    (setup.backend("one", api, &upstream.url()).start().await, upstream)
}

/// The end of a connection whose request was read and not answered.
fn close(call: Call, reset: bool) {
    if reset {
        call.reset();
    } else {
        drop(call);
    }
}

/// One request that is answered, so that its connection is kept.
async fn serve_once(gateway: &Gateway, upstream: &mut Upstream) -> usize {
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let call = upstream.call().await;
    let connection = call.connection;
    call.answer(200, &whole("openai")).await;
    assert_eq!(asked.answer().await.status, 200);
    connection
}

#[tokio::test]
async fn a_request_that_meets_the_closing_is_asked_once_more_and_nobody_is_blamed() {
    for reset in [false, true] {
        for (door, _) in DOORS {
            for stream in [true, false] {
                let (gateway, mut upstream) = quiet("openai").await;
                let kept = serve_once(&gateway, &mut upstream).await;
                let asked = gateway.ask_post(door, &request(door, "m", stream)).await;
                let stale = upstream.call().await;
                let what = format!("{door}, stream {stream}, reset {reset}");
                assert_eq!(stale.connection, kept, "{what}: the connection was not kept");
                let body = stale.body.clone();
                close(stale, reset);
                let again = upstream.call().await;
                assert_ne!(again.connection, kept, "{what}");
                assert_eq!(again.body, body, "{what}");
                again.answer(200, &whole("openai")).await;
                let mut answer = asked.answer().await;
                assert_eq!(answer.status, 200, "{what}");
                answer.rest().await;
                let attempts = "streamgate_upstream_attempts_total";
                counts(&gateway, attempts, &[], 2).await;
                counts(&gateway, attempts, &["outcome=\"ok\""], 2).await;
            }
        }
    }
}

#[tokio::test]
async fn so_are_embeddings() {
    let (gateway, mut upstream) = quiet("openai").await;
    serve_once(&gateway, &mut upstream).await;
    let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a"})).await;
    close(upstream.call().await, false);
    upstream.call().await.answer(200, &json!({"data": []})).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_connection_that_only_a_list_of_models_has_used_may_close_as_well() {
    let (gateway, mut upstream) = quiet("openai").await;
    gateway.get("/v1/models").await.text().await;
    assert_eq!(upstream.gets_seen("/v1/models"), 1);
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let stale = upstream.call().await;
    let kept = stale.connection;
    close(stale, false);
    let again = upstream.call().await;
    assert_ne!(again.connection, kept);
    again.answer(200, &whole("openai")).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_new_connection_that_closes_is_a_failure() {
    for reset in [false, true] {
        for stream in [true, false] {
            let (gateway, mut upstream) = quiet("openai").await;
            let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
            close(upstream.call().await, reset);
            assert_eq!(asked.answer().await.status, 502);
            assert_eq!(upstream.calls_seen(), 1, "stream {stream}, reset {reset}");
        }
    }
}

#[tokio::test]
async fn the_second_closing_is_a_failure() {
    let (gateway, mut upstream) = quiet("openai").await;
    serve_once(&gateway, &mut upstream).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    close(upstream.call().await, false);
    close(upstream.call().await, false);
    assert_eq!(asked.answer().await.status, 502);
    assert_eq!(upstream.calls_seen(), 3);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    for stream in [true, false] {
        let (gateway, mut upstream) = quiet("openai").await;
        let kept = serve_once(&gateway, &mut upstream).await;
        let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
        let mut call = upstream.call().await;
        assert_eq!(call.connection, kept);
        call.head(200, "text/event-stream").await;
        call.cut().await;
        assert_eq!(asked.answer().await.status, 502, "stream {stream}");
        assert_eq!(upstream.calls_seen(), 2, "stream {stream}");
    }
}

#[tokio::test]
async fn a_connection_that_closed_before_the_request_is_not_used() {
    let (gateway, mut upstream) = quiet("openai").await;
    for round in 0..4 {
        let asked = gateway.ask_post(CHAT, &prompt("m", round % 2 == 0)).await;
        let mut call = upstream.call().await;
        assert_eq!(call.connection, round);
        let body = whole("openai").to_string();
        let head = format!(
            "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        call.send(format!("{head}{body}").as_bytes()).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 200);
        answer.rest().await;
        close(call, round % 2 == 0);
    }
}
