//! Every route by every scope and limit: what is asked of a request stands in the table of routes, and here once more.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Setup};

const SCOPES: [&str; 4] = ["inference", "models", "publish", "manage"];

/// A route, and what is asked for it.
struct Route {
    method: &'static str,
    path: &'static str,
    /// One of these. None: no key is needed.
    scopes: &'static [&'static str],
    /// It is one of the requests of its key's minute.
    counted: bool,
    /// What address opens it without a key.
    signed: Option<&'static str>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    scopes: &'static [&'static str],
    counted: bool,
) -> Route {
    Route { method, path, scopes, counted, signed: None }
}

const fn signed(
    method: &'static str,
    path: &'static str,
    scopes: &'static [&'static str],
    address: &'static str,
) -> Route {
    Route { signed: Some(address), ..route(method, path, scopes, matches!(method.as_bytes(), b"GET")) }
}

const ASK: &[&str] = &["inference"];
const LIST: &[&str] = &["models"];
const PUBLISH: &[&str] = &["publish"];
const MANAGE: &[&str] = &["manage"];
const READ_CHANNEL: &[&str] = &["inference", "publish"];

const ROUTES: &[Route] = &[
    route("POST", "/v1/chat/completions", ASK, true),
    route("POST", "/v1/completions", ASK, true),
    route("POST", "/v1/responses", ASK, true),
    route("POST", "/v1/messages", ASK, true),
    route("POST", "/v1/messages/count_tokens", ASK, true),
    route("POST", "/api/chat", ASK, true),
    route("POST", "/api/generate", ASK, true),
    route("POST", "/v1/embeddings", ASK, true),
    route("POST", "/api/embed", ASK, true),
    route("POST", "/api/embeddings", ASK, true),
    route("POST", "/api/show", ASK, true),
    route("POST", "/v1/rerank", ASK, true),
    route("POST", "/tokenize", ASK, true),
    route("POST", "/v1/chat/completions/input_tokens", ASK, true),
    route("POST", "/v1/responses/input_tokens", ASK, true),
    route("POST", "/api/pull", MANAGE, true),
    route("POST", "/api/push", MANAGE, true),
    route("POST", "/api/create", MANAGE, true),
    route("POST", "/api/copy", MANAGE, true),
    route("DELETE", "/api/delete", MANAGE, true),
    route("POST", "/v1/models/pull", MANAGE, true),
    route("DELETE", "/v1/models/pull", MANAGE, false),
    signed("GET", "/v1/channels/{id}", READ_CHANNEL, "channel"),
    route("POST", "/v1/channels/{id}", PUBLISH, true),
    route("DELETE", "/v1/channels/{id}", PUBLISH, false),
    route("POST", "/v1/channels/{id}/token", READ_CHANNEL, true),
    route("GET", "/events", &["inference", "models", "manage"], true),
    route("GET", "/v1/models", LIST, false),
    route("GET", "/v1/models/{*id}", LIST, false),
    route("GET", "/api/tags", LIST, false),
    route("GET", "/api/ps", LIST, false),
    route("GET", "/api/version", &[], false),
    route("GET", "/", &[], false),
    route("GET", "/v1/streams", ASK, true),
    signed("GET", "/v1/streams/{id}", ASK, "read"),
    signed("DELETE", "/v1/streams/{id}", ASK, "cancel"),
    signed("POST", "/v1/streams/{id}/cancel", ASK, "cancel"),
    route("POST", "/v1/streams/{id}/token", ASK, true),
    route("GET", "/v1/conversations/{id}/stream", ASK, true),
    route("POST", "/v1/streams/lookup", ASK, true),
    route("GET", "/v1/stream", ASK, true),
    route("DELETE", "/v1/stream", ASK, false),
    route("GET", "/v1/stream/{id}", ASK, true),
    route("DELETE", "/v1/stream/{id}", ASK, false),
    route("GET", "/v1/responses/{id}", ASK, true),
    route("DELETE", "/v1/responses/{id}", ASK, false),
    route("POST", "/v1/responses/{id}/cancel", ASK, false),
    route("GET", "/healthz", &[], false),
    route("GET", "/readyz", &[], false),
];

impl Route {
    fn request(&self, id: &str, query: &str) -> Request {
        let path = self.path.replace("{id}", id).replace("{*id}", id);
        let request = Request::new(self.method, &format!("{path}{query}"));
        if self.method == "GET" { request } else { request.body(&json!({})) }
    }
}

