//! Redis is away, slow, full or empty: readers on the replica that writes their stream notice nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::super::support::redis::{Redis, url};
use super::super::support::{Ending, Request, Upstream, until};
use super::{Begun, Pair, begin, look, read, replica, say};

/// Nothing that a reader sees may take longer while Redis is in trouble. These tests run alone, so that it is Redis that is measured.
const STALL: Duration = Duration::from_millis(100);

/// Says some words, and wants each of them at once.
async fn flows(begun: &mut Begun, words: usize) {
    for number in 0..words {
        let started = Instant::now();
        say(&mut begun.call, &format!("word{number}")).await;
        assert!(begun.answer.next_event().await.data.contains(&format!("word{number}")));
        assert!(started.elapsed() < STALL, "word {number} took {:?}", started.elapsed());
    }
}

async fn ends(mut begun: Begun) {
    super::over(begun.call).await;
    assert_eq!(begun.answer.events().await.1, Ending::Clean);
}

#[tokio::test]
async fn a_gateway_starts_without_redis_and_its_streams_are_local() {
    let port = Redis::absent();
    let mut upstream = Upstream::start().await;
    let gateway = replica(&url(port)).backend("one", "openai", &upstream.url()).start().await;
    let mut begun = begin(&gateway, &mut upstream, "c").await;
    assert_eq!(begun.answer.header("stream-durability"), Some("local"));
    flows(&mut begun, 3).await;
    assert!(gateway.metrics().await.contains("streamgate_store_up{store=\"redis\"} 0"));
    gateway.logged("the store does not answer").await;
    // What it cannot know it does not deny.
    let unknown = "abcdefghijklmnopqrstuvwxyz";
    let answer = gateway.send(&look(unknown)).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    let mut source = gateway.send(&read(unknown)).await;
    assert_eq!(source.status, 200, "503 would end an EventSource for ever");
    assert!(source.text().await.contains("retry:"));
    // What it has it shows.
    assert_eq!(gateway.send(&look(&begun.id)).await.status, 200);
    // And when Redis comes, it is told all of it.
    let redis = Redis::start_on(port).await;
    gateway.metric_reaches("streamgate_store_up", &[], 1.0).await;
    let other = replica(&redis.url()).backend("one", "openai", &upstream.url()).start().await;
    let id = begun.id.clone();
    until("the other replica to read it", async || {
        let mut answer = other.send(&look(&id)).await;
        answer.status == 200 && answer.json().await["text"].as_str().unwrap().contains("word2")
    })
    .await;
    let again = gateway.send(&look(&id)).await;
    assert_eq!(again.header("stream-durability"), None);
    ends(begun).await;
    assert_eq!(gateway.log().matches("the store does not answer").count(), 1, "one warning per outage");
}

#[tokio::test]
async fn redis_dies_in_the_middle_and_comes_back_empty() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    pair.redis.kill();
    flows(&mut begun, 10).await;
    pair.a.metric_reaches("streamgate_store_errors_total", &[], 0.0).await;
    let (a, b) = (&pair.a, &pair.b);
    until("the outage to be noticed", async || {
        a.metric("streamgate_store_up", &[]).await + b.metric("streamgate_store_up", &[]).await == 0.0
    })
    .await;
    let started = Instant::now();
    let fresh = begin(&pair.a, &mut pair.upstream, "d").await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(fresh.answer.header("stream-durability"), Some("local"));
    assert_eq!(pair.b.send(&look(&fresh.id)).await.status, 503);
    pair.redis.start_again().await;
    flows(&mut begun, 10).await;
    for number in (0..10).chain(0..10) {
        let event = elsewhere.next_event().await;
        assert!(event.data.contains(&format!("word{number}")), "{}", event.data);
    }
    ends(begun).await;
    assert_eq!(elsewhere.events().await.1, Ending::Clean);
    let (gateway, id) = (&pair.b, fresh.id.clone());
    until("the new stream to be known", async || gateway.send(&look(&id)).await.status == 200).await;
}

#[tokio::test]
async fn who_comes_to_a_stream_while_redis_is_away_is_told_that_it_is_local() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let gateway = &pair.a;
    let durability = async || {
        let answer = gateway.send(&read(&begun.id)).await;
        assert_eq!(answer.status, 200);
        answer.header("stream-durability").map(str::to_owned)
    };
    assert_eq!(durability().await, None);
    pair.redis.kill();
    until("the outage to be noticed", async || gateway.metric("streamgate_store_up", &[]).await == 0.0).await;
    assert_eq!(durability().await.as_deref(), Some("local"));
    pair.redis.start_again().await;
    until("others to be able to read it again", async || durability().await.is_none()).await;
    flows(&mut begun, 3).await;
    ends(begun).await;
}

