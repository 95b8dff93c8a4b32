//! TLS: the promises of a stream hold over it, and its certificate is replaced without a word.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::Instant;

use super::certificates::Certificates;
use super::peer::{Http2, piece, read_all, read_until, rest, told};
use crate::support::{Request, Setup, Upstream, chat, openai, run, until, within};

const HTTP_1_1: &[&[u8]] = &[b"http/1.1"];

fn streamed() -> Vec<u8> {
    Request::post("/v1/chat/completions", &chat()).to_bytes("localhost")
}

#[tokio::test]
async fn http_2_and_http_1_1_are_offered() {
    let certificates = Certificates::new();
    let gateway = certificates.gateway("http://127.0.0.1:9").await;
    for (offered, chosen) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".as_slice())),
        (HTTP_1_1, Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = certificates.connect(&gateway, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
}

#[tokio::test]
async fn each_event_comes_alone_and_an_abort_is_seen_at_once() {
    let certificates = Certificates::new();
    let mut upstream = Upstream::start().await;
    let gateway = certificates.gateway(&upstream.url()).await;
    let mut stream = certificates.connect(&gateway, HTTP_1_1).await;
    stream.write_all(&streamed()).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    read_until(&mut stream, "Rhine").await;
    for n in 0..5 {
        call.sse(&openai::text(&format!("w{n}"))).await;
        let mut buffer = vec![0; 4096];
        let read = within("an event", stream.read(&mut buffer)).await.unwrap();
        let heard = std::str::from_utf8(&buffer[..read]).unwrap();
        assert!(heard.contains(&format!("w{n}")) && heard.ends_with("\r\n"), "{heard}");
    }
    let left = Instant::now();
    drop(stream);
    call.closed().await;
    assert!(left.elapsed() < Duration::from_millis(100), "{:?}", left.elapsed());
}

#[tokio::test]
async fn the_last_words_come_before_a_stream_breaks_off() {
    let certificates = Certificates::new();
    let mut upstream = Upstream::start().await;
    let gateway = certificates.gateway(&upstream.url()).await;
    let mut stream = certificates.connect(&gateway, HTTP_1_1).await;
    stream.write_all(&streamed()).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    call.cut().await;
    let mut heard = Vec::new();
    let ended = within("the end", stream.read_to_end(&mut heard)).await;
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.contains("upstream_truncated") && !heard.contains("0\r\n\r\n"), "{heard}");
    assert!(ended.is_err(), "an end of TLS without a farewell, so that a cut is no end");
}

#[tokio::test]
async fn a_broken_request_is_told_over_tls() {
    let certificates = Certificates::new();
    let gateway = certificates.gateway("http://127.0.0.1:9").await;
    let mut stream = certificates.connect(&gateway, HTTP_1_1).await;
    stream.write_all(b"GET * HTTP/1.1\r\n").await.unwrap();
    let heard = read_all(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
}

#[tokio::test]
async fn a_stream_over_http_2_ends_with_its_last_words_and_a_reset() {
    let certificates = Certificates::new();
    let mut upstream = Upstream::start().await;
    let gateway = certificates.gateway(&upstream.url()).await;
    let mut client = Box::pin(Http2::over(certificates.connect(&gateway, &[b"h2"]).await)).await;
    let (answer, _) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut body = within("an answer", answer).await.unwrap().into_body();
    assert!(piece(&mut body).await.unwrap().unwrap().contains("Rhine"));
    call.cut().await;
    let (text, reset) = rest(&mut body).await;
    assert!(text.contains("upstream_truncated"), "{text}");
    assert_eq!(reset, Some(h2::Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_new_certificate_is_used_by_new_handshakes_and_a_broken_one_by_none() {
    let mut certificates = Certificates::new();
    let mut upstream = Upstream::start().await;
    let gateway = certificates.gateway(&upstream.url()).await;
    let mut running = certificates.connect(&gateway, HTTP_1_1).await;
    running.write_all(&streamed()).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    read_until(&mut running, "Rhine").await;
    std::fs::write(certificates.file("key.pem"), "no key").unwrap();
    gateway.logged("the certificate stays as it was").await;
    certificates.connect(&gateway, HTTP_1_1).await;
    certificates.replace();
    until("the new certificate", async || certificates.try_connect(&gateway, HTTP_1_1).await.is_ok()).await;
    call.sse(&openai::text("Main")).await;
    read_until(&mut running, "Main").await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_ended_and_plain_http_is_no_handshake() {
    let certificates = Certificates::new();
    let gateway = certificates.gateway("http://127.0.0.1:9").await;
    let heard = told(gateway.public, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(!heard.contains("HTTP/"), "{heard}");
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"handshake\""], 1.0).await;
}

#[tokio::test]
async fn a_handshake_takes_no_longer_than_a_head() {
    let certificates = Certificates::new();
    let lines = format!("{}\nheader_timeout = \"300ms\"", certificates.line());
    let gateway = Setup::new().server(&lines).demo().start().await;
    assert_eq!(told(gateway.public, b"\x16\x03\x01\x02\x00\x01").await, "");
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"handshake\""], 1.0).await;
    let mut stream = certificates.connect(&gateway, HTTP_1_1).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn the_last_words_come_to_a_client_that_takes_its_time() {
    let certificates = Certificates::new();
    let mut upstream = Upstream::start().await;
    let gateway = certificates.gateway(&upstream.url()).await;
    // Around what the kernel takes for a client that does not read: some of the last words wait behind it.
    for (ended, frames) in (1..).zip((50..130).step_by(5)) {
        let mut stream = certificates.connect_narrow(&gateway).await;
        stream.write_all(&streamed()).await.unwrap();
        let mut call = upstream.call().await;
        call.say(&["Rhine"]).await;
        for _ in 0..frames {
            call.sse(&openai::text(&"w".repeat(2000))).await;
        }
        call.cut().await;
        let labels = ["reason=\"upstream_truncated\""];
        gateway.metric_reaches("streamgate_stream_ends_total", &labels, f64::from(ended)).await;
        let heard = read_all(&mut stream).await;
        assert_eq!(heard.matches("wwww\"").count(), frames);
        assert!(heard.contains("upstream_truncated"), "behind {frames} frames");
    }
}

#[tokio::test]
async fn a_websocket_is_spoken_over_tls() {
    let certificates = Certificates::new();
    let gateway = certificates.gateway("http://127.0.0.1:9").await;
    let mut stream = certificates.connect(&gateway, HTTP_1_1).await;
    let upgrade = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
        within("an answer", stream.read_buf(&mut heard)).await.unwrap();
    }
    assert!(heard.starts_with(b"HTTP/1.1 101 "));
    stream.write_all(b"\x89\x82\0\0\0\0hi").await.unwrap(); // a masked ping
    while !heard.ends_with(b"\x8a\x02hi") {
        assert!(within("a pong", stream.read_buf(&mut heard)).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn curl_streams_over_tls_with_both_protocols() {
    let certificates = Certificates::new();
    let gateway = Setup::new().server(&certificates.line()).demo().start().await;
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let mut curl = Command::new("curl");
        curl.args(["-sSN", flag, "-w", "\nHTTP/%{http_version}", "--cacert"])
            .arg(certificates.file("cert.pem"));
        curl.arg(format!("https://localhost:{}/v1/chat/completions", gateway.public.port()));
        curl.args(["--resolve", &format!("localhost:{}:127.0.0.1", gateway.public.port())]);
        curl.args(["-H", "content-type: application/json", "-d"]);
        curl.arg(
            r#"{"model":"demo","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#,
        );
        let output = within("curl", curl.output()).await.expect("curl");
        let heard = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            heard.contains("data: [DONE]") && heard.ends_with(&format!("HTTP/{version}")),
            "{heard}{said}"
        );
    }
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_told_at_the_start() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    std::fs::copy(other.file("key.pem"), certificates.file("key.pem")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::new().server(&certificates.line()).demo().toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run(folder.path(), &["check"]).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("the certificate and the key cannot be used"), "{}", run.all);
}
