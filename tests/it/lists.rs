//! What the lists say: models of all backends at once, whoever is down, and the small routes that clients probe.

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Setup, Upstream, gateway_over, refusing_address};

fn tag(name: &str) -> Value {
    json!({
        "name": name, "model": name, "modified_at": "2026-09-01T10:00:00Z", "size": 1234, "digest": "ab".repeat(32),
        "details": {"format": "gguf", "family": "river", "parameter_size": "2B", "quantization_level": "Q4_K_M"}
    })
}

fn models(ids: &[&str]) -> Value {
    let data: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 1_780_000_000, "owned_by": "it"}))
        .collect();
    json!({"object": "list", "data": data})
}

/// An Ollama backend with `river:2b`, an OpenAI one with `org/lake:Q4`, and one that is down.
async fn three() -> (Gateway, Vec<Upstream>, socket2::Socket) {
    let (ollama, openai) = (Upstream::start().await, Upstream::start().await);
    ollama.page("/api/tags", &json!({"models": [tag("river:2b")]}));
    ollama.page("/api/ps", &json!({"models": [tag("river:2b")]}));
    ollama.page("/v1/models", &models(&["river:2b"]));
    openai.page("/v1/models", &models(&["org/lake:Q4"]));
    let (kept, dead) = refusing_address();
    let setup = Setup::new().backend("dead", "openai", &dead).backend("ollama", "ollama", &ollama.url());
    (setup.backend("openai", "openai", &openai.url()).start().await, vec![ollama, openai], kept)
}

/// The strings at this key of the members of a list.
fn names(list: &Value, key: &str) -> Vec<String> {
    let mut names: Vec<String> =
        list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_models_of_all_backends_are_one_list_whoever_is_down() {
    let (gateway, _upstreams, _kept) = three().await;
    let mut answer = gateway.get("/v1/models").await;
    assert_eq!(answer.status, 200);
    let list = answer.json().await;
    assert_eq!(list["object"], "list");
    assert_eq!(names(&list["data"], "id"), ["org/lake:Q4", "river:2b"]);
    assert!(list["data"][0]["object"] == "model" && list["data"][0]["created"].is_number(), "{list}");
}

#[tokio::test]
async fn the_tags_of_all_backends_are_one_list_whoever_is_down() {
    let (gateway, _upstreams, _kept) = three().await;
    let list = gateway.get("/api/tags").await.json().await;
    assert_eq!(names(&list["models"], "name"), ["org/lake:Q4", "river:2b"]);
    assert_eq!(names(&list["models"], "model"), ["org/lake:Q4", "river:2b"]);
}

#[tokio::test]
async fn a_tag_of_an_ollama_backend_keeps_its_details() {
    let (gateway, _upstreams, _kept) = three().await;
    let list = gateway.get("/api/tags").await.json().await;
    let entry = list["models"].as_array().unwrap().iter().find(|entry| entry["name"] == "river:2b").unwrap();
    assert_eq!(entry["details"]["parameter_size"], "2B");
    assert_eq!(entry["size"], 1234);
}

#[tokio::test]
async fn a_model_is_found_by_an_id_with_slash_and_colon() {
    let (gateway, _upstreams, _kept) = three().await;
    for path in ["/v1/models/org/lake:Q4", "/v1/models/org%2Flake%3AQ4"] {
        let mut answer = gateway.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let model = answer.json().await;
        assert_eq!((&model["id"], &model["object"]), (&json!("org/lake:Q4"), &json!("model")), "{path}");
    }
}

#[tokio::test]
async fn a_model_that_nobody_has_is_a_404() {
    let (gateway, _upstreams, _kept) = three().await;
    let mut answer = gateway.get("/v1/models/sea").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json().await["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn an_anthropic_client_gets_the_list_in_its_shape() {
    let (gateway, _upstreams, _kept) = three().await;
    let mut answer =
        gateway.send(&Request::get("/v1/models").header("anthropic-version", "2023-06-01")).await;
    let list = answer.json().await;
    assert_eq!(names(&list["data"], "id"), ["org/lake:Q4", "river:2b"]);
    let first = &list["data"][0];
    assert!(
        first["type"] == "model" && first["display_name"].is_string() && first["created_at"].is_string(),
        "{list}"
    );
    assert_eq!((&list["has_more"], &list["first_id"]), (&json!(false), &first["id"]));
}

#[tokio::test]
async fn the_loaded_models_are_listed() {
    let (gateway, _upstreams, _kept) = three().await;
    let list = gateway.get("/api/ps").await.json().await;
    assert_eq!(names(&list["models"], "name"), ["river:2b"]);
}

#[tokio::test]
async fn the_list_is_empty_not_an_error_when_all_are_down() {
    let (_kept, url) = refusing_address();
    let gateway = Setup::new().backend("one", "openai", &url).start().await;
    let mut answer = gateway.get("/v1/models").await;
    assert_eq!((answer.status, answer.json().await["data"].clone()), (200, json!([])));
}

#[tokio::test]
async fn the_root_says_what_ollama_clients_look_for() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let mut answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.text().await.as_str()), (200, "Ollama is running"));
}

