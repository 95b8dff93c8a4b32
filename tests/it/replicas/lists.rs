//! What the replicas find of what the others have begun: page by page, and by its conversation.

use super::super::support::redis::Redis;
use super::super::support::{Ending, Gateway, Request, prompt, until};
use super::{Pair, begin, code, replica};

/// A stream that has ended; gives its id.
async fn stream(gateway: &Gateway, conversation: &str) -> String {
    let request = Request::post("/v1/chat/completions", &prompt("demo:words=2,pace=1ms", true));
    let mut answer = gateway.send(&request.header("x-conversation-id", conversation)).await;
    assert_eq!(answer.events().await.1, Ending::Clean);
    answer.header("stream-id").unwrap().to_owned()
}

async fn page(gateway: &Gateway, query: &str) -> (Vec<String>, bool) {
    let page = gateway.get(&format!("/v1/streams?{query}")).await.json().await;
    let ids = page["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
    (ids.collect(), page["has_more"].as_bool().unwrap())
}

#[tokio::test]
async fn the_pages_of_the_list_are_the_same_on_every_replica() {
    let redis = Redis::start().await;
    let (a, b) = (replica(&redis.url()).demo().start().await, replica(&redis.url()).demo().start().await);
    for number in 0..7 {
        stream(if number % 2 == 0 { &a } else { &b }, &format!("c{number}")).await;
    }
    let mut read = Vec::new();
    let (mut query, mut more) = ("limit=3".to_owned(), true);
    while more {
        let ids;
        (ids, more) = page(&a, &query).await;
        assert_eq!((ids.clone(), more), page(&b, &query).await);
        query = format!("limit=3&after={}", ids.last().unwrap());
        read.push(ids);
    }
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(page(&b, "limit=100").await, (read.concat(), false));
    // One that is thrown away leaves no hole.
    let meta = format!("sg:{{{}}}:meta", read[0][1]);
    until("its end to be stored", async || redis.ask(&["HGET", &meta, "end"]) == "done").await;
    redis.ask(&["DEL", &meta]);
    let other = replica(&redis.url()).demo().start().await;
    let (ids, more) = page(&other, "limit=3").await;
    assert_eq!((ids, more), ([&read[0][..1], &read[0][2..], &read[1][..1]].concat(), true));
}

#[tokio::test]
async fn a_busy_conversation_is_interrupted_without_a_look_at_the_others() {
    let demo = |setup: super::Setup| {
        let setup = setup.demo().route("model = \"demo*\"\nbackends = [\"demo\"]");
        setup.route("model = \"m\"\nbackends = [\"one\"]")
    };
    let mut pair = Pair::start_with(demo).await;
    for number in 0..20 {
        stream(&pair.a, &format!("other{number}")).await;
    }
    // One runs, and one waits for it.
    let mut old = begin(&pair.a, &mut pair.upstream, "c").await;
    let waiting = pair.a.ask(&super::said("c").header("x-on-conflict", "enqueue")).await;
    let redis = &pair.redis;
    until("both to be in line", async || {
        redis.ask(&["KEYS", "sg:line:*"]).lines().any(|line| redis.ask(&["ZCARD", line]) == "2")
    })
    .await;
    pair.redis.ask(&["CONFIG", "RESETSTAT"]);
    let new = begin(&pair.b, &mut pair.upstream, "c").await;
    let stats = pair.redis.ask(&["INFO", "commandstats"]);
    assert!(!stats.contains("cmdstat_zrevrange:"), "{stats}");
    let looks = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrange:calls=")).unwrap();
    let looks: u32 = looks.split(',').next().unwrap().parse().unwrap();
    assert!(looks < 15, "{looks} looks at streams");
    old.call.closed().await;
    let (events, _) = old.answer.events().await;
    assert_eq!(code(events.last().unwrap()), "superseded");
    assert_ne!(waiting.answer().await.status, 200, "what waited is not begun");
    super::over(new.call).await;
    until("the line to be left", async || redis.ask(&["KEYS", "sg:line:*"]).is_empty()).await;
}
