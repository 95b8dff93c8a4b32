//! Probes: a backend's going and coming is seen without any request.

use std::time::Duration;

use super::{is, succeeds};
use crate::support::Manner::Well;
use crate::support::{Request, Server, Setup, Upstream, deaf_address, refusing_address, until};

fn quick() -> Setup {
    Setup::new().pool("probe_interval = \"50ms\"").pool("probe_timeout = \"200ms\"")
}

#[tokio::test]
async fn a_backend_is_seen_to_come_and_go_without_any_request() {
    let (socket, url) = refusing_address();
    let gateway = quick().backend("one", "openai", &url).start().await;
    until("it to be down", async || is(&gateway, "one", "down").await).await;
    let request = Request::get("/events?only=backends").header("accept", "text/event-stream");
    let mut events = gateway.send(&request).await;
    assert_eq!(events.next_event().await.json()["backends"][0]["state"], "down");
    let upstream = Upstream::at(socket);
    assert_eq!(events.next_event().await.json()["type"], "BackendUp");
    assert!(is(&gateway, "one", "up").await);
    drop(upstream);
    assert_eq!(events.next_event().await.json()["type"], "BackendDown");
    assert!(is(&gateway, "one", "down").await);
    assert!(gateway.metric("streamgate_backend_probes_total", &["outcome=\"failed\""]).await >= 3.0);
}

#[tokio::test]
async fn one_that_is_down_is_passed_over_until_it_is_back() {
    let (socket, url) = refusing_address();
    let second = Server::start(Well).await;
    let setup = quick().backend("first", "openai", &url).backend("second", "openai", &second.url());
    let gateway = setup.start().await;
    until("the first to be down", async || is(&gateway, "first", "down").await).await;
    assert!(succeeds(&gateway).await);
    let attempts = gateway.metric("streamgate_upstream_attempts_total", &["backend=\"first\""]).await;
    assert!(attempts < 0.5, "it was not even tried");
    let first = Server::of(Upstream::at(socket), Well);
    until("the first to be up", async || is(&gateway, "first", "up").await).await;
    assert!(succeeds(&gateway).await);
    assert_eq!((first.seen(), second.seen()), (1, 1));
}

#[tokio::test]
async fn one_that_is_down_is_asked_all_the_same_if_there_is_no_other() {
    let (socket, url) = refusing_address();
    let setup = Setup::new().pool("probe_interval = \"1h\"").backend("one", "openai", &url);
    let gateway = setup.start().await;
    until("it to be down", async || is(&gateway, "one", "down").await).await;
    let _server = Server::of(Upstream::at(socket), Well);
    assert!(succeeds(&gateway).await);
}

#[tokio::test]
async fn every_api_is_probed_for_something_that_costs_nothing() {
    let apis = [("ollama", "/api/version"), ("openai", "/v1/models"), ("anthropic", "/v1/models?limit=1")];
    for (api, path) in apis {
        let upstream = Upstream::start().await;
        let _gateway = quick().backend("one", api, &upstream.url()).start().await;
        until(path, async || upstream.gets_seen(path) >= 2).await;
        assert_eq!(upstream.calls_seen(), 0);
    }
}

#[tokio::test]
async fn a_backend_may_have_a_probe_of_its_own_or_none() {
    let (own, none) = (Upstream::start().await, Upstream::start().await);
    let setup = quick().backend_with("own", "openai", &own.url(), "probe = \"/health\"\n");
    let gateway = setup.backend_with("none", "openai", &none.url(), "probe = \"none\"\n").start().await;
    until("the own probe", async || own.gets_seen("/health") >= 3).await;
    assert!(is(&gateway, "none", "up").await);
    let probes = gateway.metric("streamgate_backend_probes_total", &["backend=\"none\""]).await;
    assert!(probes < 0.5);
}

#[tokio::test]
async fn a_probe_that_is_answered_with_a_5xx_is_a_failed_one_and_a_401_is_not() {
    let (loading, locked) = (Upstream::start().await, Upstream::start().await);
    loading.status("/v1/models", 503);
    locked.status("/v1/models", 401);
    let setup = quick().backend("loading", "openai", &loading.url());
    let gateway = setup.backend("locked", "openai", &locked.url()).start().await;
    until("the first to be down", async || is(&gateway, "loading", "down").await).await;
    until("the second to be probed", async || locked.gets_seen("/v1/models") >= 3).await;
    assert!(is(&gateway, "locked", "up").await);
    loading.status("/v1/models", 200);
    until("the first to be up", async || is(&gateway, "loading", "up").await).await;
}

#[tokio::test]
async fn a_probe_that_hangs_is_a_failed_one() {
    let (_kept, url) = deaf_address();
    let gateway = quick().backend("one", "openai", &url).start().await;
    until("it to be down", async || is(&gateway, "one", "down").await).await;
    let second = tokio::time::timeout(Duration::from_secs(5), gateway.get("/healthz")).await;
    assert_eq!(second.unwrap().status, 200);
}
