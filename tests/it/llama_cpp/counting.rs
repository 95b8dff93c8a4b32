//! What a server of llama.cpp counts, it counts; and routes that it has are passed on to it.

use serde_json::json;

use super::{KNOWN, gateway};
use crate::support::Request;

const COUNT: &str = "/v1/messages/count_tokens";

#[tokio::test]
async fn tokens_of_messages_are_counted_by_the_server() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let body = "{ \"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}] ,\"model\":\"m\"}";
    let asked = gateway.ask(&Request::raw(COUNT, body.as_bytes())).await;
    let call = upstream.call().await;
    assert_eq!((call.path.as_str(), std::str::from_utf8(&call.body)), (COUNT, Ok(body)));
    call.answer_with(200, &[], "{\"input_tokens\" : 20}").await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("x-estimated")), (200, None));
    assert_eq!(answer.text().await, "{\"input_tokens\" : 20}");
}

#[tokio::test]
async fn what_it_will_not_count_is_estimated() {
    for status in [400, 404, 500] {
        let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        let asked = gateway.ask_post(COUNT, &body).await;
        let refused = json!({"error": {"code": status, "message": "no", "type": "server_error"}});
        upstream.call().await.answer(status, &refused).await;
        let answer = asked.answer().await;
        assert_eq!((answer.status, answer.header("x-estimated")), (200, Some("input_tokens")), "{status}");
    }
}

#[tokio::test]
async fn other_servers_of_this_api_are_not_asked_to_count() {
    let (gateway, upstream) = gateway("openai", "llama_cpp = false", &[]).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(gateway.post(COUNT, &body).await.header("x-estimated"), Some("input_tokens"));
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn routes_of_the_server_are_passed_on_byte_for_byte() {
    for path in ["/v1/rerank", "/tokenize", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"]
    {
        let (openai, mut upstream) = gateway("openai", "", &[]).await;
        let body = "{ \"content\" : \"x\", \"big\":9007199254740993, \"model\":\"m\"}";
        let asked = openai.ask(&Request::raw(path, body.as_bytes())).await;
        let call = upstream.call().await;
        assert_eq!((call.path.as_str(), std::str::from_utf8(&call.body)), (path, Ok(body)));
        call.answer_with(200, &[], "{\"tokens\" : [1.50]}").await;
        assert_eq!(asked.answer().await.text().await, "{\"tokens\" : [1.50]}");
        let (ollama, upstream) = gateway("ollama", "", &[]).await;
        let answer = ollama.send(&Request::raw(path, body.as_bytes())).await;
        assert_eq!((answer.status, upstream.calls_seen()), (400, 0), "{path}");
    }
}