/// A key for each scope, and one with all of them for each route, with one request a minute.
async fn gateway() -> Gateway {
    let mut setup = Setup::new().demo();
    for scope in SCOPES {
        setup = setup.key(scope, &format!("sk-{scope}"), &format!("scopes = [\"{scope}\"]"));
    }
    for number in 0..ROUTES.len() {
        let lines = format!("scopes = {SCOPES:?}\nrequests_per_minute = 1");
        setup = setup.key(&format!("k{number}"), &format!("sk-{number}"), &lines);
    }
    setup.start().await
}

async fn status(gateway: &Gateway, request: Request, key: &str) -> u16 {
    gateway.send(&request.header("x-api-key", key)).await.status
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_for_no_other() {
    let gateway = gateway().await;
    for route in ROUTES {
        let named = format!("{} {}", route.method, route.path);
        let nobody = gateway.send(&route.request("x", "")).await.status;
        assert_eq!(nobody == 401, !route.scopes.is_empty(), "{named} without a key: {nobody}");
        for scope in SCOPES {
            let found = status(&gateway, route.request("x", ""), &format!("sk-{scope}")).await;
            let may = route.scopes.is_empty() || route.scopes.contains(&scope);
            assert!(found != 401 && (found == 403) != may, "{named} with {scope}: {found}");
        }
    }
}

#[tokio::test]
async fn every_route_that_does_work_counts_against_the_requests_of_its_key_and_once() {
    let gateway = gateway().await;
    for (number, route) in ROUTES.iter().enumerate() {
        let (named, key) = (format!("{} {}", route.method, route.path), format!("sk-{number}"));
        let first = status(&gateway, route.request("x", ""), &key).await;
        assert_ne!(first, 429, "{named}: the first");
        let second = status(&gateway, route.request("x", ""), &key).await;
        assert_eq!(second == 429, route.counted, "{named}: the second is a {second}");
    }
}

#[tokio::test]
async fn what_is_generated_counts_once() {
    let setup = Setup::new().demo().key("alice", "sk-a", "requests_per_minute = 3\ntokens_per_day = 1000000");
    let gateway = setup.start().await;
    let body = json!({"model": "demo", "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]});
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/chat/completions"] {
        assert_eq!(status(&gateway, Request::post(path, &body), "sk-a").await, 200, "{path}");
    }
    assert_eq!(status(&gateway, Request::post("/v1/chat/completions", &body), "sk-a").await, 429);
}

#[tokio::test]
async fn an_address_opens_the_route_that_it_is_for_and_uses_up_nothing() {
    let gateway = gateway().await;
    let key = |request: Request| request.header("x-api-key", "sk-inference");
    let body = json!({"model": "demo", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let asked = key(Request::post("/v1/chat/completions", &body)).header("prefer", "respond-async");
    let stream = gateway.send(&asked).await.json().await;
    let channel = gateway.send(&key(Request::post("/v1/channels/job/token", &json!({})))).await.json().await;
    let query = |told: &Value, name: &str| {
        let url = told[name].as_str().unwrap();
        url.split_once('?').unwrap().1.to_owned()
    };
    let id = stream["id"].as_str().unwrap();
    for (address, id, query) in [
        ("read", id, query(&stream, "stream_url")),
        ("cancel", id, query(&stream, "cancel_url")),
        ("channel", "job", query(&channel, "stream_url")),
    ] {
        for route in ROUTES.iter().filter(|route| !route.scopes.is_empty()) {
            for _ in 0..2 {
                let found = gateway.send(&route.request(id, &format!("?{query}"))).await.status;
                let opens = route.signed == Some(address);
                assert_eq!(found != 401, opens, "{} {} by {address}: {found}", route.method, route.path);
                assert_ne!(found, 429);
            }
        }
    }
}

/// The paths that stand in a file of the source, and how often.
fn paths_in(file: &str, is: impl Fn(&str) -> bool) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let mut found = BTreeMap::new();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("/// What operators see"));
    for line in lines.filter(|line| is(line)) {
        for path in line.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/')) {
            *found.entry(path.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn no_route_is_missing_here() {
    let rows = paths_in("edge/table.rs", |line| line.starts_with("row("));
    let named = paths_in("edge/route.rs", |line| line.starts_with("Self::") && line.contains("=> \"/"));
    let doors = paths_in("wire/dialect.rs", |line| line.starts_with("Self::") && line.contains("=> \"/"));
    assert!(rows.len() > 20 && named.len() > 8 && doors.len() > 5, "{rows:?} {named:?} {doors:?}");
    for (path, count) in rows.iter().chain(&named).chain(&doors) {
        let here = ROUTES.iter().filter(|route| route.path == path).count();
        assert_eq!(here, *count, "{path}");
    }
    let there = [&rows, &named, &doors].map(|paths| paths.values().sum::<usize>()).iter().sum::<usize>();
    assert_eq!(ROUTES.len(), there);
}
