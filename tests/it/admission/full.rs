//! Refusals: at once where the line is full, in time where it does not move, in the words of every dialect.

use std::time::Duration;

use tokio::time::Instant;

use super::{CHAT, asked_by, chat_of, gateway, stands};
use crate::support::pairs::{DOORS, MESSAGES, OLLAMA, RESPONSES, request};
use crate::support::{Answer, Heard, counts};

/// Is it refused with this code, as the SDKs of the door read it?
async fn assert_refused(door: &str, mut answer: Answer, code: &str) {
    assert_eq!(answer.status, if door == MESSAGES { 529 } else { 503 }, "{door}");
    let seconds: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_ne!(answer.header("x-should-retry"), Some("false"), "nothing was generated");
    let error = answer.json().await;
    match door {
        MESSAGES => {
            assert_eq!(error["type"], "error");
            assert_eq!(error["error"]["type"], "overloaded_error");
        }
        OLLAMA => assert!(error["error"].as_str().unwrap().contains("busy"), "{error}"),
        _ => {
            assert_eq!(error["error"]["code"], code, "{door}");
            assert_eq!(error["error"]["type"], "server_error", "{door}");
        }
    }
}

#[tokio::test]
async fn a_full_line_refuses_at_once_in_every_dialect() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1\nqueue = 1", &[]).await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    let _waiting = stands(&gateway, &asked_by("waiting"), 1).await;
    for (door, _) in DOORS {
        for stream in [true, false] {
            let mut times = Vec::new();
            for _ in 0..5 {
                let asked = Instant::now();
                let answer = gateway.post(door, &request(door, "m", stream)).await;
                times.push(asked.elapsed());
                assert_refused(door, answer, "queue_full").await;
            }
            times.sort_unstable();
            assert!(times[2] <= Duration::from_millis(50), "{door} {stream}: {times:?}");
        }
    }
    assert_eq!(upstream.calls_seen(), 1);
    counts(&gateway, "streamgate_refusals_total", &["reason=\"queue_full\""], 40).await;
    counts(&gateway, "streamgate_queue_length", &["backend=\"one\""], 1).await;
}

#[tokio::test]
async fn without_a_queue_a_busy_backend_refuses() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1\nqueue = 0", &[]).await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    assert_refused(CHAT, gateway.post(CHAT, &chat_of("next")).await, "queue_full").await;
}

#[tokio::test]
async fn who_waits_too_long_is_told_so_in_every_dialect() {
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &["queue_timeout = \"200ms\""]).await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    for (door, _) in DOORS {
        for stream in [true, false] {
            let asked = Instant::now();
            let answer = gateway.post(door, &request(door, "m", stream)).await;
            assert!(asked.elapsed() >= Duration::from_millis(190));
            assert_refused(door, answer, "queue_timeout").await;
        }
    }
    assert_eq!(upstream.calls_seen(), 1);
    counts(&gateway, "streamgate_refusals_total", &["reason=\"queue_timeout\""], 8).await;
    counts(&gateway, "streamgate_queue_length", &[], 0).await;
}

#[tokio::test]
async fn who_has_seen_the_head_is_told_in_the_stream() {
    let lines = ["queue_timeout = \"400ms\"", "commit_after = \"50ms\""];
    let (gateway, mut upstream) = gateway("max_concurrent = 1", &lines).await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    for (door, _) in DOORS {
        let mut answer = gateway.post(door, &request(door, "m", true)).await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed(), "{door}: {heard:?}");
        assert!(heard.message().contains("busy"), "{door}: {heard:?}");
        if [CHAT, RESPONSES].contains(&door) {
            assert_eq!(heard.code(), Some("queue_timeout"), "{door}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn a_route_may_have_another_patience() {
    let mut upstream = crate::support::Upstream::start().await;
    let setup = crate::support::Setup::new().lines(&["queue_timeout = \"1m\""]);
    let setup = setup.backend_with("one", "openai", &upstream.url(), "max_concurrent = 1");
    let route = "model = \"*\"\nbackends = [\"one\"]\nqueue_timeout = \"100ms\"";
    let gateway = setup.route(route).start().await;
    let _held = gateway.ask_post(CHAT, &chat_of("held")).await;
    let _call = upstream.call().await;
    assert_refused(CHAT, gateway.post(CHAT, &chat_of("next")).await, "queue_timeout").await;
}
