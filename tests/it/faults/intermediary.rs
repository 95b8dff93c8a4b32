//! Ways between client, gateway and backend that are late, slow or break.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    Break, Client, Fault, Heard, Item, Link, Request, Setup, Upstream, chat, gateway_over, openai, until,
};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_reset_between_gateway_and_backend_is_an_error_event() {
    for how in [Break::Reset, Break::Cut, Break::HalfClose] {
        let mut upstream = Upstream::start().await;
        let link = Link::to(upstream.address()).await;
        let gateway = Setup::new().backend("one", "openai", &link.url()).start().await;
        let asked = gateway.ask_post(CHAT, &chat()).await;
        let mut call = upstream.call().await;
        call.say(&["Aare"]).await;
        let mut answer = asked.answer().await;
        answer.next_event().await;
        link.end(how);
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed() && heard.code() == Some("upstream_truncated"), "{how:?}: {heard:?}");
        let asked = gateway.ask_post(CHAT, &chat()).await;
        upstream.call().await.say(&["Reuss"]).await;
        assert_eq!(asked.answer().await.status, 200, "{how:?}");
    }
}

#[tokio::test]
async fn a_reset_between_client_and_gateway_ends_the_backends_work() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let link = Link::to(gateway.public).await;
    let mut client = Client::connect(link.address()).await;
    client.ask(&Request::post(CHAT, &chat()).header("host", "localhost")).await;
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    let mut answer = client.answer().await;
    answer.next_event().await;
    let broken = Instant::now();
    link.end(Break::Reset);
    call.closed().await;
    assert!(broken.elapsed() < Duration::from_millis(500), "{:?}", broken.elapsed());
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"client_gone\""], 1.0).await;
}

#[tokio::test]
async fn keep_alives_keep_their_time_over_a_late_way() {
    let (gateway, mut upstream) = gateway_over("openai", &["keep_alive = \"200ms\""]).await;
    let link = Link::to(gateway.public).await;
    link.suffer(Fault { delay: Duration::from_millis(100), ..Fault::default() });
    let mut client = Client::connect(link.address()).await;
    client.ask(&Request::post(CHAT, &chat()).header("host", "localhost")).await;
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    let mut answer = client.answer().await;
    answer.next_event().await;
    let mut last = Instant::now();
    for _ in 0..6 {
        assert!(matches!(answer.next_item().await, Item::Quiet(_)));
        assert!(last.elapsed() < Duration::from_millis(600), "{:?}", last.elapsed());
        last = Instant::now();
    }
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn a_way_that_is_merely_slow_loses_nothing_and_is_not_taken_for_a_client_that_reads_nothing() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("write_timeout = \"1s\"").backend("one", "openai", &upstream.url());
    let (gateway, mut upstream) = (setup.start().await, upstream);
    let link = Link::to(gateway.public).await;
    link.suffer(Fault { rate: 8000, ..Fault::default() });
    let mut client = Client::connect(link.address()).await;
    client.ask(&Request::post(CHAT, &chat()).header("host", "localhost")).await;
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    let mut answer = client.answer().await;
    for n in 0..60 {
        call.sse(&openai::text(&format!(" word{n}"))).await;
    }
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    let started = Instant::now();
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded() && heard.text.ends_with("word59"), "{heard:?}");
    assert_eq!(heard.text.matches("word").count(), 60);
    assert!(
        started.elapsed() > Duration::from_secs(1),
        "slower than the limit of a client that reads nothing"
    );
}

#[tokio::test]
async fn a_way_that_falls_silent_is_a_backend_that_stalls() {
    let mut upstream = Upstream::start().await;
    let link = Link::to(upstream.address()).await;
    let setup = Setup::new().lines(&["idle_timeout = \"400ms\"", "keep_alive = \"100ms\""]);
    let gateway = setup.backend("one", "openai", &link.url()).start().await;
    let asked = gateway.ask_post(CHAT, &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    let mut answer = asked.answer().await;
    answer.next_event().await;
    link.suffer(Fault { silent: true, ..Fault::default() });
    call.sse(&openai::text("lost")).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.code() == Some("upstream_stalled"), "{heard:?}");
    until("the stall to be counted", async || {
        gateway.metric("streamgate_stream_ends_total", &["reason=\"upstream_stalled\""]).await > 0.5
    })
    .await;
}
