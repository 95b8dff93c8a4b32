//! What can be read in Redis, and who may talk to it.

use super::super::support::redis::Redis;
use super::super::support::{Ending, until};
use super::{Begun, Pair, look, over, read, replica, say};

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

/// Two replicas with a seal key, and callers.
async fn start_sealed() -> Pair {
    let seal = |setup: super::Setup| {
        let setup = setup.key("alice", "sk-a", "").key("bob", "sk-b", "");
        setup.journal("seal_key = { env = \"SEAL\" }").environment("SEAL", KEY)
    };
    Pair::start_with(seal).await
}

fn as_key(request: super::Request, key: &str) -> super::Request {
    request.header("authorization", &format!("Bearer {key}"))
}

/// A stream of alice, with one word through.
async fn alices(pair: &mut Pair, conversation: &str) -> Begun {
    let asked = pair.a.ask(&as_key(super::said(conversation), "sk-a")).await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let mut answer = asked.answer().await;
    let id = answer.header("stream-id").unwrap().to_owned();
    let first = answer.next_event().await;
    Begun { answer, call, id, first }
}

/// The same, with more words and its end.
async fn finished(pair: &mut Pair, conversation: &str) -> String {
    let mut begun = alices(pair, conversation).await;
    for word in ["Elbe", "Oder"] {
        say(&mut begun.call, word).await;
        begun.answer.next_event().await;
    }
    over(begun.call).await;
    assert_eq!(begun.answer.events().await.1, Ending::Clean);
    let meta = meta(&begun.id);
    until("the end to be stored", async || pair.redis.ask(&["HGET", &meta, "end"]) == "done").await;
    begun.id
}

fn meta(id: &str) -> String {
    format!("sg:{{{id}}}:meta")
}

#[tokio::test]
async fn whose_a_stream_is_does_not_stand_where_it_can_be_changed() {
    let mut pair = start_sealed().await;
    let (mine, his) = (finished(&mut pair, "c").await, alices(&mut pair, "d").await.id);
    let asked = pair.a.ask(&as_key(super::said("e"), "sk-b")).await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Weser").await;
    let bobs = asked.answer().await.header("stream-id").unwrap().to_owned();
    let until_owned = async |id: &str| {
        until("it to be stored", async || !pair.redis.ask(&["HGET", &meta(id), "owner"]).is_empty()).await;
    };
    until_owned(&bobs).await;
    let copy = "return redis.call('HSET', KEYS[1], 'owner', redis.call('HGET', KEYS[2], 'owner'))";
    for id in [&mine, &his] {
        // Bob's own, as it is sealed with his stream, and none at all.
        for change in [&["EVAL", copy, "2", &meta(id), &meta(&bobs)][..], &["HSET", &meta(id), "owner", "0"]]
        {
            pair.redis.ask(change);
            for _ in 0..2 {
                assert_eq!(pair.b.send(&as_key(read(id), "sk-b")).await.status, 404);
                assert_eq!(pair.b.send(&as_key(look(id), "sk-b")).await.status, 404);
            }
        }
    }
    // What is thrown away is gone for its owner, and never was there for others.
    pair.redis.ask(&["HSET", &meta(&mine), "deleted", "1"]);
    assert_eq!(pair.b.send(&as_key(look(&mine), "sk-b")).await.status, 404);
}

#[tokio::test]
async fn a_stream_that_is_cut_in_redis_has_no_good_end() {
    let mut pair = start_sealed().await;
    let cuts: [&[&[&str]]; 5] = [
        // The last frames are taken away, and it is said that there were none.
        &[&["XDEL", "frames", "4-0", "5-0"], &["HSET", "meta", "last", "3"]],
        &[&["XTRIM", "frames", "MINID", "3-0"], &["HSET", "meta", "last", "6"]],
        // There is no end, or it is none of ours.
        &[&["HDEL", "meta", "seal"]],
        &[&["HSET", "meta", "seal", "1nonsense"]],
        // It never ended.
        &[&["HDEL", "meta", "end"], &["XDEL", "frames", "4-0", "5-0"], &["HSET", "meta", "last", "3"]],
    ];
    for (number, cut) in cuts.into_iter().enumerate() {
        let id = finished(&mut pair, &format!("c{number}")).await;
        for words in cut {
            let key = format!("sg:{{{id}}}:{}", words[1]);
            pair.redis.ask(&[&[words[0], key.as_str()], &words[2..]].concat());
        }
        let answer = pair.b.ask(&as_key(read(&id), "sk-a")).await.answer_or_close().await;
        if let Some(mut answer) = answer.filter(|answer| answer.status != 410) {
            let (events, ending) = answer.events().await;
            assert_eq!(ending, Ending::Aborted, "cut {number}: {events:?}");
        }
        let state = pair.b.send(&as_key(look(&id), "sk-a")).await.json().await;
        assert_ne!(state["state"], "completed", "cut {number}: {state}");
        assert!(state["state"] == "failed" || !state["error"].is_null(), "cut {number}: {state}");
    }
}

