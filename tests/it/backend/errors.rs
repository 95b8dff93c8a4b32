//! A refusal keeps its status and its words, in whatever form the backend gave them, and what is the request's own fault is no
//! mark against the backend.

use serde_json::{Value, json};

use super::words;
use crate::support::pairs::{CHAT, DOORS, MESSAGES, pairs, request};
use crate::support::{Answer, Pairs, Setup, Upstream, counts, gateway_over, prompt};

/// Forms of a refusal: status, type, body, and the words that the client must be told.
const REFUSALS: [(u16, &str, &str, &str); 9] = [
    (
        400,
        "application/json",
        r#"[{"error":{"code":400,"message":"Function call is missing a thought_signature","status":"INVALID_ARGUMENT"}}]"#,
        "missing a thought_signature",
    ),
    (422, "text/plain", "Failed to deserialize the JSON body into the target type", "Failed to deserialize"),
    (
        413,
        "text/html",
        "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body></html>",
        "413 Request Entity Too Large",
    ),
    (400, "application/json", "\"no such sampler\"", "no such sampler"),
    (400, "text/html", "<p>the <b>prompt</b> is empty</p>", "prompt"),
    (415, "text/plain", "", "415 (Unsupported Media Type)"),
    (404, "text/plain", "404 page not found", "page not found"),
    (
        422,
        "application/json",
        r#"{"detail":[{"loc":["body","top_k"],"msg":"must be positive"}]}"#,
        "must be positive",
    ),
    (400, "application/json", r#"{"error":{"type":"x","message":"bad image","code":"bad"}}"#, "bad image"),
];

#[tokio::test]
async fn a_refusal_keeps_its_status_and_its_words_in_every_form_for_every_client() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (api, door, _) in pairs() {
        for (at, (status, kind, body, wanted)) in REFUSALS.into_iter().enumerate() {
            let stream = at % 2 == 0;
            let (asked, call) = all.ask(door, &request(door, api, stream)).await;
            call.answer_as(status, kind, body).await;
            let mut answer = asked.answer().await;
            let told = answer.json().await;
            let what = format!("{door} over {api}, stream {stream}: {status} {body}: {told}");
            assert_eq!(answer.status, status, "{what}");
            assert!(words(&told).contains(wanted), "{what}");
        }
    }
}

#[tokio::test]
async fn so_do_refusals_of_embeddings() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    for (status, kind, body, wanted) in REFUSALS {
        let asked = gateway.ask_post("/v1/embeddings", &json!({"model": "m", "input": "a"})).await;
        upstream.call().await.answer_as(status, kind, body).await;
        let mut answer = asked.answer().await;
        let told = answer.json().await;
        assert_eq!(answer.status, status, "{body}: {told}");
        assert!(words(&told).contains(wanted), "{body}: {told}");
    }
}

#[tokio::test]
async fn an_error_of_a_backend_without_a_status_of_error_is_told_in_its_words() {
    for (kind, body, status, wanted) in [
        ("application/json", r#"[{"error":{"message":"quota","code":429}}]"#, 429, "quota"),
        (
            "application/json",
            r#"{"base_resp":{"status_code":2013,"status_msg":"bad params"},"choices":null}"#,
            400,
            "bad params",
        ),
        ("text/plain", "upstream connect error or disconnect", 502, "upstream connect error"),
        ("text/html", "<html><title>Sign in</title></html>", 502, "Sign in"),
        (
            "text/event-stream",
            "{\"error\":{\"message\":\"no such adapter\",\"code\":400}}\n",
            400,
            "no such adapter",
        ),
    ] {
        for stream in [true, false] {
            let (gateway, mut upstream) = gateway_over("openai", &["commit_after = \"30s\""]).await;
            let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
            upstream.call().await.answer_as(200, kind, body).await;
            let mut answer = asked.answer().await;
            let told = answer.json().await;
            assert_eq!(answer.status, status, "{body}, stream {stream}: {told}");
            assert!(words(&told).contains(wanted), "{body}, stream {stream}: {told}");
        }
    }
}

#[tokio::test]
async fn no_form_of_an_error_shows_the_gateways_key() {
    for body in [
        "bad key sk-4711-secret",
        "<h1>sk-4711-secret</h1>",
        "[{\"error\":\"sk-4711-secret\"}]",
        "\"sk-4711-secret\"",
    ] {
        for status in [400, 200, 500] {
            let mut upstream = Upstream::start().await;
            let more = "api_key = { env = \"KEY\" }\n";
            let setup = Setup::new().environment("KEY", "sk-4711-secret");
            let gateway = setup.backend_with("one", "openai", &upstream.url(), more).start().await;
            let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
            upstream.call().await.answer_as(status, "text/plain", body).await;
            let told = asked.answer().await.text().await;
            assert!(told.contains("[redacted]") && !told.contains("4711"), "{status} {body}: {told}");
        }
    }
}

/// Two backends, of which the first refuses so; tells the answer and how often each was asked, eight times in a row.
async fn refused_by_the_first(door: &str, status: u16, body: &Value) -> (Vec<Answer>, usize) {
    let (mut first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().pool("probe_interval = \"0s\"").backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "openai", &second.url()).start().await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        let asked = gateway.ask_post(door, &request(door, "m", false)).await;
        first.call().await.answer(status, body).await;
        answers.push(asked.answer().await);
    }
    counts(&gateway, "streamgate_backend_ejections_total", &[], 0).await;
    (answers, second.calls_seen())
}