#[tokio::test]
async fn head_of_the_root_is_a_200_and_the_connection_lives() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let answer = gateway.send(&Request::new("HEAD", "/")).await;
    assert_eq!(answer.status, 200);
    let mut client = answer.reuse();
    client.ask(&Request::get("/healthz")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn the_version_is_told() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let version = gateway.get("/api/version").await.json().await["version"].clone();
    assert!(version.as_str().unwrap().split('.').count() >= 3, "{version}");
}

#[tokio::test]
async fn show_is_passed_on_to_ollama() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/show", &json!({"model": "river:2b"})).await;
    let call = upstream.call().await;
    assert_eq!((call.path.as_str(), call.json()["model"].clone()), ("/api/show", json!("river:2b")));
    let shown = json!({"capabilities": ["completion"], "model_info": {"general.architecture": "river"}});
    call.answer(200, &shown).await;
    assert_eq!(asked.answer().await.json().await, shown);
}

#[tokio::test]
async fn a_model_that_no_ollama_has_is_shown_in_ollamas_words() {
    let (gateway, upstreams, _kept) = three().await;
    for key in ["model", "name"] {
        let mut answer = gateway.post("/api/show", &json!({key: "org/lake:Q4"})).await;
        assert_eq!(answer.status, 200);
        let shown = answer.json().await;
        assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
        let family = shown["model_info"]["general.architecture"].as_str().unwrap();
        assert!(!family.is_empty(), "{shown}");
        assert_eq!(shown["model_info"]["general.basename"], "org/lake:Q4");
        assert!(shown["details"]["family"].is_string() && shown["modified_at"].is_string(), "{shown}");
        for text in ["license", "modelfile", "parameters", "template"] {
            assert!(shown[text].is_string(), "{text}: {shown}");
        }
    }
    assert!(upstreams.iter().all(|upstream| upstream.calls_seen() == 0), "nobody was asked");
}

#[tokio::test]
async fn a_model_that_there_is_not_is_not_shown() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let mut answer = gateway.post("/api/show", &json!({"model": "org/sea"})).await;
    assert_eq!(answer.status, 404);
    assert!(answer.json().await["error"].as_str().unwrap().contains("not found"));
}

#[tokio::test]
async fn a_name_of_a_route_is_shown_whatever_its_backend_lists() {
    let upstream = Upstream::start().await;
    let route = "model = \"lake\"\nbackends = [{ name = \"one\", model = \"hidden\" }]";
    let gateway = Setup::new().backend("one", "anthropic", &upstream.url()).route(route).start().await;
    let shown = gateway.post("/api/show", &json!({"model": "lake"})).await.json().await;
    assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
    assert_eq!(gateway.post("/api/show", &json!({"model": "hidden"})).await.status, 404);
}

#[tokio::test]
async fn a_model_that_a_key_may_not_use_is_not_shown_to_it() {
    let gateway = Setup::new().demo().key("one", "sk-one", "models = [\"river\"]").start().await;
    let asked = Request::post("/api/show", &json!({"model": "demo"})).header("x-api-key", "sk-one");
    assert_eq!(gateway.send(&asked).await.status, 404);
}

