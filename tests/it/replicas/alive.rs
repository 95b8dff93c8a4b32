//! A stream whose writer lives is told as lost to nobody, whatever Redis forgets, and however late it is told again.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::super::support::redis::Redis;
use super::super::support::{Answer, Ending, Request, openai, until};
use super::{Begun, Pair, begin, id, look, over, read, replica, say};

/// Longer than it takes to be sure of the death of a replica: the lease of 2 s, and the time for Redis to be told anew.
const LONG: Duration = Duration::from_secs(6);

/// A stream on A that is read on B, too.
struct Followed {
    begun: Begun,
    elsewhere: Answer,
    said: usize,
}

async fn follow(pair: &mut Pair, conversation: &str) -> Followed {
    let begun = begin(&pair.a, &mut pair.upstream, conversation).await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    Followed { begun, elsewhere, said: 0 }
}

impl Followed {
    async fn says(&mut self) {
        say(&mut self.begun.call, &format!("word{} ", self.said)).await;
        self.said += 1;
    }

    /// Everybody who reads it on B, then and later, reads all of it, and a good end.
    async fn ends_whole_on(mut self, pair: &Pair) {
        over(self.begun.call).await;
        let (events, ending) = self.elsewhere.events().await;
        let all = [vec![id(&self.begun.first)], events.iter().map(id).collect()].concat();
        let numbers = (1..=all.len()).map(|number| Some(format!("{}.{number}", self.begun.id)));
        assert_eq!(all, numbers.collect::<Vec<_>>());
        let text: String = events.iter().map(|event| event.data.as_str()).collect();
        for number in 0..self.said {
            assert!(text.contains(&format!("word{number} ")), "word{number} is missing");
        }
        assert!(ending == Ending::Clean && text.ends_with("[DONE]"), "{ending:?}: {text}");
        let (again, ending) = pair.b.send(&read(&self.begun.id)).await.events().await;
        assert_eq!((again.iter().map(id).collect::<Vec<_>>(), ending), (all, Ending::Clean));
    }
}

/// Redis dies for so long and comes back empty, while these streams run.
async fn outlive(pair: &mut Pair, streams: &mut [Followed], away: Duration) {
    pair.redis.kill();
    for stream in streams.iter_mut() {
        stream.says().await;
    }
    sleep(away).await;
    pair.redis.start_again().await;
    for _ in 0..12 {
        sleep(LONG / 12).await;
        for stream in streams.iter_mut() {
            stream.says().await;
        }
    }
}

/// A response that was made from so many bytes, which are kept with it.
async fn keep_large(pair: &mut Pair, bytes: usize) -> String {
    let input = "x".repeat(bytes);
    let request = Request::post("/v1/responses", &json!({ "model": "m", "input": input, "stream": true }));
    let asked = pair.a.ask(&request).await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    call.sse(&openai::text("read")).await;
    over(call).await;
    let mut answer = asked.answer().await;
    let id = answer.header("stream-id").expect("a stream with an id").to_owned();
    assert_eq!(answer.events().await.1, Ending::Clean);
    id
}

#[tokio::test]
async fn readers_outlive_an_empty_redis_that_was_away_for_longer_than_a_lease() {
    let mut pair = Pair::start().await;
    let mut streams = [follow(&mut pair, "c").await];
    outlive(&mut pair, &mut streams, Duration::from_millis(2400)).await;
    for stream in streams {
        stream.ends_whole_on(&pair).await;
    }
}

#[tokio::test]
async fn readers_of_many_streams_outlive_an_empty_redis_that_is_told_of_large_ones_too() {
    let mut pair = Pair::start().await;
    let mut large = Vec::new();
    for _ in 0..3 {
        large.push(keep_large(&mut pair, 6 << 20).await);
    }
    let mut streams =
        [follow(&mut pair, "c").await, follow(&mut pair, "d").await, follow(&mut pair, "e").await];
    outlive(&mut pair, &mut streams, Duration::from_millis(1500)).await;
    for stream in streams {
        stream.ends_whole_on(&pair).await;
    }
    for id in large {
        until("the large ones to be there", async || pair.b.send(&look(&id)).await.status == 200).await;
    }
}

#[tokio::test]
async fn readers_outlive_a_writer_that_is_stopped_for_less_than_a_lease_while_redis_comes_back_empty() {
    let mut pair = Pair::start().await;
    let mut streams = [follow(&mut pair, "c").await];
    pair.redis.kill();
    sleep(Duration::from_millis(2100)).await;
    pair.a.freeze().await;
    pair.redis.start_again().await;
    sleep(Duration::from_millis(1600)).await;
    pair.a.signal("CONT");
    for stream in &mut streams {
        stream.says().await;
    }
    for stream in streams {
        stream.ends_whole_on(&pair).await;
    }
}

#[tokio::test]
async fn readers_outlive_a_redis_that_answers_late() {
    let mut pair = Pair::start().await;
    let mut streams = [follow(&mut pair, "c").await];
    for nap in ["0.7", "2.5", "0.9", "3"] {
        pair.redis.ask(&["DEBUG", "SLEEP", nap]);
        for stream in &mut streams {
            stream.says().await;
        }
    }
    for stream in streams {
        stream.ends_whole_on(&pair).await;
    }
}

#[tokio::test]
async fn a_stream_outlives_the_loss_of_any_of_its_keys() {
    let mut pair = Pair::start().await;
    let mut stream = follow(&mut pair, "c").await;
    let pattern = format!("sg:{{{}}}:*", stream.begun.id);
    let keys = pair.redis.ask(&["KEYS", &pattern]);
    assert!(keys.lines().count() > 2, "{keys}");
    for key in keys.lines() {
        pair.redis.ask(&["DEL", key]);
        stream.says().await;
        let word = format!("word{} ", stream.said - 1);
        while !stream.elsewhere.next_event().await.data.contains(&word) {}
        // Who comes now reads all of it, on a replica that did not know it before.
        let other = replica(&pair.redis.url()).backend("one", "openai", &pair.upstream.url()).start().await;
        until(&format!("{key} to be there again"), async || {
            let mut answer = other.send(&look(&stream.begun.id)).await;
            answer.status == 200 && {
                let text = answer.json().await["text"].to_string();
                text.contains("Rhine") && text.contains(&word)
            }
        })
        .await;
    }
    over(stream.begun.call).await;
    assert_eq!(stream.elsewhere.events().await.1, Ending::Clean);
}

#[tokio::test]
async fn what_redis_has_not_been_told_again_yet_is_not_denied() {
    let mut pair = Pair::start_on(Redis::start().await, |setup| setup).await;
    let begun = pair.begun().await;
    let gateway = &pair.b;
    pair.redis.kill();
    until("the outage to be noticed", async || gateway.metric("streamgate_store_up", &[]).await == 0.0).await;
    pair.a.freeze().await;
    pair.redis.start_again().await;
    gateway.metric_reaches("streamgate_store_up", &[], 1.0).await;
    assert_eq!(gateway.send(&look(&begun.id)).await.status, 503);
    pair.a.signal("CONT");
    until("it to be told again", async || gateway.send(&look(&begun.id)).await.status == 200).await;
}
