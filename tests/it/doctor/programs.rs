//! Real programs that are set up wrong: the doctor names the hop, what it does, and the line that cures it.

use crate::doctor::{Diagnosis, examine, gateway};
use crate::support::Gateway;
use crate::support::hops::{Hop, bare};

/// The gateway's address, as the innermost hop.
fn innermost(gateway: &Gateway) -> String {
    format!("gateway=http://{}", gateway.public)
}

/// What is said of this program before a gateway.
async fn said(gateway: &Gateway, hop: &Hop, name: &str) -> Diagnosis {
    let public = if name.is_empty() { hop.url() } else { format!("{name}={}", hop.url()) };
    examine(&[&public, &innermost(gateway)]).await
}

#[tokio::test]
async fn nginx_as_it_comes_speaks_http_1_0_and_hears_of_a_cut_by_its_reset() {
    let gateway = gateway().await;
    let hop = bare::nginx(gateway.public, "").await;
    said(&gateway, &hop, "").await.is_clean();
}

#[tokio::test]
async fn nginx_that_ignores_the_gateways_header_and_speaks_http_1_0() {
    let gateway = gateway().await;
    let hop = bare::nginx(gateway.public, "proxy_ignore_headers X-Accel-Buffering;").await;
    said(&gateway, &hop, "").await.blames(1, "nginx", "buffers_by_size", "proxy_http_version 1.1;");
}

#[tokio::test]
async fn nginx_with_large_buffers() {
    let gateway = gateway().await;
    let lines = "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering; proxy_buffer_size 256k;\n\
                 proxy_buffers 8 256k; proxy_busy_buffers_size 512k;";
    let hop = bare::nginx(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(1, "nginx", "buffers_whole_answer", "proxy_buffering off;");
}

#[tokio::test]
async fn nginx_that_compresses_what_it_buffers() {
    let gateway = gateway().await;
    let lines = "proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering;\n\
                 gzip on; gzip_proxied any; gzip_types text/event-stream;";
    let hop = bare::nginx(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(1, "nginx", "compression_buffers", "gzip_types");
}

#[tokio::test]
async fn nginx_with_a_short_read_timeout() {
    let gateway = gateway().await;
    let lines = "proxy_http_version 1.1; proxy_read_timeout 1s;";
    let hop = bare::nginx(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(1, "nginx", "idle_cut", "proxy_read_timeout 1h;");
}

#[tokio::test]
async fn haproxy_with_a_short_server_timeout() {
    let gateway = gateway().await;
    let hop = bare::haproxy(gateway.public, "  option http-no-delay\n  timeout server 1s", "").await;
    said(&gateway, &hop, "edge-haproxy").await.blames(1, "HAProxy", "idle_cut", "timeout server 1h");
}

#[tokio::test]
async fn haproxy_as_it_comes_is_known_by_its_ways() {
    let gateway = gateway().await;
    let hop = bare::haproxy(gateway.public, "", "").await;
    said(&gateway, &hop, "").await.blames(1, "HAProxy", "batches_by_time", "option http-no-delay");
}

#[tokio::test]
async fn haproxy_that_waits_for_the_body() {
    let gateway = gateway().await;
    let lines = "  option http-no-delay";
    let hop = bare::haproxy(gateway.public, lines, "  http-response wait-for-body time 30s").await;
    said(&gateway, &hop, "haproxy").await.blames(1, "HAProxy", "buffers_by_size", "wait-for-body");
}

#[tokio::test]
async fn varnish_that_compresses() {
    let gateway = gateway().await;
    let lines = "sub vcl_backend_response { set beresp.do_gzip = true; }";
    let hop = bare::varnish(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(
        1,
        "Varnish",
        "buffers_whole_answer",
        "set beresp.do_gzip = false;",
    );
}

#[tokio::test]
async fn varnish_that_does_not_stream() {
    let gateway = gateway().await;
    let lines = "sub vcl_backend_response { set beresp.do_stream = false; }";
    let hop = bare::varnish(gateway.public, lines).await;
    let said = said(&gateway, &hop, "").await;
    said.blames(1, "Varnish", "buffers_whole_answer", "set beresp.do_stream = true;");
    assert!(said.all.contains("`Content-Length` was added"), "{}", said.all);
}

#[tokio::test]
async fn varnish_with_a_short_timeout_between_bytes() {
    let gateway = gateway().await;
    let lines = "sub vcl_backend_fetch { set bereq.between_bytes_timeout = 1s; }";
    let hop = bare::varnish(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(1, "Varnish", "idle_cut", "between_bytes_timeout = 1h");
}

#[tokio::test]
async fn apache_with_a_filter_that_gathers() {
    let gateway = gateway().await;
    let lines = "ExtFilterDefine rewrite mode=output cmd=\"/bin/sed s/foo/bar/\"\nSetOutputFilter rewrite";
    let hop = bare::apache(gateway.public, lines).await;
    said(&gateway, &hop, "").await.blames(1, "Apache", "buffers_by_size", "mod_ext_filter");
}

#[tokio::test]
async fn apache_with_a_short_timeout() {
    let gateway = gateway().await;
    let hop = bare::apache(gateway.public, "ProxyTimeout 1").await;
    said(&gateway, &hop, "").await.blames(1, "Apache", "idle_cut", "ProxyTimeout 3600");
}

#[tokio::test]
async fn express_with_compression_that_nobody_flushes() {
    let gateway = gateway().await;
    let hop = bare::express(gateway.public, true).await;
    said(&gateway, &hop, "").await.blames(1, "Node", "compression_buffers", "compression.filter");
}

#[tokio::test]
async fn express_that_pipes_what_breaks_off_and_ends_it_never() {
    let gateway = gateway().await;
    let target = gateway.public.port().to_string();
    let hop = bare::node("express_hop.mjs", &[&target, "pipe"]).await;
    said(&gateway, &hop, "").await.blames(1, "Node", "cut_hangs", "pipeline(upstream, res");
}

const WRONG: &str = "proxy_ignore_headers X-Accel-Buffering;";
const RIGHT: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;";

/// Two of nginx, one behind the other.
async fn two(inner: &str, outer: &str) -> (Gateway, Hop, Hop, Diagnosis) {
    let gateway = gateway().await;
    let inner = bare::nginx(gateway.public, inner).await;
    let outer = bare::nginx(inner.address, outer).await;
    let behind = format!("inner={}", inner.url());
    let said = examine(&[&format!("outer={}", outer.url()), &behind, &innermost(&gateway)]).await;
    (gateway, inner, outer, said)
}

#[tokio::test]
async fn of_two_the_outer_one_is_blamed_that_is_wrong() {
    // What the inner one passes on says nothing of buffering any more.
    two(RIGHT, "").await.3.blames(2, "nginx", "buffers_by_size", "proxy_buffering off;");
}

#[tokio::test]
async fn of_two_the_inner_one_is_blamed_that_is_wrong() {
    two(WRONG, RIGHT).await.3.blames(1, "nginx", "buffers_by_size", "proxy_buffering off;");
}