#[tokio::test]
async fn an_event_source_that_comes_back_to_a_conversation_of_another_replica_is_told_to_wait() {
    let mut pair = Pair::start().await;
    ends(begin(&pair.b, &mut pair.upstream, "c").await).await;
    let begun = pair.begun().await;
    pair.redis.kill();
    let gateway = &pair.b;
    until("the outage to be noticed", async || gateway.metric("streamgate_store_up", &[]).await == 0.0).await;
    let back = Request::get("/v1/conversations/c/stream").header("accept", "text/event-stream");
    let mut source = gateway.send(&back.header("last-event-id", &format!("{}.1", begun.id))).await;
    assert_eq!(source.status, 200, "an error would end it for ever");
    assert!(source.text().await.starts_with("retry:"));
}

#[tokio::test]
async fn a_slow_redis_holds_up_no_reader_and_no_new_stream_for_long() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    pair.redis.say(&["DEBUG", "SLEEP", "3"]);
    flows(&mut begun, 10).await;
    let started = Instant::now();
    let mut fresh = begin(&pair.a, &mut pair.upstream, "d").await;
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    flows(&mut fresh, 5).await;
    flows(&mut begun, 10).await;
    let (b, id, fresh_id) = (&pair.b, begun.id.clone(), fresh.id.clone());
    until("both to be read elsewhere", async || {
        b.send(&look(&id)).await.status == 200 && b.send(&look(&fresh_id)).await.status == 200
    })
    .await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    for _ in 0..21 {
        elsewhere.next_event().await;
    }
    ends(begun).await;
    assert_eq!(elsewhere.events().await.1, Ending::Clean);
    ends(fresh).await;
}

#[tokio::test]
async fn a_full_redis_makes_streams_local_until_it_has_room() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    pair.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    flows(&mut begun, 10).await;
    pair.a.logged("the store does not answer").await;
    let mut fresh = begin(&pair.a, &mut pair.upstream, "d").await;
    assert_eq!(fresh.answer.header("stream-durability"), Some("local"));
    flows(&mut fresh, 5).await;
    pair.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let (b, id) = (&pair.b, fresh.id.clone());
    until("it to be readable elsewhere", async || b.send(&look(&id)).await.status == 200).await;
    ends(begun).await;
    ends(fresh).await;
}

#[tokio::test]
async fn a_turn_of_a_conversation_that_was_taken_in_an_outage_is_its_newest_afterwards() {
    let mut pair = Pair::start().await;
    let old = pair.begun().await;
    pair.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    pair.a.logged("the store does not answer").await;
    let new = begin(&pair.a, &mut pair.upstream, "c").await;
    assert_ne!(old.id, new.id);
    pair.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    for gateway in [&pair.a, &pair.b] {
        until("the newest turn to be known", async || {
            let newest = Request::get("/v1/conversations/c/stream");
            gateway.send(&newest).await.header("stream-id") == Some(new.id.as_str())
        })
        .await;
    }
}

#[tokio::test]
async fn a_read_only_redis_holds_up_nobody() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    pair.redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    flows(&mut begun, 10).await;
    pair.a.logged("the store does not answer").await;
    pair.redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    let (b, id) = (&pair.b, begun.id.clone());
    until("all of it to be there", async || {
        let mut answer = b.send(&look(&id)).await;
        answer.status == 200 && answer.json().await["text"].as_str().unwrap().contains("word9")
    })
    .await;
    ends(begun).await;
}

#[tokio::test]
async fn frames_that_redis_threw_away_are_gone_and_not_skipped() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    let id = begun.id.clone();
    ends(begun).await;
    let b = &pair.b;
    let key = format!("sg:{{{id}}}:meta");
    let redis = &pair.redis;
    until("the end to be stored", async || redis.ask(&["HGET", &key, "end"]) == "done").await;
    pair.redis.ask(&["DEL", &format!("sg:{{{id}}}:frames")]);
    assert_eq!(b.send(&read(&id)).await.status, 410);
}

#[tokio::test]
async fn what_somebody_else_wrote_in_our_place_harms_nobody() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let key = |name: &str| format!("sg:{{{}}}:{name}", begun.id);
    let (redis, frames) = (&pair.redis, key("frames"));
    until("the first frame to be stored", async || redis.ask(&["XLEN", &frames]) == "1").await;
    redis.ask(&["XADD", &frames, "1-1", "x", "junk"]);
    say(&mut begun.call, "Elbe").await;
    begun.answer.next_event().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    assert!(elsewhere.next_event().await.data.contains("Rhine"));
    assert!(elsewhere.next_event().await.data.contains("Elbe"));
    let strange = "strangestrangestrangestran";
    pair.redis.ask(&["SET", &format!("sg:{{{strange}}}:meta"), "junk"]);
    assert_eq!(pair.b.send(&look(strange)).await.status, 404);
    pair.redis.ask(&["DEL", &format!("sg:{{{strange}}}:meta")]);
    pair.redis.ask(&["HSET", &format!("sg:{{{strange}}}:meta"), "owner", "x", "last", "many"]);
    assert_eq!(pair.b.send(&look(strange)).await.status, 404);
    pair.b.metric_reaches("streamgate_store_errors_total", &[], 1.0).await;
    super::over(begun.call).await;
    assert_eq!(elsewhere.events().await.1, Ending::Clean);
}
