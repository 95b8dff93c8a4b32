//! What is refused, with which status, in whose words, and that the process and the connection live on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Answer, Client, Gateway, Request, Setup, Upstream, chat, gateway_over};

const OPENAI: &str = "/v1/chat/completions";
const OLLAMA: &str = "/api/chat";

/// A gateway with this line in `[server]`, before a backend that is never asked.
async fn gateway(line: &str) -> Gateway {
    let setup = Setup::new().server(line).backend("one", "openai", "http://127.0.0.1:9");
    setup.route("model = \"m\"\nbackends = [\"one\"]").start().await
}

/// The error is in the words of the door's dialect; tells its code, which only OpenAI's dialect has.
async fn code(door: &str, answer: &mut Answer) -> Option<String> {
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let body = answer.json().await;
    if door.starts_with("/api/") {
        assert!(body["error"].as_str().is_some_and(|words| !words.is_empty()), "{body}");
        return None;
    }
    let error = &body["error"];
    assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{body}");
    assert!(error["type"].is_string() && error.get("param").is_some(), "{body}");
    Some(error["code"].as_str().expect("a code").to_owned())
}

/// Both doors refuse this body with this status and code, and the same connection serves the next request.
async fn refused(body: &[u8], status: u16, wanted: &str) {
    let gateway = gateway("").await;
    for door in [OPENAI, OLLAMA] {
        let mut answer = gateway.send(&Request::raw(door, body)).await;
        assert_eq!(answer.status, status, "{door}");
        assert!(code(door, &mut answer).await.is_none_or(|code| code == wanted), "{door}");
        assert_alive(answer.reuse()).await;
    }
}

