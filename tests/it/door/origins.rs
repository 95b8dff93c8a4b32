//! Origins: a page of the gateway's own origin may call, whatever HTTP it speaks, and that of another scheme may not.

use http::Request as Http;

use tokio::io::AsyncWriteExt;

use super::Certificates;
use super::peer::{Http2, read_until};
use crate::support::{Gateway, Request, Setup};

async fn gateway(lines: &str) -> Gateway {
    Setup::new().server(lines).demo().start().await
}

async fn status(gateway: &Gateway, origin: &str, header: (&str, &str)) -> u16 {
    let host = format!("localhost:{}", gateway.public.port());
    let request = Request::get("/v1/models").header("host", &host).header(header.0, header.1);
    gateway.send(&request.header("origin", origin)).await.status
}

#[tokio::test]
async fn a_page_of_our_own_may_call_over_http_2_and_strangers_may_not() {
    let gateway = gateway("h2c = true").await;
    let mut client = Http2::connect(gateway.public).await;
    let own = format!("http://localhost:{}", gateway.public.port());
    for (origin, status) in [
        (own.as_str(), 200),
        ("http://localhost", 403),
        ("http://localhost:1", 403),
        ("http://evil.test", 403),
        ("null", 403),
    ] {
        let request = Http::get(format!("{own}/v1/models")).header("origin", origin).body(()).unwrap();
        assert_eq!(client.answer(request).await.status(), status, "{origin}");
    }
    // A Host beside the authority is the same, or refused.
    let named = Http::get(format!("{own}/v1/models"))
        .header("host", "localhost:1")
        .header("origin", "http://localhost:1");
    assert_eq!(client.answer(named.body(()).unwrap()).await.status(), 400);
}

#[tokio::test]
async fn behind_a_proxy_the_scheme_is_what_it_says_if_it_is_trusted() {
    let trusting = gateway("trusted_proxies = [\"127.0.0.0/8\"]").await;
    let origin = |gateway: &Gateway, scheme: &str| format!("{scheme}://localhost:{}", gateway.public.port());
    let told = |scheme| ("x-forwarded-proto", scheme);
    assert_eq!(status(&trusting, &origin(&trusting, "https"), told("https")).await, 200);
    assert_eq!(status(&trusting, &origin(&trusting, "http"), told("https")).await, 403);
    assert_eq!(status(&trusting, &origin(&trusting, "https"), told("http")).await, 403);
    let rfc = gateway("trusted_proxies = [\"127.0.0.0/8\"]\nforwarded_header = \"forwarded\"").await;
    assert_eq!(status(&rfc, &origin(&rfc, "http"), ("forwarded", "for=192.0.2.1;proto=https")).await, 403);
    assert_eq!(status(&rfc, &origin(&rfc, "https"), ("forwarded", "for=192.0.2.1;proto=https")).await, 200);
    let wary = gateway("trusted_proxies = [\"10.0.0.0/8\"]").await;
    assert_eq!(status(&wary, &origin(&wary, "http"), told("https")).await, 200, "anybody may say so");
}

#[tokio::test]
async fn over_tls_a_page_without_it_is_another_origin() {
    let certificates = Certificates::new();
    let gateway = certificates.gateway("http://127.0.0.1:9").await;
    let mut client = Box::pin(Http2::over(certificates.connect(&gateway, &[b"h2"]).await)).await;
    for (origin, status) in
        [("https://localhost", 200), ("https://localhost:443", 200), ("http://localhost", 403)]
    {
        let request = Http::get("https://localhost/v1/models").header("origin", origin).body(()).unwrap();
        assert_eq!(client.answer(request).await.status(), status, "{origin}");
        let mut stream = certificates.connect(&gateway, &[b"http/1.1"]).await;
        let request = Request::get("/v1/models").header("origin", origin).to_bytes("localhost");
        stream.write_all(&request).await.unwrap();
        let heard = read_until(&mut stream, "\r\n").await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {heard}");
    }
}
