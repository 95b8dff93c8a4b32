//! HTTP/2 without TLS, where it is configured: what holds for a connection of HTTP/1.1 holds for each stream.

use std::time::Duration;

use http::Request;
use tokio::process::Command;
use tokio::time::Instant;

use super::peer::{Http2, Tap, piece, rest, told};
use crate::support::{Call, Gateway, Setup, Upstream, chat, openai, until, within};

async fn gateway(upstream: &Upstream) -> Gateway {
    Setup::new().server("h2c = true").backend("one", "openai", &upstream.url()).start().await
}

async fn begun(
    client: &mut Http2,
    upstream: &mut Upstream,
) -> (h2::RecvStream, h2::SendStream<bytes::Bytes>, Call) {
    let (answer, stream) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut body = within("an answer", answer).await.unwrap().into_body();
    assert!(piece(&mut body).await.unwrap().unwrap().contains("Rhine"));
    (body, stream, call)
}

#[tokio::test]
async fn streams_share_a_connection_and_end_alone() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let (mut first, _, one) = begun(&mut client, &mut upstream).await;
    let (mut second, _, mut two) = begun(&mut client, &mut upstream).await;
    one.cut().await;
    let (text, reset) = rest(&mut first).await;
    assert!(text.contains("upstream_truncated") && !text.contains("[DONE]"), "{text}");
    assert_eq!(reset, Some(h2::Reason::INTERNAL_ERROR));
    two.sse(&openai::text("Main")).await;
    two.end().await;
    let (text, reset) = rest(&mut second).await;
    assert!(text.contains("Main") && text.contains("[DONE]"), "{text}");
    assert_eq!(reset, None);
}

/// Clients in JavaScript take a body that is reset with `CANCEL` or `NO_ERROR` for whole.
#[tokio::test]
async fn a_stream_that_fails_in_whatever_way_is_reset_as_an_error() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("h2c = true").backend("one", "openai", &upstream.url());
    let gateway = setup.stream("idle_timeout = \"300ms\"").start().await;
    let mut client = Http2::connect(gateway.public).await;
    for way in ["cut", "finished early", "told", "stalled", "cut inside an event"] {
        let (mut body, _, mut call) = begun(&mut client, &mut upstream).await;
        let _kept = match way {
            "cut" => {
                call.cut().await;
                None
            }
            "finished early" => {
                call.finish().await;
                None
            }
            "told" => {
                call.sse(&openai::error("the river is dry")).await;
                Some(call)
            }
            "stalled" => Some(call),
            _ => {
                call.chunk("data: {\"choi").await;
                call.cut().await;
                None
            }
        };
        let (text, reset) = rest(&mut body).await;
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{way}: {text}");
        assert_eq!(reset, Some(h2::Reason::INTERNAL_ERROR), "{way}");
    }
}

#[tokio::test]
async fn a_stream_that_its_client_resets_ends_its_backend_at_once() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let (_body, mut stream, mut call) = begun(&mut client, &mut upstream).await;
    let left = Instant::now();
    stream.send_reset(h2::Reason::CANCEL);
    call.closed().await;
    assert!(left.elapsed() < Duration::from_millis(100), "{:?}", left.elapsed());
    assert_eq!(client.get("http://localhost/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_request_that_is_reset_before_its_answer_ends_its_backend_at_once() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let (_answer, mut stream) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    let left = Instant::now();
    stream.send_reset(h2::Reason::CANCEL);
    call.closed().await;
    assert!(left.elapsed() < Duration::from_millis(100), "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_connection_that_is_closed_ends_all_its_backends() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let (_first, _one, mut one) = begun(&mut client, &mut upstream).await;
    let (_second, _two, mut two) = begun(&mut client, &mut upstream).await;
    drop(client);
    one.closed().await;
    two.closed().await;
}

#[tokio::test]
async fn a_host_that_is_not_the_authority_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let ask = |host: &str| Request::get("http://localhost/healthz").header("host", host).body(()).unwrap();
    assert_eq!(client.answer(ask("localhost")).await.status(), 200);
    assert_eq!(client.answer(ask("evil.test")).await.status(), 400);
    assert_eq!(client.get("http://evil.test/healthz").await.status(), 421);
}

#[tokio::test]
async fn a_head_over_the_limit_is_a_431() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("h2c = true\nmax_header_bytes = \"8KiB\"");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let mut client = Http2::connect(gateway.public).await;
    let request = Request::get("http://localhost/healthz").header("x-long", "a".repeat(9000));
    assert_eq!(client.answer(request.body(()).unwrap()).await.status(), 431);
}

