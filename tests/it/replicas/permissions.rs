//! A Redis that permits less than the gateway needs is not used at all, and the log says what is missing.

use super::super::support::redis::Redis;
use super::super::support::{Gateway, Upstream, counts, until};
use super::{begin, look, replica, say};

/// Allows this user of Redis so much, and nothing else.
fn allow(redis: &Redis, rules: &str) {
    let all = ["ACL", "SETUSER", "gateway", "reset", "on", ">canary-password"];
    let said = redis.ask(&[&all[..], &rules.split(' ').collect::<Vec<_>>()].concat());
    assert_eq!(said, "OK");
}

const EVERYTHING: &str = "~* &* +@all";

async fn start(redis: &Redis, upstream: &Upstream) -> Gateway {
    let address = format!("redis://gateway:canary-password@127.0.0.1:{}", redis.port());
    replica(&address).backend("one", "openai", &upstream.url()).start().await
}

#[tokio::test]
async fn what_redis_does_not_permit_is_found_at_the_start_and_named() {
    let redis = Redis::start().await;
    let mut upstream = Upstream::start().await;
    for (rules, missing) in [
        ("~* &* +@all -xadd", "XADD"),
        ("~* &* +@all -publish", "PUBLISH"),
        ("~* resetchannels +@all", "PUBLISH"),
        ("~* &* +@all -subscribe", "SUBSCRIBE"),
        ("~* &* +@all -evalsha", "EVALSHA"),
        ("~* &* +@all -zadd", "ZADD"),
        ("~* &* +@all -hincrby", "HINCRBY"),
        ("~* &* +@all -info", "INFO"),
        ("~sg:{* ~sg:probe ~sg:secret &* +@all", "sg:key:"),
        ("~* &sg:replica:* +@all", "sg:{"),
    ] {
        allow(&redis, rules);
        let gateway = start(&redis, &upstream).await;
        gateway.logged("does not permit").await;
        counts(&gateway, "streamgate_store_up", &[], 0).await;
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("does not permit")).unwrap();
        assert!(line.contains(missing), "{rules}: {line}");
        assert!(!log.contains("canary"), "{log}");
        // It is as if there were no Redis, and says so.
        let begun = begin(&gateway, &mut upstream, "c").await;
        assert_eq!(begun.answer.header("stream-durability"), Some("local"), "{rules}");
        assert_eq!(gateway.log().matches("does not permit").count(), 1, "one line");
    }
}

#[tokio::test]
async fn what_is_permitted_later_is_used_then_and_what_is_taken_back_is_noticed() {
    let redis = Redis::start().await;
    let mut upstream = Upstream::start().await;
    allow(&redis, "~* &* +@all -xadd");
    let gateway = start(&redis, &upstream).await;
    let mut begun = begin(&gateway, &mut upstream, "c").await;
    allow(&redis, EVERYTHING);
    gateway.metric_reaches("streamgate_store_up", &[], 1.0).await;
    let other = replica(&redis.url()).backend("one", "openai", &upstream.url()).start().await;
    until("it to be readable elsewhere", async || other.send(&look(&begun.id)).await.status == 200).await;
    // A script that is stopped in its middle is an outage, and no stream that Redis refuses.
    redis.ask(&["ACL", "SETUSER", "gateway", "-xadd"]);
    say(&mut begun.call, "Elbe").await;
    gateway.logged("does not permit").await;
    until("it to be down", async || gateway.metric("streamgate_store_up", &[]).await == 0.0).await;
    assert!(!gateway.log().contains("refuses this stream"), "{}", gateway.log());
    allow(&redis, EVERYTHING);
    until("the rest to be there", async || {
        let mut answer = other.send(&look(&begun.id)).await;
        answer.status == 200 && answer.json().await["text"].to_string().contains("Elbe")
    })
    .await;
}

#[tokio::test]
async fn a_user_who_may_do_what_is_needed_and_no_more_is_enough() {
    let redis = Redis::start().await;
    let mut upstream = Upstream::start().await;
    allow(&redis, "~sg:* &sg:* +@all -@admin -@dangerous +info");
    let gateway = start(&redis, &upstream).await;
    assert!(gateway.metric("streamgate_store_up", &[]).await > 0.0, "{}", gateway.log());
    let begun = begin(&gateway, &mut upstream, "c").await;
    assert_eq!(begun.answer.header("stream-durability"), None);
}
