//! Paths that are right: the doctor finds nothing.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::doctor::{examine, examine_with, gateway};
use crate::support::Gateway;
use crate::support::hops::{Hop, bare};

async fn is_clean(gateway: &Gateway, hop: &Hop) {
    examine(&[&hop.url(), &format!("gateway=http://{}", gateway.public)]).await.is_clean();
}

#[tokio::test]
async fn the_gateway_alone() {
    let gateway = gateway().await;
    let said = examine(&[&format!("http://{}", gateway.public)]).await;
    said.is_clean();
    assert_eq!(said.report["evidence"], "stamps");
    assert_eq!(said.report["hops"][0]["leaving"]["noticed"], true, "{}", said.all);
}

#[tokio::test]
async fn nginx_that_speaks_http_1_1() {
    let gateway = gateway().await;
    is_clean(&gateway, &bare::nginx(gateway.public, "proxy_http_version 1.1;").await).await;
}

#[tokio::test]
async fn who_left_is_told_behind_a_hop_that_hides_the_streams_id() {
    let gateway = gateway().await;
    let hop = bare::nginx(gateway.public, "proxy_http_version 1.1; proxy_hide_header Stream-Id;").await;
    let said = examine(&[&hop.url(), &format!("gateway=http://{}", gateway.public)]).await;
    said.is_clean();
    for moment in ["leaving", "leaving_in_silence", "leaving_in_prefill"] {
        assert_eq!(said.report["hops"][1][moment]["noticed"], true, "{moment}: {}", said.all);
    }
}

#[tokio::test]
async fn haproxy_without_delay() {
    let gateway = gateway().await;
    let lines = "  option http-no-delay\n  option abortonclose";
    is_clean(&gateway, &bare::haproxy(gateway.public, lines, "").await).await;
}

#[tokio::test]
async fn varnish_that_passes() {
    let gateway = gateway().await;
    let lines = "sub vcl_recv { return (pass); }";
    is_clean(&gateway, &bare::varnish(gateway.public, lines).await).await;
}

#[tokio::test]
async fn apache_that_compresses_and_flushes() {
    let gateway = gateway().await;
    let lines = "AddOutputFilterByType DEFLATE text/event-stream";
    is_clean(&gateway, &bare::apache(gateway.public, lines).await).await;
}

#[tokio::test]
async fn caddy_that_encodes() {
    let gateway = gateway().await;
    is_clean(&gateway, &bare::caddy(gateway.public, "", "encode gzip", "").await).await;
}

#[tokio::test]
async fn express_without_compression() {
    let gateway = gateway().await;
    is_clean(&gateway, &bare::express(gateway.public, false).await).await;
}

#[tokio::test]
async fn nginx_over_tls_speaks_http_2() {
    let gateway = gateway().await;
    let folder = TempDir::new().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let listen = format!(
        "ssl http2; ssl_certificate {}; ssl_certificate_key {}",
        certificate.display(),
        key.display()
    );
    let hop =
        bare::nginx_listening(gateway.public, &listen, "proxy_http_version 1.1; proxy_buffering off;").await;
    let public = hop.url().replace("http:", "https:");
    let said = examine_with(&[&public, &format!("gateway=http://{}", gateway.public)], &["--insecure"]).await;
    said.is_clean();
    let probes = said.report["hops"][1]["probes"].as_array().unwrap();
    let http2 = probes.iter().find(|probe| probe["variant"] == "http2").expect("a probe over HTTP/2");
    assert_eq!(http2["http"], "HTTP/2.0", "{}", said.all);
}
