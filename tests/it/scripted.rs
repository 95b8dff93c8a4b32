//! The scripted backend and the raw client against each other, without a gateway: what they say they see is what is there.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Answer, Call, Client, Ending, Heard, Item, Request, Upstream, chat, data_of, ollama, openai,
};
use crate::support::{deaf_address, refusing_address};

/// A client that asked, and the call that came of it.
async fn asked(upstream: &mut Upstream) -> (Client, Call) {
    let mut client = Client::connect(address(&upstream.url())).await;
    client.ask(&Request::post("/v1/chat/completions", &chat())).await;
    (client, upstream.call().await)
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// An OpenAI stream with one event out, and the client that waits for the rest.
async fn begun() -> (Upstream, Answer, Call) {
    let mut upstream = Upstream::start().await;
    let (client, mut call) = asked(&mut upstream).await;
    call.stream().await;
    call.sse(&openai::text("Rh")).await;
    let mut answer = client.answer().await;
    assert_eq!(answer.next_event().await.json(), openai::text("Rh"));
    (upstream, answer, call)
}

#[tokio::test]
async fn a_call_shows_the_request_as_it_was_sent() {
    let mut upstream = Upstream::start().await;
    let mut client = Client::connect(address(&upstream.url())).await;
    client.ask(&Request::raw("/api/chat", b"{\"model\" : \"m\"}").header("X-Mark", "7")).await;
    let call = upstream.call().await;
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/api/chat"));
    assert_eq!(call.header("x-mark"), Some("7"));
    assert_eq!(&call.body[..], b"{\"model\" : \"m\"}");
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_clean_end_is_told_and_the_connection_serves_again() {
    let mut upstream = Upstream::start().await;
    let (client, mut call) = asked(&mut upstream).await;
    call.stream().await;
    call.sse(&openai::text("Rhine")).await;
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    let mut answer = client.answer().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded());
    assert_eq!((heard.text.as_str(), heard.finish), ("Rhine", vec!["stop".to_owned()]));
    let mut client = answer.reuse();
    client.ask(&Request::post("/v1/embeddings", &json!({}))).await;
    let call = upstream.call().await;
    assert_eq!(call.connection, 0);
    call.answer(200, &json!({"n": 1})).await;
    assert_eq!(client.answer().await.json().await, json!({"n": 1}));
}

#[tokio::test]
async fn a_cut_is_told_from_a_clean_end() {
    let (_upstream, mut answer, call) = begun().await;
    call.cut().await;
    assert!(matches!(answer.next_item().await, Item::End(Ending::Aborted)));
}

#[tokio::test]
async fn a_reset_is_an_abort() {
    let (_upstream, mut answer, call) = begun().await;
    call.reset();
    assert!(matches!(answer.next_item().await, Item::End(Ending::Aborted)));
}

#[tokio::test]
async fn a_client_that_leaves_is_seen() {
    let (_upstream, answer, mut call) = begun().await;
    let early = tokio::time::timeout(Duration::from_millis(100), call.closed()).await;
    assert!(early.is_err(), "it is still there");
    drop(answer);
    call.closed().await;
}

#[tokio::test]
async fn comments_and_spaces_are_seen_apart_from_events() {
    let (_upstream, mut answer, mut call) = begun().await;
    call.chunk(": still here\n").await;
    assert!(matches!(answer.next_item().await, Item::Quiet(raw) if raw == ": still here\n"));
    call.chunk("data: 1\r\ndata:2\r\n\r\n").await;
    assert_eq!(answer.next_event().await.data, "1\n2");
    let mut upstream = Upstream::start().await;
    let (client, mut call) = asked(&mut upstream).await;
    call.lines().await;
    call.chunk("  ").await;
    call.line(&ollama::text("Elbe")).await;
    let mut answer = client.answer().await;
    assert!(matches!(answer.next_item().await, Item::Quiet(raw) if raw == " "));
    assert!(matches!(answer.next_item().await, Item::Quiet(_)));
    assert_eq!(answer.next_event().await.json(), ollama::text("Elbe"));
}

#[tokio::test]
#[should_panic(expected = "a blank line that ends no event")]
async fn a_blank_line_without_data_fails_the_test_that_meets_it() {
    let (_upstream, mut answer, mut call) = begun().await;
    call.chunk(": keep-alive\n\n").await;
    call.sse(&json!(1)).await;
    answer.next_event().await;
}

#[tokio::test]
async fn a_page_is_served_without_the_test() {
    let upstream = Upstream::start().await;
    upstream.page("/api/tags", &json!({"models": []}));
    let mut client = Client::connect(address(&upstream.url())).await;
    client.ask(&Request::get("/api/tags")).await;
    assert_eq!(client.answer().await.json().await, json!({"models": []}));
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_a_flood() {
    let (_upstream, _answer, mut call) = begun().await;
    let flood = call.flood(&[b'x'; 4096], 64 << 20).await;
    assert!(!flood.unsent.is_empty() && flood.chunks * 4096 == flood.bytes, "{} bytes", flood.bytes);
}

#[tokio::test]
async fn nobody_answers_at_the_addresses_of_nobody() {
    let (_kept, url) = refusing_address();
    let refused = tokio::net::TcpStream::connect(address(&url)).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let (_kept, url) = deaf_address();
    let hanging = tokio::net::TcpStream::connect(address(&url));
    assert!(tokio::time::timeout(Duration::from_millis(300), hanging).await.is_err());
}

#[test]
fn data_is_read_whatever_the_line_ends_are() {
    assert_eq!(
        data_of(b"\xef\xbb\xbfdata: a\r\rdata:b\r\ndata: c\r\n\r\n: no\n\ndata: d\n\n"),
        ["a", "b\nc", "d"]
    );
}
