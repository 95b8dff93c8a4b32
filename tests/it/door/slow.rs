//! Clients that take their time: each waits at its own cost.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::peer::{Http2, read_all};
use crate::support::{Client, Request, Setup, Upstream, chat, openai, within};

#[tokio::test]
async fn a_body_that_drips_is_a_408() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("body_timeout = \"300ms\"").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let dripping = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let heard = tokio::select! {
        heard = read_all(&mut reader) => heard,
        () = dripping => unreachable!(),
    };
    assert!(heard.starts_with("HTTP/1.1 408 ") && heard.contains("connection: close"), "{heard}");
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_body_that_keeps_up_the_rate_may_take_longer() {
    let mut upstream = Upstream::start().await;
    let lines = "body_timeout = \"300ms\"\nmin_body_rate = \"16KiB\"";
    let gateway = Setup::new().server(lines).backend("one", "openai", &upstream.url()).start().await;
    let mut body = chat();
    body["messages"][0]["content"] = "a".repeat(64 * 1024).into();
    let bytes = Request::post("/v1/chat/completions", &body).to_bytes("localhost");
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let started = Instant::now();
    for piece in bytes.chunks(16 * 1024) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await; // the subject: a link of 80 KiB a second
    }
    assert!(started.elapsed() > Duration::from_millis(600));
    upstream.call().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_stream_and_others_do_not_notice() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("write_timeout = \"500ms\"").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let mut narrow = Client::connect_narrow(gateway.public).await;
    narrow.ask(&Request::post("/v1/chat/completions", &chat())).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let text = openai::text(&"w".repeat(1000));
    let frame = format!("data: {text}\n\n");
    let flooding = async {
        while call.try_send(format!("{:x}\r\n{frame}\r\n", frame.len()).as_bytes()).await.is_ok() {}
    };
    within("the backend to be left", flooding).await;
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"slow_read\""], 1.0).await;
    drop(narrow);
}

#[tokio::test]
async fn a_client_that_takes_a_little_now_and_then_keeps_its_stream() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("write_timeout = \"1s\"").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(gateway.public).await.unwrap();
    stream.write_all(&Request::post("/v1/chat/completions", &chat()).to_bytes("localhost")).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let frame = format!("data: {}\n\n", openai::text(&"w".repeat(1000)));
    let chunk = format!("{:x}\r\n{frame}\r\n", frame.len());
    let flooding = async {
        loop {
            call.try_send(chunk.as_bytes()).await.expect("the stream goes on");
        }
    };
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(100)).await; // the subject: a slow link
            assert!(within("bytes", stream.read(&mut buffer)).await.unwrap() > 0);
        }
    };
    tokio::select! {
        () = reading => {}
        () = flooding => {}
    }
}

#[tokio::test]
async fn a_stream_of_http_2_whose_client_gives_no_room_is_ended_alone() {
    let mut upstream = Upstream::start().await;
    let lines = "h2c = true\nwrite_timeout = \"500ms\"";
    let gateway = Setup::new().server(lines).backend("one", "openai", &upstream.url()).start().await;
    let mut client = Http2::connect(gateway.public).await;
    let (answer, _stream) = client.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let body = within("an answer", answer).await.unwrap().into_body(); // and nothing of it is taken
    let frame = format!("data: {}\n\n", openai::text(&"w".repeat(1000)));
    let chunk = format!("{:x}\r\n{frame}\r\n", frame.len());
    within("the backend to be left", async { while call.try_send(chunk.as_bytes()).await.is_ok() {} }).await;
    gateway.metric_reaches("streamgate_connections_refused_total", &["reason=\"slow_read\""], 1.0).await;
    assert_eq!(client.get("http://localhost/healthz").await.status(), 200);
    drop(body);
}
