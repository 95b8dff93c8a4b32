//! Hedging: where a stream is slow to begin, a second backend is asked, and the first content wins.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Call, Client, Gateway, Heard, Setup, Upstream, chat, openai, prompt};

/// A gateway that hedges after 150 ms, before two backends.
async fn two(pool: &[&str]) -> (Gateway, Upstream, Upstream) {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = pool.iter().fold(Setup::new(), |setup, line| setup.pool(line));
    let setup = setup.backend("first", "openai", &first.url()).backend("second", "openai", &second.url());
    let route = "model = \"*\"\nbackends = [\"first\", \"second\"]\nhedge_after = \"150ms\"";
    (setup.route(route).start().await, first, second)
}

/// The winner says its words, and the loser's connection is closed at once.
async fn wins(gateway: &Gateway, asked: Client, mut winner: Call, mut loser: Call) {
    winner.say(&["Douro"]).await;
    let said = Instant::now();
    let closed = loser.closed().await;
    assert!(closed - said < Duration::from_millis(100), "{:?}", closed - said);
    winner.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.events, [openai::text("Douro"), openai::finish("stop")]);
    gateway.logged("end=\"done\"").await;
}

#[tokio::test]
async fn the_second_wins_when_it_is_first_and_the_loser_is_cancelled() {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let begun = Instant::now();
    let mut loser = first.call().await;
    loser.stream().await;
    loser.sse(&openai::role()).await; // a role is no content
    let winner = second.call().await;
    assert!(begun.elapsed() >= Duration::from_millis(140), "{:?}", begun.elapsed());
    wins(&gateway, asked, winner, loser).await;
    gateway.metric_reaches("streamgate_hedges_total", &["outcome=\"won\""], 1.0).await;
    assert!(gateway.log().contains("backend=\"second\""), "the access line names the one that answered");
}

#[tokio::test]
async fn the_first_wins_when_it_wakes_up_in_time() {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let winner = first.call().await;
    let loser = second.call().await;
    wins(&gateway, asked, winner, loser).await;
    gateway.metric_reaches("streamgate_hedges_total", &["outcome=\"lost\""], 1.0).await;
}

#[tokio::test]
async fn content_in_time_asks_nobody_else() {
    let (gateway, mut first, second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = first.call().await;
    call.say(&["Dou"]).await;
    let mut answer = asked.answer().await;
    answer.next_event().await;
    call.stays(Duration::from_millis(300)).await;
    assert_eq!(second.calls_seen(), 0);
}

#[tokio::test]
async fn one_that_fails_leaves_the_race_to_the_other() {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let call = first.call().await;
    let mut winner = second.call().await;
    call.answer(500, &openai::error("not me")).await;
    winner.say(&["Douro"]).await;
    winner.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
}

#[tokio::test]
async fn a_hedge_counts_against_the_budget() {
    let (gateway, mut first, second) = two(&["retry_ratio = 0.0", "retries_per_second = 0"]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = first.call().await;
    gateway.metric_reaches("streamgate_retries_denied_total", &["kind=\"hedge\""], 1.0).await;
    call.say(&["Douro"]).await;
    call.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
    assert_eq!(second.calls_seen(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_both() {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let (mut one, mut other) = (first.call().await, second.call().await);
    let left = Instant::now();
    drop(asked);
    for call in [&mut one, &mut other] {
        let closed = call.closed().await;
        assert!(closed - left < Duration::from_millis(100), "{:?}", closed - left);
    }
}

#[tokio::test]
async fn whole_answers_are_not_hedged() {
    let (gateway, mut first, second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = first.call().await;
    call.stays(Duration::from_millis(300)).await;
    call.answer(200, &openai::whole("Douro")).await;
    assert_eq!(asked.answer().await.status, 200);
    assert_eq!(second.calls_seen(), 0);
}
