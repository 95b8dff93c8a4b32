//! Ejection: who fails is left alone for a while, then tried by one request, and comes back.

use std::time::Duration;

use tokio::time::Instant;

use super::{ask, is, seen, servers, setup, succeeds};
use crate::support::Manner::{After, RetryAfter, Status, Well};
use crate::support::{Heard, Request, Setup, Upstream, chat, openai, until};

#[tokio::test]
async fn one_that_wants_to_be_left_alone_gets_nothing_for_that_time() {
    for status in [429, 503] {
        let servers = servers(&[RetryAfter(status, 2), Well]).await;
        let gateway = setup(&servers, "").start().await;
        let (asked, pause) = (Instant::now(), Duration::from_secs(2));
        assert!(succeeds(&gateway).await, "the other serves");
        servers[0].behave(Well);
        assert!(is(&gateway, "a", "paused").await);
        loop {
            assert_eq!(ask(&gateway, 20, 2).await, 20);
            let seen = servers[0].seen();
            if asked.elapsed() >= pause {
                break;
            }
            assert_eq!(seen, 1);
        }
        until("the first one to serve again", async || {
            assert!(succeeds(&gateway).await);
            servers[0].seen() > 1
        })
        .await;
    }
}

#[tokio::test]
async fn one_that_fails_is_ejected_tried_again_and_comes_back() {
    let servers = servers(&[Status(500), Well]).await;
    let setup = setup(&servers, "").pool("eject_for = \"700ms\"").pool("eject_after = 3");
    let gateway = setup.start().await;
    assert_eq!(ask(&gateway, 10, 1).await, 10);
    assert_eq!(seen(&servers), [3, 10]);
    assert!(is(&gateway, "a", "ejected").await);
    let reason = ["backend=\"a\"", "reason=\"failures\""];
    assert!((gateway.metric("streamgate_backend_ejections_total", &reason).await - 1.0).abs() < 0.1);
    // One trial, which fails.
    until("the backend to be tried again", async || {
        assert!(succeeds(&gateway).await);
        servers[0].seen() == 4
    })
    .await;
    let failed = Instant::now();
    servers[0].behave(Well);
    assert!(is(&gateway, "a", "ejected").await);
    until("the backend to serve again", async || {
        assert!(succeeds(&gateway).await);
        servers[0].seen() > 4
    })
    .await;
    assert!(failed.elapsed() >= Duration::from_millis(1390), "twice as long: {:?}", failed.elapsed());
    assert!(is(&gateway, "a", "up").await);
    let served = servers[1].seen();
    assert_eq!(ask(&gateway, 10, 2).await, 10);
    assert_eq!(servers[1].seen(), served);
}

#[tokio::test]
async fn a_trial_is_one_request_at_a_time() {
    let servers = servers(&[Status(500), Well]).await;
    let setup = setup(&servers, "").pool("eject_for = \"300ms\"").pool("eject_after = 1");
    let gateway = setup.start().await;
    assert!(succeeds(&gateway).await);
    servers[0].behave(After(Duration::from_millis(800)));
    until("a trial to be due", async || is(&gateway, "a", "half_open").await).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    until("the trial", async || servers[0].seen() == 2).await;
    assert_eq!(ask(&gateway, 20, 4).await, 20);
    assert_eq!(servers[0].seen(), 2, "all others went elsewhere");
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
    assert!(succeeds(&gateway).await);
    assert_eq!(servers[0].seen(), 3);
}

#[tokio::test]
async fn the_least_bad_is_asked_when_all_are_ejected() {
    let servers = servers(&[Status(500), Status(503)]).await;
    let setup = setup(&servers, "").pool("eject_after = 1").pool("eject_for = \"1m\"");
    let gateway = setup.start().await;
    let mut answer = gateway.post("/v1/chat/completions", &chat()).await;
    assert_eq!(answer.status, 503);
    answer.rest().await;
    for server in &servers {
        server.behave(Well);
    }
    assert_eq!(ask(&gateway, 10, 1).await, 10, "nothing is refused for ejections");
}

#[tokio::test]
async fn a_single_backend_is_always_asked_and_speaks_for_itself() {
    let servers = servers(&[RetryAfter(429, 30)]).await;
    let gateway = setup(&servers, "").start().await;
    for _ in 0..8 {
        let answer = gateway.post("/v1/chat/completions", &chat()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    }
    assert_eq!(servers[0].seen(), 8);
}

#[tokio::test]
async fn streams_that_break_off_eject_their_backend() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream("idle_timeout = \"200ms\"").pool("probe_interval = \"0s\"");
    let setup = setup.backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "openai", &second.url()).start().await;
    for time in 0..5 {
        let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
        let mut call = first.call().await;
        call.say(&["Dou"]).await;
        match time {
            0 | 1 => call.cut().await,
            2 => call.finish().await, // without its terminator
            3 => {
                call.sse(&openai::error("no memory left")).await;
                call.finish().await;
            }
            _ => drop(call.closed().await), // it says nothing any more
        }
        assert!(Heard::of(&mut asked.answer().await).await.failed());
    }
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = second.call().await;
    call.say(&["Douro"]).await;
    call.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
}

#[tokio::test]
async fn listeners_hear_of_ejection_and_recovery() {
    let servers = servers(&[Status(500), Well]).await;
    let setup = setup(&servers, "").pool("eject_after = 2").pool("eject_for = \"100ms\"");
    let gateway = setup.start().await;
    let request = Request::get("/events?only=backends").header("accept", "text/event-stream");
    let mut events = gateway.send(&request).await;
    assert_eq!(events.next_event().await.json()["type"], "Snapshot");
    assert_eq!(ask(&gateway, 2, 1).await, 2);
    let told = |backend: &str, message: &serde_json::Value| message["backend"]["name"] == backend;
    let first = events.next_event().await.json();
    assert!(first["type"] == "BackendUp" && told("b", &first), "{first}");
    let second = events.next_event().await.json();
    assert!(second["type"] == "BackendDown" && told("a", &second), "{second}");
    servers[0].behave(Well);
    until("the first one to serve again", async || {
        assert!(succeeds(&gateway).await);
        servers[0].seen() > 2
    })
    .await;
    let third = events.next_event().await.json();
    assert!(third["type"] == "BackendUp" && told("a", &third), "{third}");
}
