//! Behind real proxies: what they read otherwise than the gateway does not reach a backend as a request of its own.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::peer::read_all;
use crate::support::hops::{Hop, Program};
use crate::support::{Gateway, Setup};

/// nginx that keeps its connections to the gateway.
async fn nginx(gateway: &Gateway) -> Hop {
    let hop = Program::Nginx.start_as(|address| {
        format!(
            "upstream gateway {{ server {}; keepalive 8; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://gateway; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host localhost; }} }}\n",
            gateway.public
        )
    });
    hop.answers().await;
    hop
}

/// `more` is said of the gateway's line.
async fn haproxy(gateway: &Gateway, mode: &str, more: &str) -> Hop {
    let hop = Program::Haproxy.start_as(|address| {
        format!(
            "defaults\n mode {mode}\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             frontend f\n bind {address}\n default_backend b\nbackend b\n server s {} {more}\n",
            gateway.public
        )
    });
    hop.answers().await;
    hop
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A backend that writes down what it is asked, and answers everything.
async fn recorder() -> (String, Lines, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, lines) = (format!("http://{}", listener.local_addr().unwrap()), Lines::default());
    let mut tasks = JoinSet::new();
    let seen = Arc::clone(&lines);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(record(stream, Arc::clone(&seen)));
        }
    });
    (url, lines, tasks)
}

async fn record(mut stream: TcpStream, seen: Lines) {
    let mut heard = Vec::new();
    let mut buffer = vec![0; 4096];
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&heard).into_owned();
    seen.lock().push(text.lines().next().unwrap_or_default().to_owned());
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    drop(stream.write_all(answer).await); // whom it was for may be gone
}

/// Bodies that hold a request of their own, for hops that disagree about where they end.
fn smuggling() -> Vec<String> {
    let hidden = "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 26\r\n\r\n{\"model\":\"m\",\"input\":\"ab\"}";
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let codings = [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: a\nTransfer-Encoding: chunked",
        "X: a\rTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: \"chunked\"",
    ];
    let mut made = Vec::new();
    for coding in codings {
        let whole = format!("0\r\n\r\n{hidden}");
        made.push(format!("{head}{coding}\r\nContent-Length: {}\r\n\r\n{whole}", whole.len()));
        let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        let to_size = chunked.find("\r\n").unwrap() + 2;
        made.push(format!("{head}{coding}\r\nContent-Length: {to_size}\r\n\r\n{chunked}"));
    }
    for size in ["1 ", "1;\n", "0x1", "1\n", "+1", "00000000000000001", "1;\rx"] {
        let body = format!("{size}\r\na\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        made.push(format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}"));
    }
    made.push(format!("{head}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()));
    made.push(format!("{head}Content-Length: 0, {}\r\n\r\n{hidden}", hidden.len()));
    made
}

async fn nothing_is_smuggled(hop: &Hop, seen: &Lines) {
    let asked = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for request in smuggling() {
        let mut stream = TcpStream::connect(hop.address).await.unwrap();
        drop(stream.write_all(request.as_bytes()).await); // it may be closed upon
        // What is understood of it ends here, so that no hop waits for more.
        drop(stream.shutdown().await);
        drop(tokio::time::timeout(std::time::Duration::from_secs(2), read_all(&mut stream)).await);
        // Whoever comes next is not answered with what was left behind.
        let mut next = TcpStream::connect(hop.address).await.unwrap();
        next.write_all(asked.as_bytes()).await.unwrap();
        let heard = read_all(&mut next).await;
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard} behind {request:?}");
        let lines = seen.lock().clone();
        assert!(lines.iter().all(|line| !line.contains("embeddings")), "{lines:?} behind {request:?}");
    }
}

#[tokio::test]
async fn nothing_is_smuggled_through_nginx() {
    let (url, seen, _tasks) = recorder().await;
    let gateway = Setup::new().backend("one", "openai", &url).start().await;
    nothing_is_smuggled(&nginx(&gateway).await, &seen).await;
}

#[tokio::test]
async fn nothing_is_smuggled_through_haproxy() {
    let (url, seen, _tasks) = recorder().await;
    let gateway = Setup::new().backend("one", "openai", &url).start().await;
    let hop = haproxy(&gateway, "http", "").await;
    nothing_is_smuggled(&hop, &seen).await;
}

#[tokio::test]
async fn haproxy_names_the_client_with_the_proxy_protocol() {
    let lines = "trusted_proxies = [\"127.0.0.1/32\"]\nproxy_protocol = true";
    let gateway = Setup::new().server(lines).demo().start().await;
    for (more, id) in [("send-proxy", "hop-1"), ("send-proxy-v2", "hop-2")] {
        let hop = haproxy(&gateway, "tcp", more).await;
        let client = tokio::net::TcpSocket::new_v4().unwrap();
        client.bind("127.0.0.3:0".parse().unwrap()).unwrap();
        let mut client = client.connect(hop.address).await.unwrap();
        let asked = format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n"
        );
        client.write_all(asked.as_bytes()).await.unwrap();
        assert!(read_all(&mut client).await.starts_with("HTTP/1.1 200 "));
        let line = gateway.access_line(id).await;
        assert!(line.contains("address=127.0.0.3"), "{line}");
    }
}
