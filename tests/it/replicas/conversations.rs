//! A busy conversation, wherever its streams run.

use std::time::Duration;

use futures_util::future::join_all;

use super::super::support::redis::Redis;
use super::super::support::{Heard, Request, prompt};
use super::{Pair, begin, over, replica, said, say};

fn queued() -> Request {
    said("c").header("x-on-conflict", "enqueue")
}

fn cancel(answer: &super::Answer) -> Request {
    Request::new("DELETE", &format!("/v1/streams/{}", answer.header("stream-id").unwrap()))
}

#[tokio::test]
async fn one_that_waits_waits_for_the_running_one_although_another_that_waited_was_cancelled() {
    let mut pair = Pair::start_with(|setup| setup.stream("commit_after = \"100ms\"")).await;
    let mut begun = pair.begun().await;
    let waiting = pair.b.send(&queued()).await;
    let mut last = pair.a.send(&queued()).await;
    assert_eq!(pair.a.send(&cancel(&waiting)).await.status, 200);
    begun.call.stays(Duration::from_millis(500)).await;
    assert_eq!(pair.upstream.calls_seen(), 1);
    over(begun.call).await;
    assert!(Heard::of(&mut begun.answer).await.succeeded());
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Main").await;
    over(call).await;
    assert_eq!(Heard::of(&mut last).await.text, "Main");
}

#[tokio::test]
async fn a_conversation_is_busy_although_the_one_that_waited_was_cancelled() {
    let mut pair = Pair::start_with(|setup| setup.stream("commit_after = \"100ms\"")).await;
    let mut begun = pair.begun().await;
    let waiting = pair.b.send(&queued()).await;
    assert_eq!(pair.a.send(&cancel(&waiting)).await.status, 200);
    let refused = pair.b.send(&said("c").header("x-on-conflict", "reject")).await;
    let running = format!("/v1/streams/{}", begun.id);
    assert_eq!((refused.status, refused.header("location")), (409, Some(running.as_str())));
    let _new = begin(&pair.b, &mut pair.upstream, "c").await;
    begun.call.closed().await;
}

#[tokio::test]
async fn of_requests_that_race_in_a_busy_conversation_one_is_answered() {
    let redis = Redis::start().await;
    let (a, b) = (replica(&redis.url()).demo().start().await, replica(&redis.url()).demo().start().await);
    let race = |model: &str, name: &str| {
        let request = Request::post("/v1/chat/completions", &prompt(model, true));
        request.header("x-conversation-id", name)
    };
    for round in 0..6 {
        let name = format!("c{round}");
        let _old = a.send(&race("demo:words=1000,pace=20ms", &name)).await;
        let new = race("demo:words=60,pace=20ms", &name); // not over before the others have come
        let heard = join_all([&a, &b, &a, &b].map(|gateway| async {
            let mut answer = gateway.send(&new).await;
            answer.status == 200 && Heard::of(&mut answer).await.succeeded()
        }));
        let answered = heard.await.into_iter().filter(|succeeded| *succeeded).count();
        assert_eq!(answered, 1, "round {round}");
    }
}

#[tokio::test]
async fn requests_with_one_key_that_race_on_one_replica_all_read_to_the_end() {
    let redis = Redis::start().await;
    let a = replica(&redis.url()).demo().start().await;
    for round in 0..12 {
        let asked = |words: &str| {
            let request = Request::post("/v1/chat/completions", &prompt(words, true));
            request.header("x-conversation-id", &format!("c{round}"))
        };
        // The name of a conversation that was there before is taken in more than one step.
        assert!(Heard::of(&mut a.send(&asked("demo:words=1,pace=1ms")).await).await.succeeded());
        let request = asked("demo:words=8,pace=20ms").header("idempotency-key", &format!("k{round}"));
        let heard = join_all([(); 4].map(|()| async {
            let mut answer = a.send(&request).await;
            let heard = tokio::time::timeout(Duration::from_secs(5), Heard::of(&mut answer)).await;
            heard.expect("an end").succeeded()
        }));
        assert_eq!(heard.await, [true; 4], "round {round}");
    }
}

#[tokio::test]
async fn an_interrupt_gives_none_that_waits_its_turn_before_it_ends() {
    let mut pair = Pair::start_with(|setup| setup.stream("commit_after = \"100ms\"")).await;
    for round in 0..5 {
        let name = format!("c{round}");
        let old = begin(&pair.a, &mut pair.upstream, &name).await;
        let mut waiting = Vec::new();
        for _ in 0..6 {
            waiting.push(pair.a.send(&said(&name).header("x-on-conflict", "enqueue")).await);
        }
        let new = begin(&pair.b, &mut pair.upstream, &name).await;
        for mut answer in waiting {
            assert_eq!(Heard::of(&mut answer).await.code(), Some("superseded"));
        }
        assert_eq!(pair.upstream.calls_seen(), 2 * (round + 1));
        over(new.call).await;
        drop(old);
    }
}
