//! Fairness: keys take turns, however much one of them asks; classes have shares, and none starves.

use super::{asked_by, stands, user};
use crate::support::{Client, Gateway, Heard, Setup, Upstream};

/// One slot, and these keys; a key's secret is its name.
async fn gateway(keys: &[(&str, &str)]) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 2");
    let setup = keys.iter().fold(setup, |setup, (name, more)| setup.key(name, name, more));
    let limits = "max_concurrent = 1\nqueue = 500";
    (setup.backend_with("one", "openai", &upstream.url(), limits).start().await, upstream)
}

/// Lets the next `count` in, one after another, and tells who they were.
async fn let_in(upstream: &mut Upstream, count: usize) -> Vec<String> {
    let mut order = Vec::new();
    for _ in 0..count {
        let mut call = upstream.call().await;
        order.push(user(&call));
        call.say(&["Save"]).await;
        call.end().await;
    }
    order
}

#[tokio::test]
async fn a_key_that_asks_a_hundred_times_as_often_does_not_push_a_quiet_one_back() {
    let (gateway, mut upstream) = gateway(&[("noisy", ""), ("quiet", "")]).await;
    let mut noisy: Vec<Client> = vec![gateway.ask(&asked_by("noisy")).await];
    let mut held = upstream.call().await;
    let mut waits = Vec::new();
    for round in 0..5 {
        for _ in 0..if round == 0 { 100 } else { 20 } {
            noisy.push(gateway.ask(&asked_by("noisy")).await);
        }
        // Eleven are let in each round: every one that asks must stand in line before the next is.
        let length = f64::from(100 + 10 * round);
        gateway.metric_reaches("streamgate_queue_length", &[], length).await;
        let quiet = gateway.ask(&asked_by("quiet")).await;
        gateway.metric_reaches("streamgate_queue_length", &[], length + 1.0).await;
        held.say(&["Save"]).await;
        held.end().await;
        let order = let_in(&mut upstream, 10).await;
        waits.push(order.iter().position(|who| who == "quiet").expect("the quiet key among ten"));
        assert!(Heard::of(&mut quiet.answer().await).await.succeeded());
        held = upstream.call().await;
        assert_eq!(user(&held), "noisy");
    }
    // One turn of the noisy key at most, before each of its own.
    assert!(waits.iter().all(|wait| *wait <= 1), "{waits:?}");
}

#[tokio::test]
async fn a_key_of_a_higher_class_is_let_in_more_often_and_the_lowest_does_not_starve() {
    let keys = [("low", "priority = \"low\""), ("normal", ""), ("high", "priority = \"high\"")];
    let (gateway, mut upstream) = gateway(&keys).await;
    let _held = gateway.ask(&asked_by("held-by-low").header("authorization", "Bearer low")).await;
    let mut call = upstream.call().await;
    let mut asked = Vec::new();
    for _ in 0..30 {
        for (who, _) in keys {
            asked.push(gateway.ask(&asked_by(who)).await);
        }
    }
    gateway.metric_reaches("streamgate_queue_length", &[], 90.0).await;
    call.say(&["Save"]).await;
    call.end().await;
    let order = let_in(&mut upstream, 21).await;
    let of = |who: &str| order.iter().filter(|known| *known == who).count();
    assert_eq!((of("high"), of("normal"), of("low")), (16, 4, 1), "{order:?}");
}

#[tokio::test]
async fn a_slot_is_kept_for_a_key_that_holds_none_and_asks_now_and_then() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("noisy", "noisy", "").key("quiet", "quiet", "");
    let limits = "max_concurrent = 3\nreserve = 1\nqueue = 500";
    let gateway = setup.backend_with("one", "openai", &upstream.url(), limits).start().await;
    let (mut noisy, mut held) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let quiet = gateway.ask(&asked_by("quiet")).await;
        let mut call = upstream.call().await;
        assert_eq!(user(&call), "quiet", "round {round}");
        call.say(&["Save"]).await;
        call.end().await;
        assert!(Heard::of(&mut quiet.answer().await).await.succeeded());
        if round == 0 {
            for _ in 0..2 {
                noisy.push(gateway.ask(&asked_by("noisy")).await);
                held.push(upstream.call().await);
            }
            for _ in 0..5 {
                noisy.push(gateway.ask(&asked_by("noisy")).await);
            }
            gateway.metric_reaches("streamgate_queue_length", &[], 5.0).await;
        }
    }
    assert_eq!(upstream.calls_seen(), 5);
}

#[tokio::test]
async fn the_requests_of_one_key_are_let_in_as_they_came() {
    let (gateway, mut upstream) = gateway(&[("a", "")]).await;
    let _held = gateway.ask(&asked_by("a")).await;
    let mut call = upstream.call().await;
    let mut asked = Vec::new();
    for number in 1..=5 {
        let request = asked_by(&number.to_string()).header("authorization", "Bearer a");
        asked.push(stands(&gateway, &request, number).await);
    }
    call.say(&["Save"]).await;
    call.end().await;
    assert_eq!(let_in(&mut upstream, 5).await, ["1", "2", "3", "4", "5"]);
}
