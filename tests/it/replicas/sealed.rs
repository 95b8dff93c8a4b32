//! What can be read in Redis, and who may talk to it.

use super::super::support::redis::Redis;
use super::super::support::until;
use super::{Pair, look, read, replica, say};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn what_is_sealed_cannot_be_read_in_a_dump() {
    let mut seen = Vec::new();
    for sealed in [false, true] {
        let seal = |setup: super::Setup| {
            let setup = setup.key("canary-caller", "sk-a", "");
            if !sealed {
                return setup;
            }
            setup.journal("seal_key = { env = \"SEAL\" }").environment("SEAL", KEY)
        };
        let mut pair = Pair::start_on(Redis::start().await, seal).await;
        let request = super::said("canary-talk").header("authorization", "Bearer sk-a");
        let asked = pair.a.ask(&request).await;
        let mut call = pair.upstream.call().await;
        call.stream().await;
        say(&mut call, "canary-word").await;
        let mut answer = asked.answer().await;
        let id = answer.header("stream-id").unwrap().to_owned();
        answer.next_event().await;
        let mut elsewhere = pair.b.send(&read(&id).header("authorization", "Bearer sk-a")).await;
        assert!(elsewhere.next_event().await.data.contains("canary-word"));
        let dump = pair.redis.dump();
        seen.push(["canary-word", "canary-talk", "canary-caller"].map(|canary| holds(&dump, canary)));
        assert!(holds(&dump, &id));
    }
    // Whose it is stands there by a digest of the key in either case.
    assert_eq!(seen, [[true, true, false], [false; 3]]);
}

#[tokio::test]
async fn another_seal_key_reads_nothing() {
    let seal = |setup: super::Setup| setup.journal("seal_key = { env = \"SEAL\" }").environment("SEAL", KEY);
    let mut pair = Pair::start_with(seal).await;
    let begun = pair.begun().await;
    let other = replica(&pair.redis.url())
        .journal("seal_key = { env = \"SEAL\" }")
        .environment("SEAL", &KEY.replace('0', "1"))
        .backend("one", "openai", &pair.upstream.url())
        .start()
        .await;
    assert_eq!(other.send(&look(&begun.id)).await.status, 404);
    assert!(other.log().contains("do all replicas have one `seal_key`?"));
}

#[tokio::test]
async fn the_password_of_redis_is_told_to_nobody() {
    let redis = Redis::start_with(&["--requirepass", "canary-password"]).await;
    let address = format!("redis://:canary-password@127.0.0.1:{}", redis.port());
    let upstream = super::Upstream::start().await;
    let gateway = replica(&address).backend("one", "openai", &upstream.url()).start().await;
    assert!(gateway.metric("streamgate_store_up", &[]).await > 0.0);
    let wrong = address.replace("canary-password", "canary-mistake");
    let refused = replica(&wrong).backend("one", "openai", &upstream.url()).start().await;
    refused.logged("the store does not answer").await;
    let (log, other) = (gateway.log(), refused.log());
    until("both to have logged", async || !other.is_empty()).await;
    assert!(!log.contains("canary") && !other.contains("canary"), "{log}{other}");
}
