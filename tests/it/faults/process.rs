//! The process itself: it fails at one request, or is stopped for a while, and the others notice nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::{Gateway, Heard, Request, Setup, Upstream, begin, counts, openai, prompt, until};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before a scripted backend, and the built-in model, which fails the gateway where its name says `panic`.
async fn fallible() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 1").demo().backend("one", "openai", &upstream.url());
    let setup = setup.route("model = \"demo*\"\nbackends = [\"demo\"]");
    (setup.route("model = \"*\"\nbackends = [\"one\"]").start().await, upstream)
}

#[tokio::test]
async fn a_panic_ends_its_own_stream_with_an_error_and_no_other() {
    let (gateway, mut upstream) = fallible().await;
    let (mut other, call) = begin(&gateway, &mut upstream, "openai").await;
    let panics = prompt("demo:pace=1ms,after=2,panic", true);
    let heard = Heard::of(&mut gateway.post(CHAT, &panics).await).await;
    assert!(heard.failed() && heard.code() == Some("internal"), "{heard:?}");
    assert!(!heard.text.is_empty(), "what came before was told");
    counts(&gateway, "streamgate_panics_total", &[], 1).await;
    counts(&gateway, "streamgate_stream_ends_total", &["reason=\"internal\""], 1).await;
    let named = Request::post(CHAT, &panics).header("x-conversation-id", "talk");
    let heard = Heard::of(&mut gateway.send(&named).await).await;
    assert!(heard.failed() && heard.code() == Some("internal"), "{heard:?}");
    counts(&gateway, "streamgate_panics_total", &[], 2).await;
    call.end().await;
    assert!(Heard::of(&mut other).await.succeeded());
    until("no stream to be live", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
}

#[tokio::test]
async fn a_panic_before_the_first_word_has_its_status() {
    let (gateway, _upstream) = fallible().await;
    for stream in [true, false] {
        let mut answer = gateway.post(CHAT, &prompt("demo:after=0,panic", stream)).await;
        assert_eq!(answer.status, 500, "stream {stream}");
        assert_eq!(answer.json().await["error"]["code"], "internal");
    }
    counts(&gateway, "streamgate_panics_total", &[], 2).await;
    gateway.logged("this is a bug in it").await;
    assert!(!gateway.log().contains("was asked to"), "the words of a panic may quote a prompt");
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_was_stopped_for_a_while_goes_on_without_false_timeouts() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().lines(&["idle_timeout = \"1s\"", "keep_alive = \"300ms\""]);
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let mut upstream = upstream;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(begin(&gateway, &mut upstream, "openai").await);
    }
    gateway.freeze().await;
    for (_, call) in &mut streams {
        call.sse(&openai::text("on")).await;
    }
    sleep(Duration::from_millis(1500)).await; // longer than a backend may be silent
    gateway.signal("CONT");
    for (mut answer, call) in streams {
        call.end().await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.succeeded() && heard.text.ends_with("on"), "{heard:?}");
    }
}