async fn assert_alive(mut client: Client) {
    client.ask(&Request::get("/healthz")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn bad_json_is_a_400() {
    refused(b"{\"model\": \"m\", ", 400, "invalid_request").await;
}

#[tokio::test]
async fn no_body_is_a_400() {
    refused(b"", 400, "invalid_request").await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_400() {
    refused(b"{\"model\": \"\xff\xfe\"}", 400, "invalid_request").await;
}

#[tokio::test]
async fn a_list_in_place_of_an_object_is_a_400() {
    refused(b"[1, 2, 3]", 400, "invalid_request").await;
}

#[tokio::test]
async fn a_missing_model_is_a_400() {
    refused(b"{\"messages\": []}", 400, "invalid_request").await;
}

#[tokio::test]
async fn a_model_that_ollama_would_read_otherwise_is_a_400() {
    let gateway = gateway("").await;
    // Go's JSON takes fields whatever their case, and the last one counts.
    for body in [&b"{\"model\":\"m\",\"Model\":\"b\"}"[..], b"{\"MODEL\":\"b\",\"model\":\"m\"}"] {
        for door in [OLLAMA, "/api/generate", "/api/embed", "/api/show"] {
            let mut answer = gateway.send(&Request::raw(door, body)).await;
            assert_eq!(answer.status, 400, "{door}");
            let words = answer.json().await["error"].as_str().unwrap().to_lowercase();
            assert!(words.contains("model"), "{door}: {words}");
        }
    }
}

#[tokio::test]
async fn a_model_that_is_no_string_is_a_400() {
    refused(b"{\"model\": 7, \"messages\": []}", 400, "invalid_request").await;
}

#[tokio::test]
async fn a_stream_that_is_no_boolean_is_a_400() {
    refused(b"{\"model\": \"m\", \"messages\": [], \"stream\": \"yes\"}", 400, "invalid_request").await;
}

#[tokio::test]
async fn a_depth_of_a_thousand_is_a_400() {
    let body = format!("{{\"model\":\"m\",\"x\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    refused(body.as_bytes(), 400, "invalid_request").await;
}

#[tokio::test]
async fn a_depth_under_the_limit_is_served() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let body = format!("{{\"model\":\"m\",\"stream\":false,\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let _asked = gateway.ask(&Request::raw(OPENAI, body.as_bytes())).await;
    assert_eq!(upstream.call().await.path, OPENAI);
}

#[tokio::test]
async fn an_unknown_model_is_a_404() {
    refused(b"{\"model\": \"sea\", \"messages\": []}", 404, "model_not_found").await;
}

#[tokio::test]
async fn a_coded_body_is_a_415() {
    let gateway = gateway("").await;
    for door in [OPENAI, OLLAMA] {
        let mut answer =
            gateway.send(&Request::raw(door, b"\x1f\x8b\x08\x00").header("content-encoding", "gzip")).await;
        assert_eq!(answer.status, 415, "{door}");
        code(door, &mut answer).await;
    }
}

#[tokio::test]
async fn a_body_that_is_declared_too_long_is_a_413_before_it_is_read() {
    let gateway = gateway("").await;
    for door in [OPENAI, OLLAMA] {
        let length = (25 << 20).to_string();
        let request = Request::new("POST", door)
            .header("content-type", "application/json")
            .header("content-length", &length);
        let mut answer = gateway.send(&request).await;
        assert_eq!(answer.status, 413, "{door}");
        assert!(code(door, &mut answer).await.is_none_or(|code| code == "payload_too_large"));
    }
}

#[tokio::test]
async fn a_chunked_body_is_a_413_at_the_limit() {
    let gateway = gateway("max_body_bytes = \"64KiB\"").await;
    let request = Request::new("POST", OPENAI)
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked");
    let mut client = gateway.ask(&request).await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    client.send(chunk.repeat(5).as_bytes()).await;
    let mut answer = client.answer().await;
    assert_eq!(answer.status, 413);
    assert_eq!(code(OPENAI, &mut answer).await.as_deref(), Some("payload_too_large"));
    assert_alive(gateway.client().await).await;
}

#[tokio::test]
async fn a_whole_body_of_25_mib_harms_nothing() {
    let gateway = gateway("").await;
    let before = gateway.resident();
    let mut client = gateway.client().await;
    client
        .send(
            format!("POST {OPENAI} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 25 << 20)
                .as_bytes(),
        )
        .await;
    // The gateway may close while this is on its way: that is its right.
    if let Some(answer) = client.send_all_and_answer(&vec![b'x'; 25 << 20]).await {
        assert_eq!(answer.status, 413);
    }
    assert!(gateway.resident().saturating_sub(before) < 16 * 1024);
    assert_alive(gateway.client().await).await;
}

#[tokio::test]
async fn a_body_of_19_mib_is_served() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut request = chat();
    request["messages"][0]["content"] = Value::String("x".repeat(19 << 20));
    let (_asked, call) = tokio::join!(gateway.ask_post(OPENAI, &request), upstream.call());
    assert!(call.body.len() > 19 << 20);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408_and_a_close() {
    let gateway = gateway("body_timeout = \"300ms\"").await;
    for door in [OPENAI, OLLAMA] {
        let mut client = gateway.client().await;
        client
            .send(
                format!("POST {door} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{{\"mo")
                    .as_bytes(),
            )
            .await;
        let mut answer = client.answer().await;
        assert_eq!(answer.status, 408, "{door}");
        assert_eq!(answer.header("connection"), Some("close"), "{door}");
        code(door, &mut answer).await;
    }
    assert_alive(gateway.client().await).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let gateway = gateway("header_timeout = \"300ms\"").await;
    let mut client = gateway.client().await;
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc").await;
    let began = Instant::now();
    if let Some(answer) = client.answer_or_close().await {
        assert_eq!(answer.status, 408);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn headers_over_the_limit_are_a_431() {
    let gateway = gateway("").await;
    let answer = gateway.send(&Request::get("/healthz").header("x-long", &"x".repeat(70 * 1024))).await;
    assert_eq!(answer.status, 431);
    assert_alive(gateway.client().await).await;
}

#[tokio::test]
async fn an_unknown_route_is_a_404_in_the_words_of_its_neighbours() {
    let gateway = gateway("").await;
    for path in ["/v1/nowhere", "/api/nowhere"] {
        let mut answer = gateway.post(path, &json!({})).await;
        assert_eq!(answer.status, 404, "{path}");
        code(path, &mut answer).await;
        assert_alive(answer.reuse()).await;
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_names_the_right_one() {
    let gateway = gateway("").await;
    for (method, path, allowed) in
        [("GET", OPENAI, "POST"), ("GET", OLLAMA, "POST"), ("DELETE", "/v1/models", "GET")]
    {
        let mut answer = gateway.send(&Request::new(method, path)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").unwrap().contains(allowed), "{method} {path}");
        code(path, &mut answer).await;
        assert_alive(answer.reuse()).await;
    }
}

#[tokio::test]
async fn a_request_without_host_is_a_400() {
    let gateway = gateway("").await;
    let mut client = gateway.client().await;
    client.send(b"GET /healthz HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn a_hundred_bad_requests_leave_a_gateway_that_streams() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    for n in 0..100_usize {
        let body =
            &b"{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"stream\": tru"
                [..n % 70];
        assert_eq!(gateway.send(&Request::raw(OPENAI, body)).await.status, 400);
    }
    let asked = gateway.ask_post(OPENAI, &chat()).await;
    upstream.call().await.say(&["Drava"]).await;
    assert_eq!(asked.answer().await.status, 200);
}
