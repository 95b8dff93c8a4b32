//! A proxy in Node whose `compression` would hold a whole stream back, was it not told `no-transform`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::super::support::gateway_over;
use super::super::support::port::free_port;
use super::every::{lock_step, websocket};
use super::program::Hop;

#[tokio::test]
async fn a_proxy_with_compression_holds_nothing_back() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/proxy.mjs"));
    command.arg(address.port().to_string()).arg(format!("http://{}", gateway.public));
    let hop = Hop::launch(command, address, TempDir::new().unwrap());
    hop.answers().await;
    lock_step(&hop, &mut upstream, "Node with compression").await;
    websocket(&hop, &gateway, upstream).await;
}
