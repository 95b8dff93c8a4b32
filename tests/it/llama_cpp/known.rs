//! A server of llama.cpp is known by the name that it gives itself, or by the configuration.

use serde_json::json;

use super::{asked, chat_with, gateway};
use crate::support::{Setup, Upstream};

const NAME: (&str, &str) = ("Server", "llama.cpp");

#[tokio::test]
async fn it_is_known_by_the_name_in_its_last_answer() {
    let (gateway, mut upstream) = gateway("openai", "probe = \"none\"", &[]).await;
    let request = chat_with(false, &json!({}));
    for (server, streams) in
        [(Some(NAME), false), (None, true), (Some(("Server", "llama.cpp-like")), false), (Some(NAME), false)]
    {
        let (asked, mut call) = asked(&gateway, &mut upstream, &request).await;
        assert_eq!(call.json()["stream"] == true, streams, "{server:?}");
        let server: Vec<(&str, &str)> = server.into_iter().collect();
        if streams {
            call.say(&["Elbe"]).await;
            call.end().await;
        } else {
            call.answer_with(200, &server, "{\"choices\":[]}").await;
        }
        assert_eq!(asked.answer().await.status, 200);
    }
}

#[tokio::test]
async fn the_configuration_has_the_last_word() {
    for (line, streams) in [("llama_cpp = false", false), ("llama_cpp = true", true)] {
        let (gateway, mut upstream) = gateway("openai", line, &[]).await;
        let request = chat_with(false, &json!({}));
        for server in ["llama.cpp", "uvicorn"] {
            let (asked, mut call) = asked(&gateway, &mut upstream, &request).await;
            assert_eq!(call.json()["stream"] == true, streams, "{line}");
            if streams {
                call.say(&["Elbe"]).await;
                call.end().await;
            } else {
                call.answer_with(200, &[("Server", server)], "{\"choices\":[]}").await;
            }
            assert_eq!(asked.answer().await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_backend_that_knows_no_stream_options_is_asked_as_ever() {
    let (gateway, mut upstream) = gateway("openai", "llama_cpp = true\nstream_options = false", &[]).await;
    let request = chat_with(false, &json!({}));
    let (_asked, call) = asked(&gateway, &mut upstream, &request).await;
    assert_eq!(call.json(), request);
}

#[tokio::test]
async fn what_it_says_of_its_models_is_told_and_no_command_line() {
    let upstream = Upstream::start().await;
    let meta = json!({"n_ctx": 8192, "n_params": 3_836_928, "ftype": "F16"});
    let model = json!({
        "id": "tiny", "object": "model", "created": 7, "owned_by": "llamacpp", "aliases": ["tiny", "small"], "meta": meta,
        "architecture": {"input_modalities": ["text"]}, "status": {"args": ["llama-server", "--api-key", "k"]}, "tags": [],
    });
    upstream.page("/v1/models", &json!({"object": "list", "data": [model, {"id": "bare", "meta": null}]}));
    let setup = Setup::new().backend("one", "openai", &upstream.url());
    let routes = setup.route("model = \"other\"\nbackends = [{ name = \"one\", model = \"tiny\" }]");
    let gateway = routes.route("model = \"*\"\nbackends = [\"one\"]").start().await;
    let told = gateway.get("/v1/models/tiny").await.json().await;
    assert_eq!(
        told,
        json!({
            "id": "tiny", "object": "model", "created": 7, "owned_by": "llamacpp", "aliases": ["tiny", "small"], "meta": meta,
            "architecture": {"input_modalities": ["text"]},
        })
    );
    let other = gateway.get("/v1/models/other").await.json().await;
    assert_eq!((&other["meta"], other.get("aliases")), (&meta, None), "aliases lead nowhere here");
    let bare = gateway.get("/v1/models/bare").await.json().await;
    assert_eq!(bare.get("meta"), None);
}
