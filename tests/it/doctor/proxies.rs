//! Envoy, Traefik and Caddy: set up wrong, the doctor names them; set up in a way that sounds wrong and is not, it does not.

use crate::doctor::{Diagnosis, examine, examine_with, gateway};
use crate::support::Gateway;
use crate::support::hops::{Hop, bare};

async fn said(gateway: &Gateway, hop: &Hop, name: &str) -> Diagnosis {
    said_with(gateway, hop, name, &[]).await
}

async fn said_with(gateway: &Gateway, hop: &Hop, name: &str, more: &[&str]) -> Diagnosis {
    let public = if name.is_empty() { hop.url() } else { format!("{name}={}", hop.url()) };
    let innermost = format!("gateway=http://{}", gateway.public);
    if more.is_empty() {
        examine(&[&public, &innermost]).await
    } else {
        examine_with(&[&public, &innermost], more).await
    }
}

/// The field of an Envoy filter with this name and configuration.
fn filter(name: &str, kind: &str, fields: &str) -> String {
    format!(
        "{{ name: envoy.filters.http.{name}, typed_config: {{ \
         \"@type\": type.googleapis.com/envoy.extensions.filters.http.{kind}{fields} }} }},"
    )
}

#[tokio::test]
async fn envoy_with_a_time_that_a_route_may_take() {
    let gateway = gateway().await;
    let hop = bare::envoy(gateway.public, "", "timeout: 2.4s,", "").await;
    let said = said_with(&gateway, &hop, "", &["--silence", "3500ms"]).await;
    said.blames(1, "Envoy", "lifetime_cut", "route: { timeout: 0s }");
}

#[tokio::test]
async fn envoy_with_a_short_idle_time() {
    let gateway = gateway().await;
    let hop = bare::envoy(gateway.public, "stream_idle_timeout: 1s,", "timeout: 0s,", "").await;
    said(&gateway, &hop, "").await.blames(1, "Envoy", "idle_cut", "stream_idle_timeout: 0s");
}

#[tokio::test]
async fn envoy_with_lua_that_reads_the_body() {
    let gateway = gateway().await;
    let lua = "function envoy_on_response(handle) handle:body() end";
    let lua = filter("lua", "lua.v3.Lua", &format!(", default_source_code: {{ inline_string: \"{lua}\" }}"));
    let hop = bare::envoy(gateway.public, "", "timeout: 0s,", &lua).await;
    said(&gateway, &hop, "").await.blames(1, "Envoy", "buffers_whole_answer", "response_handle:body()");
}

#[tokio::test]
async fn envoy_that_buffers_requests_and_compresses_is_clean() {
    let gateway = gateway().await;
    let gzip = "{ name: gzip, typed_config: { \
                \"@type\": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip } }";
    let common = "{ content_type: [text/event-stream], min_content_length: 30 }";
    let fields =
        format!(", compressor_library: {gzip}, response_direction_config: {{ common_config: {common} }}");
    let filters = filter("buffer", "buffer.v3.Buffer", ", max_request_bytes: 1000000")
        + &filter("compressor", "compressor.v3.Compressor", &fields);
    let hop = bare::envoy(gateway.public, "", "timeout: 0s,", &filters).await;
    said(&gateway, &hop, "").await.is_clean();
}

#[tokio::test]
async fn traefik_with_the_buffering_middleware() {
    let gateway = gateway().await;
    let hop = bare::traefik(gateway.public, "buffering: { memResponseBodyBytes: 1048576 }", "").await;
    said(&gateway, &hop, "traefik").await.blames(
        1,
        "Traefik",
        "buffers_whole_answer",
        "`buffering` middleware",
    );
}

#[tokio::test]
async fn traefik_with_the_compress_middleware_is_clean() {
    let gateway = gateway().await;
    let hop = bare::traefik(gateway.public, "compress: {}", "").await;
    let said = said(&gateway, &hop, "traefik").await;
    said.is_clean();
    assert!(said.all.contains("it compresses the stream (`gzip`), and flushes every event"), "{}", said.all);
    let lines = format!("{}/api/chat", hop.url());
    let said = examine(&[&lines, &format!("gateway=http://{}", gateway.public)]).await;
    said.is_clean();
}

#[tokio::test]
async fn traefik_that_flushes_by_the_clock_does_not_do_so_with_streams() {
    let gateway = gateway().await;
    let hop = bare::traefik(gateway.public, "", "responseForwarding: { flushInterval: \"2s\" },").await;
    said(&gateway, &hop, "traefik").await.is_clean();
}

#[tokio::test]
async fn caddy_with_response_buffers_which_refuses_what_must_not_be_buffered() {
    let gateway = gateway().await;
    let hop = bare::caddy(gateway.public, "", "", "response_buffers 1MiB").await;
    said(&gateway, &hop, "").await.blames(1, "Caddy", "refused", "response_buffers");
}

#[tokio::test]
async fn caddy_with_a_time_that_an_answer_may_take() {
    let gateway = gateway().await;
    let hop = bare::caddy(gateway.public, "servers {\n timeouts {\n write 2400ms\n }\n }", "", "").await;
    let said = said_with(&gateway, &hop, "caddy", &["--silence", "3500ms"]).await;
    said.blames(1, "Caddy", "lifetime_cut", "write 0");
}

#[tokio::test]
async fn caddy_with_a_short_read_timeout() {
    let gateway = gateway().await;
    let hop = bare::caddy(gateway.public, "", "", "transport http {\n read_timeout 1s\n }").await;
    said(&gateway, &hop, "caddy").await.blames(1, "Caddy", "idle_cut", "read_timeout 0");
}
