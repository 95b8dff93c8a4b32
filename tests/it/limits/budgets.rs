//! Budgets hold: when calls race, leave, ask for more than they need, or are told of less than they had.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{CHAT, SECRET, answer, chat_of, chat_with, gateway, keyed, left, speak, tokens_left};
use crate::support::pairs::{DOORS, MESSAGES, OLLAMA, request, request_with};
use crate::support::{Client, Gateway, Heard, Request, Setup, Upstream, counts, until};

/// Sends so many at once.
async fn race(gateway: &Gateway, count: usize, ask: impl Fn(usize) -> Request) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..count {
        clients.push(gateway.ask(&ask(number)).await);
    }
    clients
}

/// Of 200 calls at once, how many reach the backend, and how many are refused as they should be.
async fn admitted(limits: &str, ask: impl Fn(usize) -> Request) -> (usize, usize) {
    let (gateway, upstream) = gateway(limits).await;
    let clients = race(&gateway, 200, ask).await;
    let mut answers = JoinSet::new();
    for client in clients {
        answers.spawn(async move {
            // Whoever is let in waits for the backend, which says nothing.
            match tokio::time::timeout(Duration::from_secs(4), client.answer()).await {
                Ok(mut answer) => {
                    assert_eq!(answer.status, 429);
                    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
                    assert_eq!(answer.json().await["error"]["code"], "rate_limited");
                    true
                }
                Err(_) => false,
            }
        });
    }
    let refused = answers.join_all().await.into_iter().filter(|refused| *refused).count();
    (upstream.calls_seen(), refused)
}

#[tokio::test]
async fn two_hundred_calls_that_race_for_ten_requests_are_ten() {
    // A tenth of a minute is longer than this test takes.
    assert_eq!(admitted("requests_per_minute = 10", |_| chat_of(false, 1)).await, (10, 190));
}

#[tokio::test]
async fn two_hundred_calls_that_race_for_the_tokens_of_ten_are_ten() {
    // Each asks for 100, and a few for its prompt; none says the same way how many it wants.
    let ask = |number: usize| match number % 4 {
        0 => chat_with(true, &json!({"max_tokens": 100})),
        1 => chat_with(false, &json!({"max_completion_tokens": 100, "max_tokens": 1})),
        2 => chat_with(true, &json!({"max_tokens": 10, "n": 10})),
        _ => chat_with(false, &json!({"max_tokens": 1e2})),
    };
    assert_eq!(admitted("tokens_per_day = 1199", ask).await, (10, 190));
    // What comes by itself in a tenth of a minute is less than one of them needs.
    assert_eq!(admitted("tokens_per_minute = 1135", |_| chat_of(true, 100)).await, (10, 190));
}

#[tokio::test]
async fn who_asks_for_a_hundred_answers_or_for_ever_so_many_tokens_pays_for_them() {
    let hundred = |_| chat_with(true, &json!({"max_tokens": 100, "n": 100}));
    assert_eq!(admitted("tokens_per_day = 19_999", hundred).await.0, 1);
    let huge = |_| chat_with(true, &json!({"max_tokens": 1_000_000_000_000_u64}));
    assert_eq!(admitted("tokens_per_day = 1_000_000", huge).await.0, 0);
    // More than a minute has needs a whole minute, and there is one of those.
    assert_eq!(admitted("tokens_per_minute = 1000", huge).await.0, 1);
}

#[tokio::test]
async fn those_who_leave_at_once_get_no_more_out_of_it() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 1199").await;
    for round in 0..200 {
        let client = gateway.ask(&chat_of(false, 100)).await;
        if round < 10 {
            let mut call = upstream.call().await;
            drop(client);
            call.closed().await;
        } else {
            assert_eq!(client.answer().await.status, 429, "round {round}");
        }
    }
    assert_eq!(upstream.calls_seen(), 10);
}

#[tokio::test]
async fn what_was_put_aside_and_not_used_is_given_back() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 10_000").await;
    let asked = gateway.ask(&chat_of(false, 9000)).await;
    let call = upstream.call().await;
    assert!(tokens_left(&gateway).await < 1000);
    assert_eq!(gateway.send(&chat_of(false, 9000)).await.status, 429);
    answer(call, 20, 30).await;
    assert_eq!(asked.answer().await.status, 200);
    until("the rest to be given back", async || tokens_left(&gateway).await == 9950).await;
    let asked = gateway.ask(&chat_of(true, 9000)).await;
    speak(upstream.call().await, "Save", Some((20, 30))).await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
    until("the rest to be given back", async || tokens_left(&gateway).await == 9900).await;
}

#[tokio::test]
async fn what_was_used_beyond_that_is_owed() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 3000").await;
    let asked = gateway.ask(&chat_with(false, &json!({}))).await;
    answer(upstream.call().await, 1000, 2500).await;
    assert_eq!(asked.answer().await.status, 200);
    until("the debt", async || tokens_left(&gateway).await == 0).await;
    let mut refused = gateway.send(&chat_of(false, 1)).await;
    assert_eq!(refused.status, 429);
    assert!(refused.json().await["error"]["message"].as_str().unwrap().contains("3000 tokens a day"));
}

#[tokio::test]
async fn an_answer_without_a_bound_ends_with_the_budget_of_the_day() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 3000").await;
    let asked = gateway.ask(&chat_with(true, &json!({}))).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let mut answer = asked.answer().await;
    let flood = async {
        // A thousand letters at a time, for ever.
        while call.try_send(&chunk_of(&"Save".repeat(250))).await.is_ok() {}
    };
    let (heard, ()) = tokio::join!(Heard::of(&mut answer), flood);
    assert!(heard.failed(), "{:?}", heard.error);
    assert_eq!(heard.code(), Some("rate_limited"));
    let tokens = heard.text.len() / 4;
    assert!((2000..3300).contains(&tokens), "{tokens}");
    until("its settlement", async || tokens_left(&gateway).await < 1100).await;
}

