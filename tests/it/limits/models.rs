//! Models that a key may not use are not there for it.

use serde_json::json;

use super::{SECRET, keyed};
use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, request};
use crate::support::{Gateway, Request, Setup, Upstream};

/// Alice may use models of one family; Bob may use all.
async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let tag =
        |name: &str| json!({"name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z", "size": 1});
    upstream.page("/api/tags", &json!({"models": [tag("llama3.2:latest"), tag("qwen3:8b")]}));
    upstream.page("/api/ps", &json!({"models": [tag("llama3.2:latest"), tag("qwen3:8b")]}));
    let setup = Setup::new().key("alice", SECRET, "models = [\"llama*\"]").key("bob", "sk-bob", "");
    (setup.backend("one", "ollama", &upstream.url()).start().await, upstream)
}

#[tokio::test]
async fn another_model_is_unknown_at_every_door() {
    let (gateway, mut upstream) = gateway().await;
    for (door, _) in DOORS {
        for stream in [true, false] {
            let ask = keyed(Request::post(door, &request(door, "qwen3:8b", stream)));
            let mut refused = gateway.send(&ask).await;
            assert_eq!(refused.status, 404, "{door}");
            let error = refused.json().await;
            match door {
                MESSAGES => assert_eq!(error["error"]["type"], "not_found_error"),
                OLLAMA => assert_eq!(error["error"], "model 'qwen3:8b' not found"),
                _ => assert_eq!(error["error"]["code"], "model_not_found"),
            }
        }
    }
    for path in ["/v1/embeddings", "/api/embed", "/api/show", "/v1/messages/count_tokens"] {
        let refused = gateway.send(&keyed(Request::post(path, &request(path, "qwen3:8b", false)))).await;
        assert_eq!(refused.status, 404, "{path}");
    }
    assert_eq!(upstream.calls_seen(), 0);
    let _asked = gateway.ask(&keyed(Request::post(CHAT, &request(CHAT, "llama3.2", true)))).await;
    assert_eq!(upstream.call().await.json()["model"], "llama3.2");
    let bob = Request::post(CHAT, &request(CHAT, "qwen3:8b", true)).header("authorization", "Bearer sk-bob");
    let _asked = gateway.ask(&bob).await;
    assert_eq!(upstream.call().await.json()["model"], "qwen3:8b");
}

#[tokio::test]
async fn the_lists_name_only_what_the_key_may_use() {
    let (gateway, _upstream) = gateway().await;
    for (path, list, name) in
        [("/v1/models", "data", "id"), ("/api/tags", "models", "name"), ("/api/ps", "models", "name")]
    {
        let names = async |request: Request| {
            let told = gateway.send(&request).await.json().await;
            let names =
                told[list].as_array().unwrap().iter().map(|model| model[name].as_str().unwrap().to_owned());
            names.collect::<Vec<String>>()
        };
        assert_eq!(names(keyed(Request::get(path))).await, ["llama3.2:latest"], "{path}");
        let bob = Request::get(path).header("authorization", "Bearer sk-bob");
        assert_eq!(names(bob).await, ["llama3.2:latest", "qwen3:8b"], "{path}");
    }
    assert_eq!(gateway.send(&keyed(Request::get("/v1/models/llama3.2:latest"))).await.status, 200);
    assert_eq!(gateway.send(&keyed(Request::get("/v1/models/qwen3:8b"))).await.status, 404);
}

/// A key that may use one family, and manage it.
async fn managed() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let lines = "models = [\"llama*\"]\nscopes = [\"inference\", \"manage\"]";
    let setup = Setup::new().key("alice", SECRET, lines).key("bob", "sk-bob", "scopes = [\"manage\"]");
    (setup.backend("one", "ollama", &upstream.url()).start().await, upstream)
}

#[tokio::test]
async fn another_model_is_not_changed_either() {
    let (gateway, upstream) = managed().await;
    for (method, path, body) in [
        ("POST", "/api/pull", json!({"model": "qwen3"})),
        ("POST", "/api/pull", json!({"name": "qwen3", "stream": false})),
        ("POST", "/v1/models/pull", json!({"model": "qwen3"})),
        ("DELETE", "/v1/models/pull", json!({"taskId": "qwen3"})),
        ("POST", "/api/push", json!({"model": "qwen3"})),
        ("DELETE", "/api/delete", json!({"model": "qwen3"})),
        ("DELETE", "/api/delete", json!({"model": "", "name": "qwen3"})),
        ("POST", "/api/create", json!({"model": "qwen3", "from": "llama3.2"})),
        ("POST", "/api/create", json!({"model": "llama-x", "from": "qwen3"})),
        ("POST", "/api/copy", json!({"source": "qwen3", "destination": "llama-x"})),
        ("POST", "/api/copy", json!({"source": "llama3.2", "destination": "qwen3"})),
        ("POST", "/api/show", json!({"name": "qwen3"})),
    ] {
        let mut refused = gateway.send(&keyed(Request::new(method, path).body(&body))).await;
        assert_eq!(refused.status, 404, "{method} {path} {body}");
        let words = refused.text().await;
        assert!(words.contains("not found") || words.contains("no such download"), "{words}");
    }
    // What the gateway cannot read the models of is as good as any of them.
    for more in ["modelfile", "files", "adapters"] {
        let body = json!({"model": "llama-x", more: {"a": "sha256:b"}});
        let refused = gateway.send(&keyed(Request::new("POST", "/api/create").body(&body))).await;
        assert_eq!(refused.status, 403, "{more}");
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn its_own_models_and_those_of_a_key_without_bounds_are_changed() {
    let (gateway, mut upstream) = managed().await;
    let bob = |request: Request| request.header("authorization", "Bearer sk-bob");
    let copy = |source: &str, destination: &str| {
        Request::new("POST", "/api/copy").body(&json!({"source": source, "destination": destination}))
    };
    let create =
        json!({"model": "qwen-x", "stream": false, "modelfile": "FROM y", "files": {"a": "sha256:b"}});
    for (request, path) in [
        (keyed(copy("llama3.2", "llama-x")), "/api/copy"),
        (keyed(Request::new("DELETE", "/api/delete").body(&json!({"model": "llama-x"}))), "/api/delete"),
        (
            keyed(
                Request::new("POST", "/api/create")
                    .body(&json!({"model": "llama-x", "from": "llama3.2", "stream": false})),
            ),
            "/api/create",
        ),
        (bob(copy("qwen3", "backup")), "/api/copy"),
        (bob(Request::new("POST", "/api/create").body(&create)), "/api/create"),
    ] {
        let asked = gateway.ask(&request).await;
        let call = upstream.call().await;
        assert_eq!(call.path, path);
        call.answer(200, &json!({"status": "success"})).await;
        assert_eq!(asked.answer().await.status, 200, "{path}");
    }
}
