//! Refused before the body has come: the answer does not wait for it, and it is not read for ever.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::peer::{read_all, read_until};
use crate::support::{Gateway, Setup};

const SECRET: &str = "sk-it-refused-1";

async fn gateway() -> Gateway {
    Setup::new().key("alice", SECRET, "requests_per_minute = 1").demo().start().await
}

/// The heads of requests that are refused by what stands in them.
fn heads() -> Vec<(&'static str, String)> {
    let keyed = format!("Host: localhost\r\nAuthorization: Bearer {SECRET}");
    let chat = "POST /v1/chat/completions HTTP/1.1\r\n";
    vec![
        ("401", format!("{chat}Host: localhost\r\nAuthorization: Bearer wrong")),
        ("401", format!("{chat}Host: localhost")),
        ("421", format!("{chat}Host: evil.test\r\nAuthorization: Bearer {SECRET}")),
        ("403", format!("{chat}{keyed}\r\nOrigin: https://evil.test")),
        ("404", format!("POST /v1/nowhere HTTP/1.1\r\n{keyed}")),
        ("405", format!("PUT /v1/chat/completions HTTP/1.1\r\n{keyed}")),
        ("400", format!("POST /v1/streams/a/cancel?id=a&id=b HTTP/1.1\r\n{keyed}")),
        ("403", format!("POST /v1/channels/job HTTP/1.1\r\n{keyed}")),
    ]
}

/// The first answer to these bytes, which are all that comes.
async fn first(gateway: &Gateway, bytes: &str) -> String {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    read_until(&mut stream, "}").await
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_does_not_come() {
    let gateway = gateway().await;
    for (status, head) in heads() {
        for more in ["Content-Length: 100", "Content-Length: 60000000", "Transfer-Encoding: chunked"] {
            let heard = first(&gateway, &format!("{head}\r\n{more}\r\n\r\n")).await;
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {heard}");
        }
    }
}

#[tokio::test]
async fn nobody_is_told_to_go_on_with_what_is_refused() {
    let gateway = gateway().await;
    for (status, head) in heads() {
        let mut stream = TcpStream::connect(gateway.public).await.unwrap();
        let head = format!("{head}\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let heard = read_all(&mut stream).await; // whether the body comes nobody can know: the connection ends
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")) && !heard.contains(" 100 "), "{heard}");
        assert!(heard.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{heard}");
    }
}

#[tokio::test]
async fn a_key_over_its_limit_is_told_so_before_its_body_comes() {
    let gateway = gateway().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n"
    );
    assert!(
        first(&gateway, &format!("{head}Content-Length: 2\r\n\r\n{{}}")).await.starts_with("HTTP/1.1 400 ")
    );
    for more in ["Content-Length: 100", "Expect: 100-continue\r\nContent-Length: 100"] {
        assert!(first(&gateway, &format!("{head}{more}\r\n\r\n")).await.starts_with("HTTP/1.1 429 "));
    }
}

#[tokio::test]
async fn a_small_body_behind_a_refusal_keeps_the_connection_and_is_no_next_request() {
    let gateway = Setup::new().key("alice", SECRET, "").demo().start().await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let evil = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        evil.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "}").await.starts_with("HTTP/1.1 401 "));
    stream.write_all(evil.as_bytes()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let heard = read_all(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.matches("HTTP/1.1").count() == 1, "{heard}");
}

#[tokio::test]
async fn a_wrong_key_is_not_read_for_long() {
    let gateway = gateway().await;
    for (more, prefix) in [("Content-Length: 60000000", ""), ("Transfer-Encoding: chunked", "3938700\r\n")] {
        let mut stream = TcpStream::connect(gateway.public).await.unwrap();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{more}\r\n\r\n{prefix}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let heard = read_until(&mut stream, "}").await;
        assert!(heard.starts_with("HTTP/1.1 401 "), "{heard}");
        let (piece, mut taken) = (vec![b'x'; 64 << 10], 0);
        let sending = async {
            while stream.write_all(&piece).await.is_ok() {
                taken += piece.len();
            }
        };
        timeout(Duration::from_secs(30), sending).await.expect("the gateway to close");
        // What is in the buffers of both sockets counts as taken, too.
        assert!(taken < 32 << 20, "{taken} bytes of a body that nobody wants");
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
}