/// A chunk of HTTP with this text.
fn chunk_of(text: &str) -> Vec<u8> {
    let frame = format!("data: {}\n\n", crate::support::openai::text(text));
    format!("{:x}\r\n{frame}\r\n", frame.len()).into_bytes()
}

#[tokio::test]
async fn a_backend_that_is_not_reached_costs_nothing() {
    let (_kept, url) = crate::support::refusing_address();
    let setup = Setup::new().key("alice", SECRET, "tokens_per_day = 5000").backend("one", "openai", &url);
    let gateway = setup.start().await;
    for stream in [true, false] {
        assert_eq!(gateway.send(&chat_of(stream, 2000)).await.status, 502);
        until("all to be given back", async || tokens_left(&gateway).await == 5000).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_left_is_settled_by_what_was_seen_of_it() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 10_000").await;
    let asked = gateway.ask(&chat_of(true, 9000)).await;
    let mut call = upstream.call().await;
    call.say(&[&"Save".repeat(500)]).await;
    let mut heard = asked.answer().await;
    heard.next_event().await;
    drop(heard);
    call.closed().await;
    // 500 words of four letters, and a prompt of a few.
    until("the rest to be given back", async || (9450..9500).contains(&tokens_left(&gateway).await)).await;
}

#[tokio::test]
async fn a_backend_that_tells_of_less_than_it_said_is_not_believed() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 10_000").await;
    for (usage, least) in [(Some((0, 0)), 1000), (None, 1000)] {
        let before = tokens_left(&gateway).await;
        let asked = gateway.ask(&chat_of(true, 2000)).await;
        speak(upstream.call().await, &"Save".repeat(1000), usage).await;
        assert!(Heard::of(&mut asked.answer().await).await.succeeded());
        until("its settlement", async || {
            let used = before - tokens_left(&gateway).await;
            (least..least + 50).contains(&used)
        })
        .await;
    }
}

#[tokio::test]
async fn every_door_counts_and_refuses_in_its_own_words() {
    let upstream = Upstream::start().await;
    for (door, api) in DOORS {
        let setup = Setup::new().key("alice", SECRET, "tokens_per_day = 1000");
        let gateway = setup.backend("one", api, &upstream.url()).start().await;
        let more = if door == OLLAMA {
            json!({"options": {"num_predict": 2000}})
        } else {
            json!({"max_tokens": 2000, "max_output_tokens": 2000})
        };
        let mut refused =
            gateway.send(&keyed(Request::post(door, &request_with(door, "m", true, &more)))).await;
        assert_eq!(refused.status, 429, "{door}");
        assert!(refused.header("retry-after").is_some(), "{door}");
        let error = refused.json().await;
        match door {
            MESSAGES => assert_eq!(error["error"]["type"], "rate_limit_error", "{error}"),
            OLLAMA => assert!(error["error"].as_str().unwrap().contains("tokens a day"), "{error}"),
            _ => {
                assert_eq!(error["error"]["code"], "rate_limited", "{error}");
                assert_eq!(error["error"]["type"], "rate_limit_error", "{error}");
            }
        }
        counts(&gateway, "streamgate_refusals_total", &["reason=\"tokens_per_day\""], 1).await;
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn embeddings_count_what_is_read() {
    let (gateway, mut upstream) = gateway("tokens_per_minute = 1000").await;
    let text = "word ".repeat(400);
    let ask = keyed(Request::post("/v1/embeddings", &json!({"model": "m", "input": text})));
    let asked = gateway.ask(&ask).await;
    upstream.call().await.answer(200, &json!({"object": "list", "data": []})).await;
    let answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    assert!((450..550).contains(&left(&answer, "tokens")), "{:?}", answer.headers);
}

#[tokio::test]
async fn the_limits_of_one_key_are_not_those_of_another() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", SECRET, "requests_per_minute = 1").key(
        "bob",
        "sk-bob",
        "requests_per_minute = 1",
    );
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let _asked = gateway.ask(&chat_of(true, 1)).await;
    let _call = upstream.call().await;
    assert_eq!(gateway.send(&chat_of(true, 1)).await.status, 429);
    let _asked = gateway.ask(&chat_of(true, 1).header("authorization", "Bearer sk-bob")).await;
    upstream.call().await;
}

#[tokio::test]
async fn a_repeat_that_joins_a_stream_uses_no_tokens() {
    let (gateway, mut upstream) = gateway("tokens_per_day = 10_000").await;
    let ask = || chat_of(true, 6000).header("idempotency-key", "k").header("x-conversation-id", "c");
    let first = gateway.ask(&ask()).await;
    let call = upstream.call().await;
    speak(call, "Save", Some((10, 10))).await;
    assert!(Heard::of(&mut first.answer().await).await.succeeded());
    until("its settlement", async || tokens_left(&gateway).await == 9980).await;
    assert!(Heard::of(&mut gateway.send(&ask()).await).await.succeeded());
    until("nothing to be used", async || tokens_left(&gateway).await == 9980).await;
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn without_limits_nothing_is_counted() {
    let (gateway, mut upstream) = gateway("").await;
    let asked = gateway.ask(&keyed(Request::post(CHAT, &request(CHAT, "m", true)))).await;
    speak(upstream.call().await, "Save", None).await;
    let answer = asked.answer().await;
    assert!(answer.headers.iter().all(|(name, _)| !name.contains("ratelimit")), "{:?}", answer.headers);
}
