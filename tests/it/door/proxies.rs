//! Behind proxies: who calls is whom trusted ones name, and nobody else.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::peer::{read_all, told};
use crate::support::{Gateway, Request, Setup};

async fn address_of(gateway: &Gateway, id: &str, header: (&str, &str)) -> String {
    gateway.send(&Request::get("/healthz").header("x-request-id", id).header(header.0, header.1)).await;
    let line = gateway.access_line(id).await;
    let (_, rest) = line.split_once("address=").unwrap_or_else(|| panic!("no address in {line}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_client_is_whom_trusted_proxies_name() {
    let trusting = Setup::new().server("trusted_proxies = [\"127.0.0.0/8\"]").demo().start().await;
    let named = ("x-forwarded-for", "203.0.113.9, 198.51.100.7, 127.0.0.5");
    assert_eq!(address_of(&trusting, "proxy-1", named).await, "198.51.100.7");
    assert_eq!(address_of(&trusting, "proxy-2", ("forwarded", "for=198.51.100.7")).await, "127.0.0.1");
    let lines = "trusted_proxies = [\"127.0.0.0/8\"]\nforwarded_header = \"forwarded\"";
    let rfc = Setup::new().server(lines).demo().start().await;
    assert_eq!(address_of(&rfc, "proxy-3", ("forwarded", "for=198.51.100.7")).await, "198.51.100.7");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let gateway = Setup::new().server("trusted_proxies = [\"10.0.0.0/8\"]").demo().start().await;
    assert_eq!(address_of(&gateway, "proxy-4", ("x-forwarded-for", "198.51.100.7")).await, "127.0.0.1");
}

const ASKED: &[u8] =
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: proxy-5\r\nConnection: close\r\n\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\x02\x01\x12\x67\x01\xbb";

#[tokio::test]
async fn a_trusted_proxy_names_the_client_before_the_first_byte() {
    let lines = "trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\nheader_timeout = \"300ms\"";
    for header in [&b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n"[..], V2] {
        let gateway = Setup::new().server(lines).demo().start().await;
        let mut stream = TcpStream::connect(gateway.public).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in [header, ASKED].concat().chunks(10) {
            stream.write_all(piece).await.unwrap();
        }
        let heard = read_all(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
        let line = gateway.access_line("proxy-5").await;
        assert!(line.contains("address=198.51.100.7"), "{line}");
        assert_eq!(told(gateway.public, ASKED).await, "", "a connection without the header");
        assert_eq!(told(gateway.public, b"PROXY TCP4").await, "", "a header that does not end");
    }
}

#[tokio::test]
async fn a_stranger_cannot_name_another() {
    let lines = "trusted_proxies = [\"10.0.0.0/8\"]\nproxy_protocol = true";
    let gateway = Setup::new().server(lines).demo().start().await;
    let spoofed = [b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n", ASKED].concat();
    assert!(told(gateway.public, &spoofed).await.starts_with("HTTP/1.1 400 "));
    assert!(told(gateway.public, ASKED).await.starts_with("HTTP/1.1 200 "));
}