#[tokio::test]
async fn every_model_has_a_digest_of_its_own() {
    let (ollama, openai, other) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    ollama.page("/api/tags", &json!({"models": [tag("river:2b")]}));
    openai.page("/v1/models", &models(&["lake", "pond"]));
    other.page("/v1/models", &models(&["sea"]));
    let setup = Setup::new().backend("o", "ollama", &ollama.url()).backend("a", "openai", &openai.url());
    let setup = setup.backend("b", "openai", &other.url());
    let setup = setup.route("model = \"mare\"\nbackends = [{ name = \"a\", model = \"lake\" }]");
    let setup = setup.route("model = \"flume\"\nbackends = [{ name = \"o\", model = \"river:2b\" }]");
    let gateway = setup.route("model = \"*\"\nbackends = [\"o\", \"a\", \"b\"]").start().await;
    let list = gateway.get("/api/tags").await.json().await;
    let digest = |name: &str| {
        let entry = list["models"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
        entry["digest"].as_str().unwrap().to_owned()
    };
    let own: Vec<String> = ["lake", "pond", "sea", "mare", "river:2b"].map(digest).to_vec();
    for (at, digest) in own.iter().enumerate() {
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
        assert!(!own[..at].contains(digest), "{own:?}");
    }
    assert_eq!(digest("flume"), digest("river:2b"), "another name of the same weights");
    let again = gateway.get("/api/tags").await.json().await;
    assert_eq!(again, list);
}

#[tokio::test]
async fn the_built_in_model_is_listed() {
    let gateway = Setup::new().demo().start().await;
    let list = gateway.get("/v1/models").await.json().await;
    assert_eq!(names(&list["data"], "id"), ["demo"]);
}

/// A gateway that calls `llama3.2` of its only backend `alias`, and that backend, which has it under its full name.
async fn aliased() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    upstream.page("/api/tags", &json!({"models": [tag("llama3.2:latest")]}));
    let setup = Setup::new().backend("ollama", "ollama", &upstream.url());
    let route = "model = \"alias\"\nbackends = [{ name = \"ollama\", model = \"llama3.2\" }]";
    (setup.route(route).start().await, upstream)
}

#[tokio::test]
async fn an_alias_of_a_model_with_the_usual_tag_is_listed() {
    let (gateway, _upstream) = aliased().await;
    let list = gateway.get("/v1/models").await.json().await;
    assert_eq!(names(&list["data"], "id"), ["alias"]);
    let list = gateway.get("/api/tags").await.json().await;
    assert_eq!(names(&list["models"], "name"), ["alias"]);
}

#[tokio::test]
async fn an_alias_of_a_model_with_the_usual_tag_is_found() {
    let (gateway, _upstream) = aliased().await;
    let mut answer = gateway.get("/v1/models/alias").await;
    assert_eq!((answer.status, answer.json().await["id"].clone()), (200, json!("alias")));
}

#[tokio::test]
async fn an_anthropic_client_gets_one_model_in_its_shape() {
    let (gateway, _upstreams, _kept) = three().await;
    let asked = Request::get("/v1/models/river:2b").header("anthropic-version", "2023-06-01");
    let model = gateway.send(&asked).await.json().await;
    assert_eq!((&model["type"], &model["id"]), (&json!("model"), &json!("river:2b")));
    assert!(model["display_name"].is_string() && model["created_at"].is_string(), "{model}");
}

#[tokio::test]
async fn show_by_the_older_field_is_passed_on_to_ollama() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/api/show", &json!({"name": "river:2b"})).await;
    let call = upstream.call().await;
    assert_eq!((call.path.as_str(), call.json()), ("/api/show", json!({"name": "river:2b"})));
    call.answer(200, &json!({"capabilities": ["completion"]})).await;
    assert_eq!(asked.answer().await.json().await, json!({"capabilities": ["completion"]}));
}

#[tokio::test]
async fn the_version_of_ollama_is_told_and_remembered() {
    let upstream = Upstream::start().await;
    upstream.page("/api/version", &json!({"version": "0.31.4"}));
    let setup = Setup::new().server("workers = 1").pool("probe_interval = \"0s\"");
    let gateway = setup.backend("one", "ollama", &upstream.url()).start().await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/version").await.json().await, json!({"version": "0.31.4"}));
    }
    assert_eq!(upstream.gets_seen("/api/version"), 1);
}
