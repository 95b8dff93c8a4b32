//! nginx as it is found: with its defaults, with gzip for everything, in two levels.

use super::super::support::gateway_over;
use super::super::support::hops::Program;
use super::every::{lock_step, websocket};

/// nginx whose only server is this one, in front of a gateway.
async fn lock_step_behind(server: &str, name: &str) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let location = |listen: &str| format!("server {{ listen {listen}; location / {{ {server} }} }}\n");
    let whole = |snippet: String| {
        let listen = snippet.lines().find_map(|line| line.trim().strip_prefix("listen ")).unwrap();
        location(listen.trim_end_matches(';')).replace("GATEWAY", &gateway.public.to_string())
    };
    let hop = Program::Nginx.start_with(&[gateway.public], &[], whole).await;
    lock_step(&hop, &mut upstream, name).await;
}

#[tokio::test]
async fn its_defaults_hold_nothing_back() {
    lock_step_behind("proxy_pass http://GATEWAY;", "nginx by default").await;
}

#[tokio::test]
async fn its_buffering_over_http_1_1_holds_nothing_back() {
    let server = "proxy_pass http://GATEWAY; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering on;";
    lock_step_behind(server, "nginx that buffers").await;
}

#[tokio::test]
async fn gzip_for_all_sites_leaves_this_one_alone() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let gzip = |text: String| format!("gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1;\n{text}");
    let hop = Program::Nginx.start_with(&[gateway.public], &[], gzip).await;
    lock_step(&hop, &mut upstream, "nginx with gzip").await;
}

#[tokio::test]
async fn two_of_them_hold_nothing_back() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let inner = Program::Nginx.start(&[gateway.public]).await;
    let outer = Program::Nginx.start(&[inner.address]).await;
    lock_step(&outer, &mut upstream, "nginx behind nginx").await;
    websocket(&outer, &gateway, upstream).await;
}
