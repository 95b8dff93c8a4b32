//! What is large goes to Redis in pieces: nothing else waits for it, and what is late is not taken for gone.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::support::redis::{Redis, url};
use super::super::support::{
    Answer, Ending, Fault, Gateway, Link, Request, Setup, Upstream, openai, prompt, until,
};
use super::{Pair, look, over, read, replica};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// The largest piece of anything, and what sealing adds to it.
const PIECE: usize = (128 << 10) + 64;

/// The largest value that Redis holds, of any kind.
fn largest(redis: &Redis) -> usize {
    let script = "
        local largest = 0
        for _, key in ipairs(redis.call('KEYS', '*')) do
            local kind, values = redis.call('TYPE', key).ok, {}
            if kind == 'string' then values = {redis.call('GET', key)}
            elseif kind == 'hash' then values = redis.call('HVALS', key)
            elseif kind == 'list' then values = redis.call('LRANGE', key, 0, -1)
            elseif kind == 'stream' then
                for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do values[#values + 1] = entry[2][2] end
            end
            for _, value in ipairs(values) do largest = math.max(largest, string.len(value)) end
        end
        return largest";
    redis.ask(&["EVAL", script, "0"]).parse().unwrap()
}

fn sealed(setup: Setup) -> Setup {
    setup.journal("seal_key = { env = \"SEAL\" }").environment("SEAL", KEY)
}

/// A text of so many bytes in which every part is another.
fn text(bytes: usize) -> String {
    let words = (0..).map(|number: u32| format!("{number:07} ")).take(bytes / 8 + 1);
    let mut text: String = words.collect();
    text.truncate(bytes);
    text
}

fn response(input: &str) -> Request {
    Request::post("/v1/responses", &json!({ "model": "m", "input": input, "stream": true }))
}

async fn publish(gateway: &Gateway, key: &str, data: &Value) -> Answer {
    let request = Request::post("/v1/channels/job", &json!({ "data": data }));
    gateway.send(&request.header("authorization", key)).await
}

#[tokio::test]
async fn nobody_waits_for_the_large_request_of_another() {
    let redis = Redis::start().await;
    let link = Link::to(([127, 0, 0, 1], redis.port()).into()).await;
    link.suffer(Fault { rate: 4_000_000, ..Fault::default() });
    let mut upstream = Upstream::start().await;
    let scopes = "scopes = [\"publish\", \"inference\"]";
    let keys = |setup: Setup| setup.key("alice", "sk-a", "").key("bob", "sk-b", scopes);
    let slow = keys(replica(&url(link.address().port())));
    let a = slow.backend("one", "openai", &upstream.url()).start().await;
    let b = keys(replica(&redis.url())).backend("one", "openai", &upstream.url()).start().await;
    let input = text(2 << 20);
    a.metric_reaches("streamgate_store_up", &[], 1.0).await;
    let outages = || a.log().matches("does not answer").count();
    let before = outages();
    let asked = a.ask(&response(&input).header("authorization", "Bearer sk-a")).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("read")).await;
    over(call).await;
    let mut answer = asked.answer().await;
    let id = answer.header("stream-id").unwrap().to_owned();
    let events = answer.events().await.0;
    let told: Value = serde_json::from_str(&events.last().unwrap().data).unwrap();
    // It takes more than half a second on the way: while it does, somebody else is served as ever.
    let mut there = false;
    while !there {
        let mut published = publish(&a, "Bearer sk-b", &json!("tick")).await;
        let said = published.text().await;
        assert_eq!(published.status, 200, "while a large value was written: {said}");
        there = b.send(&look(&id).header("authorization", "Bearer sk-a")).await.status == 200;
    }
    // All of it has come: the other replica goes on from it.
    let on = json!({ "model": "m", "input": "on", "previous_response_id": told["response"]["id"] });
    let asked = b.ask(&Request::post("/v1/responses", &on).header("authorization", "Bearer sk-a")).await;
    let call = upstream.call().await;
    assert!(String::from_utf8_lossy(&call.body).contains(&input));
    drop(asked);
    assert_eq!(outages(), before, "{}", a.log());
    assert!(largest(&redis) <= PIECE, "{}", largest(&redis));
}

