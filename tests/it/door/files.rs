//! Open files: streams without a client of their own count too, operators are let in with a full table, and a table that is full
//! is no failure of a backend.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::peer::Http2;
use crate::support::{Client, Gateway, Heard, Request, Setup, Upstream, begin, chat, until};

const CHAT: &str = "/v1/chat/completions";

fn detached() -> Request {
    Request::post(CHAT, &chat()).header("prefer", "respond-async")
}

/// Changes the limit of open files of a gateway that runs.
fn limit(gateway: &Gateway, count: &str) {
    let limit = format!("--nofile={count}:4096");
    let prlimit =
        std::process::Command::new("prlimit").args(["--pid", &gateway.id().to_string(), &limit]).status();
    assert!(prlimit.expect("the command `prlimit`").success());
}

/// Operators are answered on new connections, the public door on a new one, and no backend was blamed.
async fn is_well(gateway: &Gateway) {
    assert!(gateway.metrics().await.contains("streamgate_streams_live"));
    assert_eq!(gateway.ask_admin(&Request::get("/healthz")).await.status, 200);
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert!(!gateway.log().contains("ejected"), "{}", gateway.log());
}

#[tokio::test]
async fn streams_that_run_by_themselves_leave_files_for_everybody_else() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 1").backend("one", "openai", &upstream.url());
    let gateway = Gateway::start_limited(&setup.toml(), "--nofile=256").await;
    let (mut client, mut calls) = (gateway.client().await, Vec::new());
    let refused = loop {
        client.ask(&detached()).await;
        let mut answer = client.answer().await;
        if answer.status != 202 {
            break answer;
        }
        answer.rest().await;
        client = answer.reuse();
        calls.push(upstream.call().await);
        assert!(calls.len() < 256, "more streams than files");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(calls.len() > 60, "{} streams", calls.len());
    is_well(&gateway).await;
    for mut call in calls {
        call.say(&["Rhine"]).await;
        call.end().await;
    }
    until("the streams to end", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
    let (mut answer, call) = begin(&gateway, &mut upstream, "openai").await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    is_well(&gateway).await;
}

#[tokio::test]
async fn streams_of_one_connection_of_http_2_leave_files_for_everybody_else() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 1\nh2c = true").stream("commit_after = \"50ms\"");
    let setup = setup.backend("one", "openai", &upstream.url());
    let gateway = Gateway::start_limited(&setup.toml(), "--nofile=200").await;
    let mut client = Http2::connect(gateway.public).await;
    let (mut answers, mut calls, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..100 {
        let (answer, _) = client.post(&chat()).await;
        let answer = answer.await.unwrap();
        if answer.status() == 503 {
            refused += 1;
        } else {
            calls.push(upstream.call().await);
            answers.push(answer);
        }
    }
    assert!(refused > 30 && calls.len() > 40, "{refused} refused, {} served", calls.len());
    is_well(&gateway).await;
}

/// So many files may be open where the table is to be full.
const FULL: usize = 45;

/// A gateway with so many connections that it has no file descriptor left, and one of these connections.
async fn full(setup: Setup) -> (Gateway, Client, Vec<Client>) {
    let gateway = setup.server("workers = 1").start().await;
    let mut client = gateway.client().await;
    client.ask(&Request::get("/healthz")).await;
    let mut answer = client.answer().await;
    answer.rest().await;
    limit(&gateway, &FULL.to_string());
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(gateway.client().await);
    }
    gateway.logged("cannot accept connections").await;
    // A file that was open for a moment leaves its place to the next connection that waits, a tenth of a second later.
    let mut seen = 0;
    until("the table to stay full", async || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count();
        seen = if files >= FULL { seen + 1 } else { 0 };
        seen > 60
    })
    .await;
    (gateway, answer.reuse(), held)
}

#[tokio::test]
async fn a_full_table_lets_operators_in_and_is_no_failure_of_a_backend() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().pool("probe_interval = \"0s\"").backend("one", "openai", &upstream.url());
    let (gateway, mut client, held) = full(setup).await;
    for _ in 0..8 {
        client.ask(&Request::post(CHAT, &chat())).await;
        let mut answer = client.answer().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        assert_eq!(answer.json().await["error"]["code"], "internal");
        client = answer.reuse();
        assert!(gateway.metrics().await.contains("streamgate_streams_live"));
        assert_eq!(gateway.ask_admin(&Request::get("/healthz")).await.status, 200);
    }
    assert!(!gateway.log().contains("ejected"), "{}", gateway.log());
    assert_eq!(upstream.calls_seen(), 0);
    drop(held);
    until("the gateway to accept again", async || {
        let mut client = gateway.client().await;
        client.try_ask(&Request::get("/healthz")).await && client.answer_or_close().await.is_some()
    })
    .await;
    let (mut answer, call) = begin(&gateway, &mut upstream, "openai").await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

/// A server that answers every request with a list of no models, and closes behind it.
async fn closing() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let said = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"data\":[]}";
            // Who has left meanwhile needs no answer.
            if stream.read(&mut request).await.is_ok() && stream.write_all(said).await.is_ok() {
                drop(stream.shutdown().await);
            }
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn a_probe_that_has_no_file_descriptor_says_nothing_of_its_backend() {
    let (url, _server) = closing().await;
    let setup = Setup::new().pool("probe_interval = \"20ms\"").pool("probe_failures = 1");
    let (gateway, _client, _held) = full(setup.backend("one", "openai", &url)).await;
    let probes = async |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        gateway.metric("streamgate_backend_probes_total", &[&outcome]).await
    };
    until("probes to find no descriptor", async || {
        let before = probes("ok").await;
        tokio::time::sleep(Duration::from_millis(300)).await; // the subject: probes meanwhile
        probes("ok").await <= before
    })
    .await;
    assert!(probes("failed").await < 0.5, "{}", gateway.log());
}
