//! Who has which model: asked in the background, and heeded where several backends serve every name.

use serde_json::{Value, json};

use crate::support::Manner::Well;
use crate::support::{Gateway, Heard, Server, Setup, Upstream, prompt, until};

fn models(names: &[&str]) -> Value {
    let data: Vec<Value> = names.iter().map(|id| json!({"id": id, "object": "model"})).collect();
    json!({"object": "list", "data": data})
}

/// A gateway that has seen the models of these backends.
async fn knowing(upstreams: Vec<Upstream>, balance: &str) -> (Gateway, Vec<Server>) {
    let names = ["a", "b", "c"];
    let mut setup = Setup::new().pool("probe_interval = \"50ms\"");
    for (name, upstream) in names.iter().zip(&upstreams) {
        setup = setup.backend(name, "openai", &upstream.url());
    }
    let names = &names[..upstreams.len()];
    let route = format!("model = \"*\"\nbackends = {names:?}\nbalance = {balance:?}");
    let gateway = setup.route(&route).start().await;
    for upstream in &upstreams {
        // A probe, the list, and the probe after it.
        until("the list to be read", async || upstream.gets_seen("/v1/models") >= 3).await;
    }
    (gateway, upstreams.into_iter().map(|upstream| Server::of(upstream, Well)).collect())
}

#[tokio::test]
async fn a_route_for_every_model_leads_to_whoever_has_it() {
    for balance in ["ordered", "weighted", "least_loaded", "conversation"] {
        let (first, second) = (Upstream::start().await, Upstream::start().await);
        first.page("/v1/models", &models(&["river"]));
        second.page("/v1/models", &models(&["lake"]));
        let (gateway, servers) = knowing(vec![first, second], balance).await;
        for (model, at) in [("river", 0), ("lake", 1)] {
            let before = servers[at].seen();
            for _ in 0..10 {
                let mut answer = gateway.post("/v1/chat/completions", &prompt(model, true)).await;
                assert!(Heard::of(&mut answer).await.succeeded());
            }
            assert_eq!(servers[at].seen() - before, 10, "{balance} {model}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_does_not_tell_comes_before_an_ollama_that_has_it_not() {
    let (without, silent) = (Upstream::start().await, Upstream::start().await);
    without.page("/api/tags", &json!({"models": [{"model": "river:latest"}]}));
    let setup = Setup::new().pool("probe_interval = \"50ms\"").backend("a", "ollama", &without.url());
    let gateway = setup.backend("b", "openai", &silent.url()).start().await;
    until("the list to be read", async || without.gets_seen("/api/version") >= 2).await;
    let servers = [without, silent].map(|upstream| Server::of(upstream, Well));
    for (model, seen) in [("lake", [0, 1]), ("river", [1, 1])] {
        let mut answer = gateway.post("/v1/chat/completions", &prompt(model, true)).await;
        assert!(Heard::of(&mut answer).await.succeeded());
        assert_eq!([servers[0].seen(), servers[1].seen()], seen, "{model}");
    }
}

#[tokio::test]
async fn a_vendor_that_does_not_list_a_name_keeps_its_place() {
    let (vendor, silent) = (Upstream::start().await, Upstream::start().await);
    vendor.page("/v1/models", &models(&["river-2026-10"]));
    let (gateway, servers) = knowing(vec![vendor, silent], "ordered").await;
    let mut answer = gateway.post("/v1/chat/completions", &prompt("river-latest", true)).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    assert_eq!((servers[0].seen(), servers[1].seen()), (1, 0));
}

#[tokio::test]
async fn a_model_that_nobody_lists_is_asked_for_in_order() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    first.page("/v1/models", &models(&["river"]));
    second.page("/v1/models", &models(&["river"]));
    let (gateway, servers) = knowing(vec![first, second], "ordered").await;
    let mut answer = gateway.post("/v1/chat/completions", &prompt("lake", true)).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    assert_eq!((servers[0].seen(), servers[1].seen()), (1, 0));
}
