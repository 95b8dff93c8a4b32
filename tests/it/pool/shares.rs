//! Who gets how much: by weight, by speed, by errors.

use std::time::Duration;

use super::{ask, seen, servers, setup};
use crate::support::Manner::{After, Half, Status, Well};
use crate::support::{Setup, Upstream, chat, until};

const LOADED: &str = "balance = \"least_loaded\"";

#[tokio::test]
async fn weights_one_to_three_are_shares_one_to_three() {
    let servers = servers(&[Well, Well]).await;
    let setup =
        Setup::new().backend("a", "openai", &servers[0].url()).backend("b", "openai", &servers[1].url());
    let route = "model = \"*\"\nbackends = [{ name = \"a\", weight = 1 }, { name = \"b\", weight = 3 }]";
    let gateway = setup.route(route).start().await;
    assert_eq!(ask(&gateway, 400, 4).await, 400);
    let seen = seen(&servers);
    // Five standard deviations of a fair draw to each side of a hundred.
    assert!(seen[0] + seen[1] == 400 && (57..=143).contains(&seen[0]), "{seen:?}");
}

#[tokio::test]
async fn without_weights_the_first_of_the_route_serves() {
    let servers = servers(&[Well, Well]).await;
    let gateway = setup(&servers, "").start().await;
    assert_eq!(ask(&gateway, 20, 4).await, 20);
    assert_eq!(seen(&servers), [20, 0]);
}

#[tokio::test]
async fn one_that_fails_half_of_its_requests_is_hardly_felt() {
    for balance in ["least_loaded", "weighted", "ordered", "conversation"] {
        let servers = servers(&[Half, Well, Well]).await;
        let gateway = setup(&servers, &format!("balance = {balance:?}")).start().await;
        let succeeded = ask(&gateway, 600, 8).await;
        assert!(succeeded >= 594, "{balance}: {succeeded} of 600");
    }
}

#[tokio::test]
async fn one_that_fails_at_once_does_not_attract_load() {
    // The others take their time, so that the one that fails always seems to be idle.
    let slow = After(Duration::from_millis(20));
    let servers = servers(&[Status(500), slow, slow]).await;
    let gateway = setup(&servers, LOADED).start().await;
    assert_eq!(ask(&gateway, 1000, 8).await, 1000);
    let seen = seen(&servers);
    assert!(seen[0] < 50, "{seen:?}");
}

#[tokio::test]
async fn one_that_refuses_the_key_at_once_does_not_attract_load_either() {
    let servers = servers(&[Status(401), After(Duration::from_millis(20))]).await;
    let gateway = setup(&servers, LOADED).start().await;
    let succeeded = ask(&gateway, 200, 4).await;
    let seen = seen(&servers);
    assert!(seen[0] < 20 && succeeded >= 180, "{seen:?}");
}

#[tokio::test]
async fn a_slow_one_gets_less_than_a_fast_one() {
    let servers = servers(&[After(Duration::from_millis(200)), After(Duration::from_millis(10))]).await;
    let gateway = setup(&servers, LOADED).start().await;
    assert_eq!(ask(&gateway, 300, 6).await, 300);
    let seen = seen(&servers);
    assert!(seen[0] * 4 < seen[1], "{seen:?}");
}

#[tokio::test]
async fn whoever_has_a_stream_under_way_is_busy_until_its_end() {
    let (mut one, mut other) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend("one", "openai", &one.url()).backend("other", "openai", &other.url());
    let route = format!("model = \"*\"\nbackends = [\"one\", \"other\"]\n{LOADED}");
    let gateway = setup.route(&route).start().await;
    let _first = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let (mut first, idle) = tokio::select! {
        call = one.call() => (call, &mut other),
        call = other.call() => (call, &mut one),
    };
    first.say(&["Dou"]).await;
    gateway.metric_reaches("streamgate_backend_outstanding", &[], 1.0).await;
    for _ in 0..5 {
        let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
        let mut call = idle.call().await;
        call.say(&["Rhine"]).await;
        call.end().await;
        drop(asked.answer().await);
        until("the second stream to be over", async || {
            gateway.metric("streamgate_backend_outstanding", &[]).await < 1.5
        })
        .await;
    }
    first.end().await;
}