#[tokio::test]
async fn a_large_frame_is_read_elsewhere_as_it_was_written() {
    for with in [sealed, std::convert::identity::<Setup>] {
        let mut pair = Pair::start_with(with).await;
        let mut begun = pair.begun().await;
        let mut elsewhere = pair.b.send(&read(&begun.id)).await;
        elsewhere.next_event().await;
        for size in [600 << 10, 3, 128 << 10, 1 << 20, 5] {
            begun.call.sse(&openai::text(&text(size))).await;
            let event = begun.answer.next_event().await;
            assert_eq!(elsewhere.next_event().await.raw, event.raw, "{size}");
        }
        over(begun.call).await;
        assert_eq!(elsewhere.events().await.1, Ending::Clean);
        assert_eq!(begun.answer.events().await.1, Ending::Clean);
        let (all, ending) = pair.b.send(&read(&begun.id)).await.events().await;
        assert!(all[1].data.contains(&text(600 << 10)) && all[4].data.contains(&text(1 << 20)));
        assert_eq!(ending, Ending::Clean);
        assert!(largest(&pair.redis) <= PIECE, "{}", largest(&pair.redis));
    }
}

#[tokio::test]
async fn a_large_whole_answer_is_kept_in_pieces() {
    let mut pair = Pair::start().await;
    let request = Request::post("/v1/chat/completions", &prompt("m", false)).header("idempotency-key", "k");
    let asked = pair.a.ask(&request).await;
    let words = text(2 << 20);
    pair.upstream.call().await.answer(200, &openai::whole(&words)).await;
    assert!(asked.answer().await.text().await.contains(&words));
    assert!(pair.b.send(&request).await.text().await.contains(&words));
    assert!(largest(&pair.redis) <= PIECE, "{}", largest(&pair.redis));
}

#[tokio::test]
async fn large_events_of_several_publishers_come_whole_and_in_one_order() {
    for with in [sealed, std::convert::identity::<Setup>] {
        let pair = Pair::start_with(with).await;
        let subscribe = Request::get("/v1/channels/job").header("accept", "text/event-stream");
        let (mut a, mut b) = (pair.a.send(&subscribe).await, pair.b.send(&subscribe).await);
        let mut publishers = JoinSet::new();
        for (number, address) in [pair.a.public, pair.b.public].into_iter().cycle().take(6).enumerate() {
            let words = format!("{number}:{}", text(if number % 3 == 2 { 20 } else { 700 << 10 }));
            publishers.spawn(async move {
                let mut client = super::super::support::Client::connect(address).await;
                client.ask(&Request::post("/v1/channels/job", &json!({ "data": words }))).await;
                assert_eq!(client.answer().await.status, 200);
            });
        }
        let mut seen = Vec::new();
        for at in [&mut a, &mut b] {
            assert_eq!(at.next_event().await.name.as_deref(), Some("connected"));
            let mut all = Vec::new();
            for _ in 0..6 {
                let event = at.next_event().await;
                let (number, words) = event.data.split_once(':').unwrap();
                let number: usize = number.parse().unwrap();
                assert_eq!(words, text(if number % 3 == 2 { 20 } else { 700 << 10 }));
                all.push((super::id(&event), number));
            }
            seen.push(all);
        }
        assert_eq!(seen[0], seen[1]);
        while let Some(published) = publishers.join_next().await {
            published.unwrap();
        }
        assert!(largest(&pair.redis) <= PIECE, "{}", largest(&pair.redis));
        until("no part to be left over", async || pair.redis.ask(&["KEYS", "*staged*"]).is_empty()).await;
    }
}

#[tokio::test]
async fn one_late_answer_is_no_outage() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    pair.redis.say(&["DEBUG", "SLEEP", "0.8"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    // It waits as long as a request waits for Redis, and goes on without.
    let fresh = super::begin(&pair.a, &mut pair.upstream, "d").await;
    let published = publish(&pair.a, "Bearer x", &json!("tick")).await;
    assert_eq!(published.status, 200);
    assert!(!pair.a.log().contains("does not answer"), "{}", pair.a.log());
    for id in [&begun.id, &fresh.id] {
        until("both to be read elsewhere", async || pair.b.send(&look(id)).await.status == 200).await;
    }
}
