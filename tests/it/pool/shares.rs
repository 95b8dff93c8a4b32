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
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    let outstanding = async || gateway.metric("streamgate_backend_outstanding", &["backend=\"one\""]).await;
    let mut streams = Vec::new();
    for number in 1..=3 {
        let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
        let mut call = upstream.call().await;
        assert!((outstanding().await - f64::from(number)).abs() < 0.1, "while content is waited for");
        call.say(&["Dou"]).await;
        let mut answer = asked.answer().await;
        answer.next_event().await;
        assert!((outstanding().await - f64::from(number)).abs() < 0.1, "while it flows");
        streams.push((answer, call));
    }
    let (answer, call) = streams.pop().unwrap();
    call.end().await;
    until("one to be over", async || outstanding().await < 2.1).await;
    drop(answer);
    let (answer, call) = streams.pop().unwrap();
    call.cut().await;
    until("two to be over", async || outstanding().await < 1.1).await;
    drop(answer);
    drop(streams); // the client leaves
    until("all to be over", async || outstanding().await < 0.1).await;
}
