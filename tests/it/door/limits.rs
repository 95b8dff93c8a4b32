//! What one address, and one connection, may take.

use std::time::Duration;

use super::peer::{Http2, piece, rest, told};
use crate::support::{Gateway, Heard, Request, Setup, Upstream, begin, chat, openai, until, within};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let gateway = Setup::new().server("max_connections_per_address = 2").demo().start().await;
    let held = (gateway.get("/healthz").await, gateway.get("/healthz").await);
    let heard = told(gateway.public, HEALTH).await;
    assert!(heard.starts_with("HTTP/1.1 503 "), "{heard}");
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(gateway.public).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut other, HEALTH).await.unwrap();
    assert!(super::peer::read_all(&mut other).await.starts_with("HTTP/1.1 200 "));
    drop(held);
    until("a place to be free", async || told(gateway.public, HEALTH).await.starts_with("HTTP/1.1 200 "))
        .await;
}

#[tokio::test]
async fn an_old_connection_is_closed_behind_its_answer() {
    let mut upstream = Upstream::start().await;
    let setup =
        Setup::new().server("max_connection_age = \"200ms\"").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    tokio::time::sleep(Duration::from_millis(400)).await; // the subject: its age
    call.sse(&openai::text("Main")).await;
    call.end().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded() && heard.text.contains("Main"), "{heard:?}");
    let mut client = answer.reuse();
    assert!(!client.try_ask(&Request::get("/healthz")).await || client.answer_or_close().await.is_none());
}

#[tokio::test]
async fn an_old_connection_of_http_2_takes_its_leave() {
    let mut upstream = Upstream::start().await;
    let lines = "h2c = true\nmax_connection_age = \"200ms\"";
    let gateway = Setup::new().server(lines).backend("one", "openai", &upstream.url()).start().await;
    let mut client = Http2::connect(gateway.public).await;
    let (answer, _) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut body = within("an answer", answer).await.unwrap().into_body();
    assert!(piece(&mut body).await.unwrap().unwrap().contains("Rhine"));
    tokio::time::sleep(Duration::from_millis(400)).await; // the subject: its age
    call.end().await;
    let (text, reset) = rest(&mut body).await;
    assert!(text.contains("[DONE]") && reset.is_none(), "{text}");
    drop(body);
    assert!(client.ended().await.is_ok());
}

#[tokio::test]
async fn a_gateway_without_file_descriptors_waits_and_comes_back() {
    let gateway = Setup::new().server("workers = 1").demo().start().await;
    let limit = |count: &str| {
        let limit = format!("--nofile={count}:4096");
        let prlimit =
            std::process::Command::new("prlimit").args(["--pid", &gateway.id().to_string(), &limit]).status();
        assert!(prlimit.expect("the command `prlimit`").success());
    };
    limit("40");
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(gateway.client().await);
    }
    gateway.logged("cannot accept connections").await;
    let before = ticks(gateway.id());
    tokio::time::sleep(Duration::from_secs(1)).await; // the subject: what it does in a second
    let spent = ticks(gateway.id()) - before;
    assert!(spent < 20, "{spent} hundredths of a second of CPU in one second");
    drop(held);
    until("the gateway to accept again", async || {
        told(gateway.public, HEALTH).await.starts_with("HTTP/1.1 200 ")
    })
    .await;
}

#[tokio::test]
async fn connections_leave_file_descriptors_for_backends_and_operators() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 1").backend("one", "openai", &upstream.url());
    let gateway = Gateway::start_limited(&setup.toml(), "--nofile=100").await;
    let mut held = Vec::new();
    while held.len() < 17 {
        held.push(gateway.get("/healthz").await);
    }
    let (mut answer, call) = begin(&gateway, &mut upstream, "openai").await;
    assert!(told(gateway.public, HEALTH).await.starts_with("HTTP/1.1 503 "));
    let text = gateway.metrics().await;
    assert!(text.contains("streamgate_connections_refused_total{reason=\"full\"} 1"), "{text}");
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

/// The processor time of a process, in hundredths of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
