//! Keep-alive: what a client sees while nothing comes, and what it does not do.

use eventsource_stream::Eventsource;
use futures_util::StreamExt;

use crate::support::pairs::{MESSAGES, RESPONSES, pairs, request};
use crate::support::script::preamble;
use crate::support::{
    Answer, Ending, Heard, Item, Pairs, anthropic, begun, chat, gateway_over, ollama, openai,
};

const QUICK: &[&str] = &["keep_alive = \"150ms\"", "commit_after = \"50ms\""];

#[track_caller]
fn assert_comment(item: &Item) {
    let Item::Quiet(raw) = item else { panic!("{item:?} where a comment was awaited") };
    assert!(raw.starts_with(b":") && raw.ends_with(b"\n"), "{raw:?}");
    assert_eq!(raw.split(|&byte| byte == b'\n').count(), 2, "one newline, at the end: {raw:?}");
}

#[tokio::test]
async fn silence_brings_a_comment_with_one_newline() {
    let (_gateway, _upstream, mut answer, _call) = begun("openai", QUICK).await;
    assert_comment(&answer.next_item().await);
}

#[tokio::test]
async fn silence_goes_on_bringing_comments() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    for _ in 0..3 {
        assert_comment(&answer.next_item().await);
    }
    call.sse(&openai::text("Adige")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("Adige"));
    assert_comment(&answer.next_item().await);
}

#[tokio::test]
async fn a_silent_ollama_stream_gets_one_space_and_no_newline() {
    let (_gateway, _upstream, mut answer, mut call) = begun("ollama", QUICK).await;
    for _ in 0..2 {
        assert!(matches!(answer.next_item().await, Item::Quiet(raw) if &raw[..] == b" "));
    }
    assert!(answer.pieces.iter().any(|piece| &piece[..] == b" "), "{:?}", answer.pieces);
    call.line(&ollama::done("stop")).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

/// The next thing is what keeps a stream at this door alive.
async fn assert_kept_alive(door: &str, answer: &mut Answer) {
    let item = answer.next_item().await;
    match (door, &item) {
        (MESSAGES, Item::Event(event)) => {
            assert_eq!(event.raw, "event: ping\ndata: {\"type\": \"ping\"}\n\n".as_bytes());
        }
        ("/api/chat", Item::Quiet(raw)) => assert_eq!(&raw[..], b" "),
        (_, Item::Quiet(_)) if door != MESSAGES => assert_comment(&item),
        (_, item) => panic!("{item:?} at {door}"),
    }
}

#[tokio::test]
async fn every_client_over_every_backend_is_kept_alive_in_its_own_way_from_the_early_head_on() {
    let mut all = Pairs::start(QUICK).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
        let mut answer = asked.answer().await;
        assert!(!answer.early.is_empty(), "{door} over {api}: the head came alone");
        assert_kept_alive(door, &mut answer).await;
        assert_kept_alive(door, &mut answer).await;
        call.say(&["Adige"]).await;
        while !answer.next_event().await.data.contains("Adige") {}
        assert_kept_alive(door, &mut answer).await;
        call.end().await;
        let (events, ending) = answer.events().await;
        assert_eq!(ending, Ending::Clean, "{door} over {api}: {events:?}");
    }
}

#[tokio::test]
async fn lifecycle_events_pings_and_roles_commit_nothing() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (api, door, _) in pairs() {
        let (asked, call) = all.ask(door, &request(door, api, true)).await;
        call.play(&preamble(api)).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 502, "{door} over {api}");
        answer.json().await;
    }
}

#[tokio::test]
async fn the_pings_of_a_backend_keep_no_client_waiting_and_feed_no_timer() {
    for (api, door) in [("anthropic", MESSAGES), ("anthropic", RESPONSES)] {
        let (gateway, mut upstream) = gateway_over(api, &["first_token_timeout = \"300ms\""]).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.stream().await;
        for _ in 0..5 {
            call.event(&anthropic::ping()).await;
        }
        let answer = asked.answer().await;
        assert_eq!(answer.status, 504, "{door}: a ping is no first token");
    }
}