#[tokio::test]
async fn what_stands_beside_the_sealed_end_is_not_told() {
    let mut pair = start_sealed().await;
    let id = finished(&mut pair, "c").await;
    pair.redis.ask(&["HSET", &meta(&id), "end", "failed", "reason", "<script>"]);
    let (events, ending) = pair.b.send(&as_key(read(&id), "sk-a")).await.events().await;
    assert_eq!((ending, events.last().unwrap().data.as_str()), (Ending::Clean, "[DONE]"));
    assert!(!pair.b.send(&as_key(look(&id), "sk-a")).await.text().await.contains("<script>"));
}

#[tokio::test]
async fn a_stream_that_runs_is_ended_well_by_its_writer_alone() {
    let mut pair = start_sealed().await;
    let ended = finished(&mut pair, "c").await;
    let begun = alices(&mut pair, "d").await;
    let mut elsewhere = pair.b.send(&as_key(read(&begun.id), "sk-a")).await;
    elsewhere.next_event().await;
    // The end of another stream, in the place of this one's.
    let seal = "redis.call('HSET', KEYS[1], 'end', 'done', 'reason', '', 'last', 1,
        'seal', redis.call('HGET', KEYS[2], 'seal'))
        redis.call('PUBLISH', ARGV[1], '')";
    let channel = format!("sg:{{{}}}", begun.id);
    pair.redis.ask(&["EVAL", seal, "2", &meta(&begun.id), &meta(&ended), &channel]);
    assert_eq!(elsewhere.events().await.1, Ending::Aborted);
}

#[tokio::test]
async fn frames_of_another_stream_or_of_another_place_are_not_read() {
    let mut pair = start_sealed().await;
    let (one, two) = (finished(&mut pair, "c").await, finished(&mut pair, "d").await);
    // The frames of one under the name of the other; and two frames that have changed places.
    let swap = "
        local frames = redis.call('XRANGE', KEYS[1], '-', '+')
        redis.call('DEL', KEYS[2])
        for i = 1, #frames do
            local from = ARGV[1] == 'turn' and (i == 2 and 3 or i == 3 and 2) or i
            redis.call('XADD', KEYS[2], i .. '-0', 'f', frames[from][2][2])
        end";
    let frames = |id: &str| format!("sg:{{{id}}}:frames");
    pair.redis.ask(&["EVAL", swap, "2", &frames(&one), &frames(&two), "all"]);
    assert!(pair.b.send(&as_key(read(&two), "sk-a")).await.status >= 400);
    pair.redis.ask(&["EVAL", swap, "2", &frames(&one), &frames(&one), "turn"]);
    let answer = pair.b.ask(&as_key(read(&one), "sk-a")).await.answer_or_close().await;
    if let Some(mut answer) = answer.filter(|answer| answer.status == 200) {
        let (events, ending) = answer.events().await;
        let words: String = events.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(ending, Ending::Aborted);
        assert!(!words.contains("Elbe") && !words.contains("Oder"), "{words}");
    }
}

#[tokio::test]
async fn a_channel_is_ended_by_its_callers_alone() {
    let pair = start_sealed().await;
    let subscribe = super::Request::get("/v1/channels/job").header("accept", "text/event-stream");
    let mut reader = pair.b.send(&as_key(subscribe, "sk-a")).await;
    reader.next_event().await;
    let keys = pair.redis.ask(&["KEYS", "sg:{*}:meta"]);
    let channel = keys.trim_end_matches(":meta");
    pair.redis.ask(&["HSET", &keys, "end", "done", "reason", ""]);
    pair.redis.ask(&["PUBLISH", channel, ""]);
    let (events, _) = reader.events().await;
    assert!(events.iter().any(|event| event.name.as_deref() == Some("lost")), "{events:?}");
}
