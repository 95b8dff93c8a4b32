//! What runs out: room for the log, and labels of metrics.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Gateway, Heard, Request, Setup, Upstream, begin, counts, openai, prompt};

const CHAT: &str = "/v1/chat/completions";

fn over(upstream: &Upstream) -> String {
    Setup::new().server("workers = 1").backend("one", "openai", &upstream.url()).toml()
}

/// Requests one behind the other, each of which is logged.
async fn many(gateway: &Gateway, count: usize) {
    let mut client = gateway.client().await;
    let id = "x".repeat(120);
    for _ in 0..count {
        client.ask(&Request::get("/v1/nowhere").header("x-request-id", &id)).await;
        let mut answer = client.answer().await;
        assert_eq!(answer.status, 404);
        answer.rest().await;
        client = answer.reuse();
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_stream() {
    let mut upstream = Upstream::start().await;
    let (unread, log) = std::io::pipe().unwrap();
    let mut gateway = Gateway::start_logging_to(&over(&upstream), Stdio::from(log)).await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    many(&gateway, 600).await; // the pipe holds 64 KiB
    for n in 0..5 {
        let said = Instant::now();
        call.sse(&openai::text(&format!("word{n}"))).await;
        answer.next_event().await;
        assert!(said.elapsed() < Duration::from_millis(250), "{:?}", said.elapsed());
    }
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    gateway.signal("TERM");
    assert_eq!(gateway.exit().await.code(), Some(0), "nor does it hold up the end");
    drop(unread);
}

#[tokio::test]
async fn a_log_on_a_full_disk_is_counted_and_holds_up_no_stream() {
    let mut upstream = Upstream::start().await;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let gateway = Gateway::start_logging_to(&over(&upstream), Stdio::from(full)).await;
    let (mut answer, call) = begin(&gateway, &mut upstream, "openai").await;
    many(&gateway, 5).await;
    gateway.metric_reaches("streamgate_log_lines_dropped_total", &[], 5.0).await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

/// How many series the page of metrics has.
async fn series(gateway: &Gateway) -> usize {
    gateway.metrics().await.lines().filter(|line| !line.starts_with('#')).count()
}

const NAUGHTY: &[&str] = &[
    "canary-model",
    "canary\"} 1",
    "canary{x=\"y\"}",
    "canary\\nx 1",
    "canary/../..",
    "canary Ω≈ç√",
    "canary👩‍👩‍👧",
    "canary%00",
    "canary' OR 1=1",
    "canary<script>",
    "demo:canary",
    "canary:latest",
    "__canary__",
    "le=canary",
    "canary,reason=done",
];

#[tokio::test]
async fn names_that_clients_choose_make_no_series_and_are_no_labels() {
    let mut upstream = Upstream::start().await;
    let gateway = Gateway::start(&over(&upstream)).await;
    let round = async |upstream: &mut Upstream, number: usize| {
        for naughty in NAUGHTY {
            let name = format!("{naughty}{number}");
            let request = Request::post(CHAT, &prompt(&name, true))
                .header("x-conversation-id", &name)
                .header("idempotency-key", &name)
                .header("user-agent", &name)
                .header("x-request-id", &name)
                .header("authorization", &format!("Bearer {name}"));
            let asked = gateway.ask(&request).await;
            let answer = tokio::select! {
                call = upstream.call() => {
                    let call = { let mut call = call; call.say(&["Isar"]).await; call };
                    call.end().await;
                    continue;
                }
                answer = asked.answer() => answer,
            };
            assert!(answer.status < 500, "{name:?} gave {}", answer.status);
        }
        let path = format!("/v1/canary-{number}");
        gateway.post(&path, &json!({"model": "canary"})).await;
        gateway.get(&format!("/v1/models/canary-{number}")).await;
        gateway.get(&format!("/v1/streams/canary-{number}")).await;
        gateway.get(&format!("/v1/channels/canary-{number}")).await;
        gateway.send(&Request::new("PATCH", "/v1/canary")).await;
    };
    round(&mut upstream, 0).await;
    gateway.metric_reaches("streamgate_stream_ends_total", &[], 1.0).await;
    let first = series(&gateway).await;
    for number in 1..4 {
        round(&mut upstream, number).await;
    }
    let page = gateway.metrics().await;
    assert!(!page.contains("canary"), "{page}");
    let last = series(&gateway).await;
    assert!(last <= first + 5 && last < 400, "{first} series, then {last}"); // another reason, another status
    counts(&gateway, "streamgate_panics_total", &[], 0).await;
}
