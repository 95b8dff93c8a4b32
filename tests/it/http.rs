//! HTTP/1.1 itself: heads that two readers could read differently, how long a connection without a request lives, and that a
//! refusal reaches a client that writes its whole body first.

use crate::support::{Client, Gateway, Request, Setup, Upstream};

async fn gateway(lines: &str) -> Gateway {
    Setup::new().server(lines).backend("one", "openai", "http://127.0.0.1:9").start().await
}

/// The status of the answer to these bytes.
async fn status(bytes: &[u8]) -> u16 {
    let gateway = gateway("").await;
    let mut client = gateway.client().await;
    client.send(bytes).await;
    let status = client.answer().await.status;
    assert_eq!(gateway.get("/healthz").await.status, 200, "it lives on");
    status
}

#[tokio::test]
async fn a_length_and_a_transfer_coding_are_a_400() {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n";
    let (length, coding) = ("content-length: 5\r\n", "transfer-encoding: chunked\r\n");
    for both in [[length, coding], [coding, length]] {
        let status = status(format!("{head}{}\r\n0\r\n\r\n", both.concat()).as_bytes()).await;
        assert_eq!(status, 400, "{both:?}");
    }
}

#[tokio::test]
async fn a_transfer_coding_beside_chunked_is_refused() {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n";
    let status = status(format!("{head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n").as_bytes()).await;
    assert!(matches!(status, 400 | 501), "{status}");
}

#[tokio::test]
async fn a_host_with_a_user_is_a_400() {
    assert_eq!(status(b"GET /healthz HTTP/1.1\r\nhost: evil@localhost\r\n\r\n").await, 400);
}

#[tokio::test]
async fn a_target_with_bytes_beyond_ascii_is_a_400() {
    for path in [&b"/v1/models/\xc3\xbc"[..], b"/v1/models/\xff", b"/healthz?x=\xc3\xbc"] {
        let bytes = [b"GET ", path, b" HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
        assert_eq!(status(&bytes).await, 400, "{path:?}");
    }
}

/// Sends the beginning of a head, and sees the connection end.
async fn assert_stalled_head_ends(mut client: Client) {
    client.send(b"GET /healthz HTTP/1.1\r\nhost: loc").await;
    if let Some(mut answer) = client.answer_or_close().await {
        assert_eq!(answer.status, 408);
        answer.rest().await;
    }
}

/// A connection that has served one request and waits for the next.
async fn idle(gateway: &Gateway) -> Client {
    let mut answer = gateway.get("/healthz").await;
    answer.rest().await;
    answer.reuse()
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_a_head() {
    let gateway = gateway("header_timeout = \"300ms\"\nworkers = 1").await;
    let mut idle = idle(&gateway).await;
    for _ in 0..2 {
        // Each takes the time for a head, by the gateway's own clock.
        assert_stalled_head_ends(gateway.client().await).await;
    }
    idle.ask(&Request::get("/healthz")).await;
    assert_eq!(idle.answer().await.status, 200);
}

#[tokio::test]
async fn a_second_head_that_stalls_ends_the_connection_too() {
    let gateway = gateway("header_timeout = \"300ms\"").await;
    assert_stalled_head_ends(idle(&gateway).await).await;
}

const EIGHT_MIB: usize = 8 << 20;

/// A client that writes all of its body before it reads can do so, and reads this status.
async fn assert_told(gateway: &Gateway, request: Request, status: u16) {
    let mut answer = gateway.ask(&request).await.answer().await;
    assert_eq!(answer.status, status);
    answer.json().await;
}

#[tokio::test]
async fn a_large_body_for_no_route_is_taken_and_told_a_404() {
    let gateway = gateway("").await;
    assert_told(&gateway, Request::raw("/v1/nowhere", &vec![b'x'; EIGHT_MIB]), 404).await;
}

#[tokio::test]
async fn a_large_body_without_a_key_is_taken_and_told_a_401() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "sk-it-canary-81", "").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    assert_told(&gateway, Request::raw("/v1/chat/completions", &vec![b'x'; EIGHT_MIB]), 401).await;
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_large_body_for_another_host_is_taken_and_told_a_421() {
    let gateway = gateway("").await;
    let request = Request::raw("/v1/chat/completions", &vec![b'x'; EIGHT_MIB]).header("host", "evil.test");
    assert_told(&gateway, request, 421).await;
}