#[tokio::test]
async fn what_a_server_cannot_do_is_no_mark_against_it_and_nobody_asks_again() {
    let words =
        "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj";
    let image = json!({"error": {"code": 500, "message": words, "type": "server_error"}});
    let words = "This server does not support embeddings. Start it with `--embeddings`";
    let route = json!({"error": {"code": 501, "message": words, "type": "not_supported_error"}});
    for (status, body, wanted) in [(500, &image, 400), (501, &route, 501)] {
        for door in [CHAT, MESSAGES] {
            let (answers, others) = refused_by_the_first(door, status, body).await;
            assert_eq!(others, 0, "{door}: another backend was asked");
            for mut answer in answers {
                assert_eq!(answer.status, wanted, "{door}");
                let told = super::words(&answer.json().await);
                assert!(body["error"]["message"].as_str().unwrap().contains(&told), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_backend_that_fails_is_still_ejected_and_another_asked() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().pool("probe_interval = \"0s\"").backend("first", "openai", &first.url());
    let gateway = setup.backend("second", "openai", &second.url()).start().await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let words = json!({"error": {"message": "CUDA error: operation not supported", "code": 500}});
    first.call().await.answer(500, &words).await;
    second.call().await.answer(200, &super::whole("openai")).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_route_that_a_proxy_does_not_know_is_asked_of_another_backend() {
    for body in ["404 page not found", "<html><title>404 Not Found</title></html>", ""] {
        let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
        let setup = Setup::new().pool("probe_interval = \"0s\"").backend("first", "openai", &first.url());
        let gateway = setup.backend("second", "openai", &second.url()).start().await;
        let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
        first.call().await.answer_as(404, "text/plain", body).await;
        second.call().await.answer(200, &super::whole("openai")).await;
        assert_eq!(asked.answer().await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_model_that_a_router_does_not_know_is_not_found() {
    let body =
        json!({"error": {"code": 400, "message": "model 'm' not found", "type": "invalid_request_error"}});
    for (door, _) in DOORS {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        upstream.call().await.answer(400, &body).await;
        let mut answer = asked.answer().await;
        let told = answer.json().await;
        assert_eq!(answer.status, 404, "{door}: {told}");
        assert!(words(&told).contains("model 'm' not found"), "{door}: {told}");
        if door == CHAT {
            assert_eq!(told["error"]["code"], "model_not_found");
        }
    }
}

#[tokio::test]
async fn the_numbers_of_a_full_context_are_kept() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let error = json!({
        "code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error",
        "n_prompt_tokens": 4097, "n_ctx": 4096
    });
    upstream.call().await.answer(400, &json!({"error": error})).await;
    let told = asked.answer().await.json().await["error"].clone();
    assert_eq!((&told["n_prompt_tokens"], &told["n_ctx"]), (&json!(4097), &json!(4096)), "{told}");
    assert_eq!(told["code"], "context_length_exceeded");
}

#[tokio::test]
async fn a_stream_that_ends_for_the_requests_own_fault_is_no_mark_against_its_backend() {
    for (error, ejections) in [
        (json!({"message": "the context is full", "code": 400}), 0),
        (json!({"message": "image input is not supported", "code": 500}), 0),
        (json!({"message": "the runner died", "code": 500}), 1),
    ] {
        for door in [CHAT, MESSAGES] {
            let (gateway, mut upstream) = gateway_over("openai", &[]).await;
            for _ in 0..6 {
                let asked = gateway.ask_post(door, &request(door, "m", true)).await;
                let mut call = upstream.call().await;
                call.say(&["Main"]).await;
                call.sse(&json!({"error": error})).await;
                call.finish().await;
                asked.answer().await.rest().await;
            }
            let found = gateway.metric("streamgate_backend_ejections_total", &[]).await;
            assert_eq!(found > 0.5, ejections > 0, "{door}: {error}, {found}");
        }
    }
}
