//! Limits that replicas share over Redis, and that each keeps by itself while Redis is away.

use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{SECRET, answer, chat_of, left, tokens_left};
use crate::support::redis::Redis;
use crate::support::{Client, Gateway, Setup, Upstream, until};

async fn replica(redis: &Redis, upstream: &Upstream, limits: &str) -> Gateway {
    let setup = Setup::new().journal("store = \"redis\"").journal(&format!("url = \"{}\"", redis.url()));
    let setup = setup.server("workers = 2").stream("commit_after = \"30s\"").key("alice", SECRET, limits);
    setup.backend("one", "openai", &upstream.url()).start().await
}

async fn pair(limits: &str) -> (Gateway, Gateway, Redis, Upstream) {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let (a, b) = (replica(&redis, &upstream, limits).await, replica(&redis, &upstream, limits).await);
    (a, b, redis, upstream)
}

/// How many of these are refused, when so many are let in.
async fn refused(clients: Vec<Client>, upstream: &mut Upstream, let_in: usize) -> usize {
    let mut kept = Vec::new();
    for _ in 0..let_in {
        kept.push(upstream.call().await);
    }
    let mut answers = JoinSet::new();
    for client in clients {
        answers.spawn(async move {
            // Whoever is let in waits for the backend, which says nothing.
            let answer = timeout(Duration::from_secs(4), client.answer()).await;
            answer.is_ok_and(|answer| answer.status == 429)
        });
    }
    let refused = answers.join_all().await.into_iter().filter(|refused| *refused).count();
    assert_eq!(upstream.calls_seen(), let_in);
    refused
}

#[tokio::test]
async fn two_replicas_that_race_stay_within_one_budget() {
    let (a, b, redis, mut upstream) = pair("requests_per_minute = 10\ntokens_per_day = 1199").await;
    let mut clients = Vec::new();
    for number in 0..200 {
        let gateway = if number % 2 == 0 { &a } else { &b };
        clients.push(gateway.ask(&chat_of(true, 100)).await);
    }
    assert_eq!(refused(clients, &mut upstream, 10).await, 190);
    let keys = redis.ask(&["KEYS", "sg:{budget:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    assert!(!keys.contains("alice") && redis.ask(&["TTL", &keys]).parse::<i64>().unwrap() > 0);
}

#[tokio::test]
async fn what_one_replica_settles_the_other_knows() {
    let (a, b, _redis, mut upstream) = pair("tokens_per_day = 10_000").await;
    let asked = a.ask(&chat_of(false, 9000)).await;
    let call = upstream.call().await;
    assert_eq!(b.send(&chat_of(false, 5000)).await.status, 429);
    answer(call, 500, 500).await;
    assert_eq!(asked.answer().await.status, 200);
    let again = async || {
        let mut told = pin!(b.ask(&chat_of(false, 5000)).await.answer());
        tokio::select! {
            call = upstream.call() => answer(call, 100, 100).await,
            refused = &mut told => {
                assert_eq!(refused.status, 429);
                return false;
            }
        }
        told.await.status == 200
    };
    until("the rest to be given back on both", again).await;
    until("the second to be settled", async || tokens_left(&b).await == 8800).await;
}

#[tokio::test]
async fn while_redis_is_away_every_replica_counts_by_itself_and_tells_it_later() {
    let (a, b, mut redis, mut upstream) = pair("tokens_per_day = 10_000").await;
    redis.kill();
    for gateway in [&a, &b] {
        until("the outage to be seen", async || gateway.metric("streamgate_store_up", &[]).await < 0.5).await;
    }
    for gateway in [&a, &b] {
        let asked = gateway.ask(&chat_of(false, 6000)).await;
        let call = upstream.call().await;
        assert_eq!(gateway.send(&chat_of(false, 6000)).await.status, 429);
        answer(call, 1000, 1000).await;
        assert_eq!(asked.answer().await.status, 200);
        until("its settlement", async || tokens_left(gateway).await == 8000).await;
    }
    redis.start_again().await;
    for gateway in [&a, &b] {
        until("the sum of both", async || {
            // It asks for more than there ever is, and the store says how the key stands.
            left(&gateway.send(&chat_of(false, 20_000)).await, "tokens") == 6000
        })
        .await;
    }
}

#[tokio::test]
async fn a_redis_that_was_never_there_fails_no_request() {
    let upstream = Upstream::start().await;
    let url = crate::support::redis::url(Redis::absent());
    let setup = Setup::new().journal("store = \"redis\"").journal(&format!("url = \"{url}\""));
    let setup =
        setup.key("alice", SECRET, "requests_per_minute = 2").backend("one", "openai", &upstream.url());
    let (gateway, mut upstream) = (setup.start().await, upstream);
    for remaining in [1, 0] {
        let asked = gateway.ask(&chat_of(false, 1)).await;
        answer(upstream.call().await, 1, 1).await;
        let told = asked.answer().await;
        assert_eq!((told.status, left(&told, "requests")), (200, remaining));
    }
    assert_eq!(gateway.send(&chat_of(false, 1)).await.status, 429);
}
