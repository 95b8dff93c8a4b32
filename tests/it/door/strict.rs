//! Requests that hops read in different ways are refused, each connection with them, and nothing of them reaches a backend.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::peer::{read_all, read_until, told};
use crate::support::{Setup, Upstream, gateway_over, openai};

const CHAT: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"SMUGGLED"}]}"#;

/// Requests of which nothing may be understood, and why.
fn broken() -> Vec<(&'static str, String)> {
    let chunks = |chunks: &str| format!("{CHAT}{CHUNKED}\r\n{chunks}");
    let size = BODY.len();
    let with = |fields: &str| format!("{CHAT}{fields}\r\n{BODY}");
    let line = |line: &str| format!("{line}\r\nHost: localhost\r\n\r\n");
    vec![
        ("both lengths", with(&format!("Content-Length: {size}\r\n{CHUNKED}"))),
        ("two lengths", with(&format!("Content-Length: {size}\r\nContent-Length: {size}\r\n"))),
        ("a list of lengths", with(&format!("Content-Length: {size}, {size}\r\n"))),
        ("a length with a sign", with(&format!("Content-Length: +{size}\r\n"))),
        ("a length with a blank before the colon", with(&format!("Content-Length : {size}\r\n"))),
        ("a folded length", with(&format!("Content-Length:\r\n {size}\r\n"))),
        ("chunked twice", with(&[CHUNKED, CHUNKED].concat())),
        ("a coding beside chunked", with("Transfer-Encoding: gzip, chunked\r\n")),
        ("a coding that looks like chunked", with("Transfer-Encoding: xchunked\r\n")),
        ("a coding with a control byte", with("Transfer-Encoding: \x0bchunked\r\n")),
        ("a coding in HTTP/1.0", chunks("0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0")),
        ("a bare LF", with(&format!("Content-Length: {size}\n"))),
        ("a bare CR", with("X: a\rb\r\n")),
        ("a NUL", with("X: a\0b\r\n")),
        ("a size with a blank", chunks(&format!("{size:x} \r\n{BODY}\r\n0\r\n\r\n"))),
        ("a size with a prefix", chunks(&format!("0x{size:x}\r\n{BODY}\r\n0\r\n\r\n"))),
        ("a size of 17 digits", chunks(&format!("{size:017x}\r\n{BODY}\r\n0\r\n\r\n"))),
        ("a size that ends with LF", chunks(&format!("{size:x}\n{BODY}\r\n0\r\n\r\n"))),
        ("an extension with a control byte", chunks(&format!("{size:x};\x01\r\n{BODY}\r\n0\r\n\r\n"))),
        ("a chunk that is too long", chunks(&format!("2\r\n{BODY}\r\n0\r\n\r\n"))),
        ("a trailer with a length", chunks(&format!("{size:x}\r\n{BODY}\r\n0\r\nContent-Length: 3\r\n\r\n"))),
        ("a trailer with a key", chunks(&format!("{size:x}\r\n{BODY}\r\n0\r\nAuthorization: x\r\n\r\n"))),
        ("no Host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two Hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned()),
        ("a Host that is none", "GET /healthz HTTP/1.1\r\nHost: local/host\r\n\r\n".to_owned()),
        ("another authority", line("GET http://evil.test/healthz HTTP/1.1")),
        ("CONNECT", line("CONNECT localhost:80 HTTP/1.1")),
        ("a target without its slash", line("GET healthz HTTP/1.1")),
        ("a star that is not OPTIONS'", line("GET * HTTP/1.1")),
        ("a target in UTF-8", line("GET /é HTTP/1.1")),
        ("a target with a fragment", line("GET /healthz#a HTTP/1.1")),
        ("three blanks in the request line", line("GET /healthz  HTTP/1.1")),
        ("HTTP/1.2", line("GET /healthz HTTP/1.2")),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ]
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_closed_upon() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    for (why, request) in broken() {
        let next = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        let heard = told(gateway.public, [&request, next].concat().as_bytes()).await;
        let status = heard.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "501", "505"].contains(&status), "{why}: {heard}");
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{why}: {heard}");
        assert!(heard.to_lowercase().contains("connection: close"), "{why}: {heard}");
    }
    assert_eq!(upstream.calls_seen(), 0);
    assert!(gateway.log().is_empty() || !gateway.log().contains("panicked"));
}

#[tokio::test]
async fn a_broken_request_behind_a_good_one_leaves_that_one_its_answer() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (why, request) in broken() {
        let heard = told(gateway.public, [good, &request].concat().as_bytes()).await;
        let statuses: Vec<&str> =
            heard.match_indices("HTTP/1.1 ").filter_map(|(at, _)| heard.get(at + 9..at + 12)).collect();
        assert!(matches!(statuses[..], ["200", "400" | "501" | "505"]), "{why}: {heard}");
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_request_in_pieces_is_refused_like_a_whole_one() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    for (why, request) in broken() {
        let mut stream = TcpStream::connect(gateway.public).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in request.as_bytes().chunks(37) {
            if stream.write_all(piece).await.is_err() {
                break; // it was closed upon
            }
            tokio::task::yield_now().await;
        }
        let heard = read_all(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 4") || heard.starts_with("HTTP/1.1 5"), "{why}: {heard}");
        assert!(!heard.contains("HTTP/1.1 200"), "{why}: {heard}");
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_chunked_request_by_the_grammar_is_served_and_its_trailers_are_dropped() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let body = BODY.replace(r#""m","#, r#""m","stream":true,"#);
    let (first, second) = body.split_at(20);
    let chunks = format!(
        "{:x};a=\"b c\"\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nX-Smuggled: yes\r\n\r\n",
        first.len(),
        second.len()
    );
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(format!("{CHAT}{CHUNKED}\r\n{chunks}").as_bytes()).await.unwrap();
    let mut call = upstream.call().await;
    assert!(call.headers.iter().all(|(name, _)| name != "x-smuggled" && name != "transfer-encoding"));
    assert!(call.header("content-length").is_some());
    call.say(&["Rhine"]).await;
    read_until(&mut stream, "Rhine").await;
}

#[tokio::test]
async fn a_broken_request_behind_a_stream_waits_for_its_end() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(streamed().as_bytes()).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    read_until(&mut stream, "Rhine").await;
    stream.write_all(b"GET * HTTP/1.1\r\n").await.unwrap();
    call.sse(&openai::text("Main")).await;
    read_until(&mut stream, "Main").await;
    call.end().await;
    let heard = read_all(&mut stream).await;
    assert!(heard.contains("[DONE]"), "{heard}");
    assert_eq!(heard.matches("HTTP/1.1 400").count(), 1, "{heard}");
}

#[tokio::test]
async fn a_refusal_is_counted() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("header_timeout = \"200ms\"").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let heard = told(gateway.public, b"GET /healthz HTTP/1.1\r\nHost: local").await;
    assert!(heard.starts_with("HTTP/1.1 408"), "{heard}");
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"slow_head\""], 1.0).await;
    told(gateway.public, b"GET * HTTP/1.1\r\n\r\n").await;
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"malformed\""], 1.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_broken_request_still_ends_its_stream() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(streamed().as_bytes()).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    read_until(&mut stream, "Rhine").await;
    stream.write_all(b"GET * HTTP/1.1\r\n").await.unwrap();
    drop(stream);
    call.closed().await;
}

/// A request for a stream.
fn streamed() -> String {
    let body = BODY.replace(r#""m","#, r#""m","stream":true,"#);
    format!("{CHAT}Content-Length: {}\r\n\r\n{body}", body.len())
}
