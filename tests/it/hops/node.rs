//! A proxy in Node whose `compression` would hold a whole stream back, was it not told `no-transform`.

use super::super::support::gateway_over;
use super::super::support::hops::bare;
use super::every::{lock_step, websocket};

#[tokio::test]
async fn a_proxy_with_compression_holds_nothing_back() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let hop = bare::node("proxy.mjs", &[&format!("http://{}", gateway.public)]).await;
    lock_step(&hop, &mut upstream, "Node with compression").await;
    websocket(&hop, &gateway, upstream).await;
}