#[tokio::test]
async fn comments_come_also_while_the_backend_has_not_answered() {
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    for _ in 0..3 {
        assert_comment(&answer.next_item().await);
    }
    call.stream().await;
    call.sse(&openai::text("Po")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("Po"));
}

#[tokio::test]
async fn comments_come_also_while_only_a_role_has_come() {
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    let mut answer = asked.answer().await;
    let mut comments = 0;
    while comments < 3 {
        match answer.next_item().await {
            item @ Item::Quiet(_) => {
                assert_comment(&item);
                comments += 1;
            }
            Item::Event(event) => assert_eq!(event.json(), openai::role()),
            Item::End(ending) => panic!("the stream ended: {ending:?}"),
        }
    }
}

#[tokio::test]
async fn a_comment_never_stands_inside_an_event() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    let event = format!("data: {}\n\n", openai::text("Adige"));
    let (first, second) = event.split_at(20);
    call.chunk(first).await;
    assert_comment(&answer.next_item().await);
    call.chunk(second).await;
    assert_eq!(answer.next_event().await.raw, event.as_bytes());
}

#[tokio::test]
async fn a_stream_full_of_comments_parses_to_its_events() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    for text in ["Adige", "Piave"] {
        assert_comment(&answer.next_item().await);
        call.sse(&openai::text(text)).await;
        answer.next_event().await;
    }
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    answer.rest().await;
    let pieces = answer.pieces.clone();
    assert!(pieces.iter().any(|piece| piece.starts_with(b":")));
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let data: Vec<String> = body.eventsource().map(|event| event.unwrap().data).collect().await;
    let texts = ["Rhine", "Adige", "Piave"].map(|text| openai::text(text).to_string());
    assert_eq!(data[..3], texts);
    assert_eq!(data[3..], [openai::finish("stop").to_string(), "[DONE]".to_owned()]);
}

#[tokio::test]
async fn comments_do_not_feed_the_idle_timer_of_the_backend() {
    let lines = ["keep_alive = \"100ms\"", "idle_timeout = \"600ms\""];
    let (_gateway, _upstream, mut answer, _call) = begun("openai", &lines).await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    let heard = Heard::of(&mut answer).await;
    assert_eq!(heard.code(), Some("upstream_stalled"));
}

#[tokio::test]
async fn a_comment_is_no_first_token() {
    let lines = ["keep_alive = \"100ms\"", "commit_after = \"50ms\"", "first_token_timeout = \"600ms\""];
    let (gateway, mut upstream) = gateway_over("openai", &lines).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let _silent = upstream.call().await;
    let mut answer = asked.answer().await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    let heard = Heard::of(&mut answer).await;
    assert_eq!(heard.code(), Some("first_token_timeout"));
}

#[tokio::test]
async fn the_comments_of_a_backend_are_swallowed() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &["keep_alive = \"30s\""]).await;
    call.chunk(": PROCESSING\n\n:\n\n").await;
    call.sse(&openai::text("Adige")).await;
    let Item::Event(event) = answer.next_item().await else { panic!("the next thing is an event") };
    assert_eq!(event.raw, format!("data: {}\n\n", openai::text("Adige")).as_bytes());
}

#[tokio::test]
async fn the_comments_of_a_backend_are_made_anew() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    call.chunk(": PROCESSING\n\n").await;
    let item = answer.next_item().await;
    assert_comment(&item);
    assert!(!format!("{item:?}").contains("PROCESSING"), "{item:?}");
}

#[tokio::test]
async fn keep_alives_are_counted() {
    let (gateway, _upstream, mut answer, _call) = begun("openai", QUICK).await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    gateway.metric_reaches("streamgate_keep_alives_total", &[], 2.0).await;
}