#[tokio::test]
async fn an_end_of_the_gateway_lets_streams_end() {
    let mut upstream = Upstream::start().await;
    let mut gateway = gateway(&upstream).await;
    let mut client = Http2::connect(gateway.public).await;
    let (mut body, _, call) = begun(&mut client, &mut upstream).await;
    gateway.signal("TERM");
    gateway.logged("draining").await;
    call.end().await;
    let (text, reset) = rest(&mut body).await;
    assert!(text.contains("[DONE]") && reset.is_none(), "{text}");
    drop(body);
    assert!(client.ended().await.is_ok());
    assert!(gateway.exit().await.success());
}

#[tokio::test]
async fn a_drain_says_goaway_only_behind_the_last_stream() {
    let mut upstream = Upstream::start().await;
    let mut gateway = gateway(&upstream).await;
    let (tapped, frames) = Tap::connect(gateway.public).await;
    let mut client = Http2::over(tapped).await;
    let (mut first, _, one) = begun(&mut client, &mut upstream).await;
    let (mut second, _, mut two) = begun(&mut client, &mut upstream).await;
    gateway.signal("TERM");
    gateway.logged("draining").await;
    one.end().await;
    assert_eq!(rest(&mut first).await.1, None);
    // who comes now is told to come back, on another connection
    let (late, _) = client.post(&chat()).await;
    let late = within("an answer", late).await.unwrap();
    assert_eq!((late.status().as_u16(), &late.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    drop(late);
    two.sse(&openai::text("Main")).await;
    let heard = piece(&mut second).await.unwrap().unwrap();
    assert!(heard.contains("Main"), "{heard}");
    assert_eq!(frames.goaways(), 0, "while a stream runs");
    two.end().await;
    let (text, reset) = rest(&mut second).await;
    assert!(text.contains("[DONE]") && reset.is_none(), "{text}");
    drop((first, second));
    until("a GOAWAY behind the last stream", async || frames.goaways() > 0).await;
    assert!(client.ended().await.is_ok());
    assert!(gateway.exit().await.success());
}

#[tokio::test]
async fn a_viewer_that_is_superseded_loses_its_stream_and_not_its_connection() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("h2c = true").stream("record = \"always\"");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let mut client = Http2::connect(gateway.public).await;
    let (answer, _) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let response = within("an answer", answer).await.unwrap();
    let id = response.headers()["stream-id"].to_str().unwrap().to_owned();
    let view = |viewer: &str| {
        let uri = format!("http://localhost/v1/streams/{id}?viewer={viewer}&exclusive=1");
        Request::get(uri).header("accept", "text/event-stream").body(()).unwrap()
    };
    let mut first = client.answer(view("a")).await.into_body();
    assert!(piece(&mut first).await.unwrap().unwrap().contains("Rhine"));
    let mut second = client.answer(view("b")).await.into_body();
    let (text, reset) = rest(&mut first).await;
    assert!(text.contains("superseded") && reset.is_some(), "{text} {reset:?}");
    call.sse(&openai::text("Main")).await;
    let mut heard = String::new();
    while !heard.contains("Main") {
        heard += &piece(&mut second).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn http_1_1_is_spoken_beside_it_and_alone_where_it_is_not_configured() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    let plain = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    let heard = told(plain.public, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
}

#[tokio::test]
async fn curl_streams_with_prior_knowledge() {
    let gateway = Setup::new().server("h2c = true").demo().start().await;
    let mut curl = Command::new("curl");
    curl.args(["-sSN", "--http2-prior-knowledge", "-w", "\nHTTP/%{http_version}"]);
    curl.arg(format!("http://{}/v1/chat/completions", gateway.public));
    curl.args(["-H", "content-type: application/json", "-d"]);
    curl.arg(r#"{"model":"demo","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#);
    let output = within("curl", curl.output()).await.expect("curl");
    let heard = String::from_utf8(output.stdout).unwrap();
    assert!(heard.contains("data: [DONE]") && heard.ends_with("HTTP/2"), "{heard}");
}
