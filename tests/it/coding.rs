//! Coded request bodies: Codex sends its own in zstd (RFC 8878).

use serde_json::json;

use crate::support::{Request, Setup, gateway_over};

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::encode_all(body, 3).unwrap()
}

#[tokio::test]
async fn a_body_in_zstd_is_read_as_what_it_unfolds_to() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let body = json!({"model": "m", "stream": true, "input": "Which river?"}).to_string();
    let request = Request::raw("/v1/responses", &zstd(body.as_bytes())).header("content-encoding", "zstd");
    let _asked = gateway.ask(&request).await;
    let call = upstream.call().await;
    assert_eq!(call.json()["messages"], json!([{"role": "user", "content": "Which river?"}]));
    assert_eq!(call.header("content-encoding"), None);
}

#[tokio::test]
async fn a_body_that_unfolds_to_more_than_a_body_may_have_is_a_413() {
    let gateway = Setup::new().server("max_body_bytes = \"1MiB\"").demo().start().await;
    let body = json!({"model": "m", "input": " ".repeat(2 << 20)}).to_string();
    let request = Request::raw("/v1/responses", &zstd(body.as_bytes())).header("content-encoding", "zstd");
    assert_eq!(gateway.send(&request).await.status, 413);
}

#[tokio::test]
async fn a_body_that_is_not_the_zstd_it_says_it_is_is_a_400() {
    let gateway = Setup::new().demo().start().await;
    let whole = zstd(br#"{"model":"m","input":"Hi"}"#);
    for broken in [b"{}".as_slice(), b"", &whole[..whole.len() - 3]] {
        let request = Request::raw("/v1/responses", broken).header("content-encoding", "zstd");
        assert_eq!(gateway.send(&request).await.status, 400, "{broken:?}");
    }
}
