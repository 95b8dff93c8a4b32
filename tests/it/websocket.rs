//! `/events` on a WebSocket: who may open one, what it says, and how it ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Gateway, Heard, Request, Setup, begun, chat, until, within};

const SECRET: &str = "sk-it-events-77/a+b=";

type Socket = WebSocketStream<TcpStream>;

async fn open(gateway: &Gateway, headers: &[(&'static str, &str)]) -> (Socket, Option<String>) {
    let mut request = format!("ws://{}/events", gateway.public).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::try_from(*value).unwrap());
    }
    let stream = TcpStream::connect(gateway.public).await.unwrap();
    let (socket, response) = within("a handshake", client_async(request, stream)).await.unwrap();
    let protocol = response.headers().get("sec-websocket-protocol");
    (socket, protocol.map(|value| value.to_str().unwrap().to_owned()))
}

/// What comes next but pings, which are answered on the way.
async fn heard(socket: &mut Socket) -> Message {
    loop {
        let message = within("a message", socket.next()).await.expect("a message").expect("a lawful message");
        if !message.is_ping() {
            return message;
        }
    }
}

/// The next message in words.
async fn next(socket: &mut Socket) -> Value {
    let message = heard(socket).await;
    assert!(message.is_text(), "{message:?}");
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// Pings, and gives what comes before the pong.
async fn before_pong(socket: &mut Socket) -> Vec<String> {
    socket.send(Message::Ping("there?".into())).await.unwrap();
    let mut before = Vec::new();
    loop {
        let message = heard(socket).await;
        if let Message::Pong(said) = message {
            assert_eq!(said.as_ref(), b"there?");
            return before;
        }
        before.push(message.into_text().unwrap().to_string());
    }
}

/// The next message of this type; those of the backends' states may come in between.
async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["type"] == kind {
            return message;
        }
        assert!(message["type"].as_str().unwrap().starts_with("Backend"), "{message} before {kind}");
    }
}

/// A handshake by hand.
fn upgrade() -> Request {
    Request::get("/events")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// The code of the close that comes next.
async fn close_code(socket: &mut Socket) -> CloseCode {
    loop {
        match within("a close", socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code,
            Some(Ok(Message::Text(_) | Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_is_told_from_its_beginning_to_its_end() {
    let gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    let snapshot = next(&mut socket).await;
    assert_eq!(snapshot["type"], "Snapshot");
    assert_eq!(snapshot["backends"][0]["name"], "demo");
    assert_eq!((&snapshot["streams"], &snapshot["downloads"]), (&json!([]), &json!([])));
    let asked = json!({"model": "demo:words=2,pace=1ms", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let mut answer = gateway.post("/v1/chat/completions", &asked).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    let started = next_of(&mut socket, "StreamStarted").await;
    let id = started["stream"]["id"].clone();
    assert_eq!(id.as_str().unwrap().len(), 26);
    assert_eq!(started["stream"]["model"], "demo:words=2,pace=1ms");
    let first = next_of(&mut socket, "StreamFirstToken").await;
    assert_eq!((&first["stream"]["id"], &first["stream"]["backend"]), (&id, &json!("demo")));
    let ended = next_of(&mut socket, "StreamEnded").await;
    assert_eq!((&ended["stream"]["id"], &ended["stream"]["end"]), (&id, &json!("done")));
}

#[tokio::test]
async fn a_stream_that_runs_is_in_the_first_message() {
    let (gateway, _upstream, answer, _call) = begun("openai", &[]).await;
    let (mut socket, _) = open(&gateway, &[]).await;
    let snapshot = next(&mut socket).await;
    assert_eq!(snapshot["streams"][0]["backend"], "one");
    drop(answer);
    let ended = next_of(&mut socket, "StreamEnded").await;
    assert_eq!(ended["stream"]["end"], "client_gone");
}

#[tokio::test]
async fn a_backend_that_goes_and_comes_is_told() {
    let setup = Setup::new().backend("away", "openai", "http://127.0.0.1:9");
    let gateway = setup.start().await;
    gateway.logged("is not there;").await;
    let (mut socket, _) = open(&gateway, &[]).await;
    let snapshot = next(&mut socket).await;
    assert_eq!(snapshot["backends"], json!([{"name": "away", "state": "down"}]));
    assert_eq!(gateway.post("/v1/chat/completions", &chat()).await.status, 502);
    assert_eq!(next(&mut socket).await["type"], "StreamStarted");
    // It was down before: that is no change.
    assert_eq!(next(&mut socket).await["type"], "StreamEnded");
}

#[tokio::test]
async fn only_the_callers_own_streams_are_told() {
    let setup = Setup::new().key("alice", "sk-alice-1", "").key("bob", "sk-bob-1", "");
    let gateway = setup.demo().start().await;
    let (mut alice, _) = open(&gateway, &[("authorization", "Bearer sk-alice-1")]).await;
    let (mut bob, _) = open(&gateway, &[("x-api-key", "sk-bob-1")]).await;
    let asked =
        json!({"model": "demo:words=1", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post("/v1/chat/completions", &asked);
    let mut answer = gateway.send(&request.header("authorization", "Bearer sk-alice-1")).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    assert_eq!(next(&mut alice).await["type"], "Snapshot");
    next_of(&mut alice, "StreamStarted").await;
    next_of(&mut alice, "StreamFirstToken").await;
    next_of(&mut alice, "StreamEnded").await;
    assert_eq!(next(&mut bob).await["type"], "Snapshot");
    let told = before_pong(&mut bob).await;
    assert!(!told.iter().any(|text| text.contains("Stream")), "{told:?}");
}

#[tokio::test]
async fn a_listener_may_ask_for_a_part() {
    let gateway = Setup::new().demo().start().await;
    let request = Request::get("/events?only=downloads").header("accept", "text/event-stream");
    let mut answer = gateway.send(&request).await;
    assert_eq!(answer.next_event().await.data, "{\"downloads\":[],\"type\":\"Snapshot\"}");
    assert_eq!(gateway.get("/events?only=everything").await.status, 400);
}

#[tokio::test]
async fn pages_of_strangers_get_no_websocket() {
    let gateway = Setup::new().server("allowed_origins = [\"https://app.example.org\"]").demo().start().await;
    for origin in ["https://evil.test", "null", "http://localhost.evil.test"] {
        assert_eq!(gateway.send(&upgrade().header("origin", origin)).await.status, 403, "{origin}");
    }
    assert_eq!(gateway.send(&upgrade().header("host", "evil.test")).await.status, 421);
    let (mut socket, _) = open(&gateway, &[("origin", "https://app.example.org")]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
}

#[tokio::test]
async fn a_websocket_needs_a_key_where_there_are_keys() {
    let setup = Setup::new().key("alice", SECRET, "").key("back", "sk-publisher", "scopes = [\"publish\"]");
    let gateway = setup.demo().start().await;
    assert_eq!(gateway.send(&upgrade()).await.status, 401);
    assert_eq!(
        gateway.send(&upgrade().header("sec-websocket-protocol", "streamgate.key.x")).await.status,
        401
    );
    assert_eq!(gateway.send(&upgrade().header("x-api-key", "sk-publisher")).await.status, 403);
    let (mut socket, _) = open(&gateway, &[("authorization", &format!("Bearer {SECRET}"))]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
}

#[tokio::test]
async fn a_page_sends_its_key_as_a_protocol_and_is_not_sent_it_back() {
    let gateway = Setup::new().key("alice", SECRET, "").demo().start().await;
    let offered = "streamgate.events, streamgate.key.sk-it-events-77%2Fa%2Bb%3D";
    let (mut socket, protocol) = open(&gateway, &[("sec-websocket-protocol", offered)]).await;
    assert_eq!(protocol.as_deref(), Some("streamgate.events"));
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
    // Nowhere else: a protocol is no way to ask a model.
    let elsewhere = Request::get("/v1/models").header("sec-websocket-protocol", offered);
    assert_eq!(gateway.send(&elsewhere).await.status, 401);
    assert!(!gateway.log().contains("sk-it-events-77"));
}

#[tokio::test]
async fn a_request_that_asks_for_neither_is_told_what_to_ask_for() {
    let gateway = Setup::new().demo().start().await;
    let answer = gateway.get("/events").await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
    let old = gateway.send(&upgrade().header("sec-websocket-version", "8")).await;
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")));
    assert_eq!(gateway.send(&upgrade().header("sec-websocket-key", "short")).await.status, 400);
    let taken = gateway.send(&upgrade()).await;
    assert_eq!(taken.status, 101);
    assert_eq!(taken.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); // RFC 6455 section 1.3
}

#[tokio::test]
async fn what_a_client_says_is_ignored() {
    let gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    socket.send(Message::Text("{\"type\":\"DownloadStopped\"}".into())).await.unwrap();
    socket.send(Message::Binary(vec![0xff; 1000].into())).await.unwrap();
    before_pong(&mut socket).await;
}

/// Bytes on the socket behind the handshake, and the code of the close that answers them.
async fn closes(bytes: &[u8]) -> CloseCode {
    let gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
    socket.get_mut().write_all(bytes).await.unwrap();
    close_code(&mut socket).await
}

#[tokio::test]
async fn frames_that_are_not_lawful_are_told_so() {
    assert_eq!(closes(&[0x81, 0x01, b'a']).await, CloseCode::Protocol, "not masked");
    assert_eq!(closes(&[0x83, 0x80, 0, 0, 0, 0]).await, CloseCode::Protocol, "an unknown opcode");
    assert_eq!(closes(&[0xc1, 0x80, 0, 0, 0, 0]).await, CloseCode::Protocol, "a reserved bit");
    assert_eq!(closes(&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]).await, CloseCode::Invalid, "not UTF-8");
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_told_so_before_it_is_read() {
    let mut frame = vec![0x82, 0xff];
    frame.extend(16_000_000_u64.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![7; 200_000]);
    assert_eq!(closes(&frame).await, CloseCode::Size);
}

#[tokio::test]
async fn a_flood_of_pings_ends_nothing() {
    let gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
    let (resident, pings) = (gateway.resident(), [0x89, 0x80, 0, 0, 0, 0].repeat(50_000));
    let (mut read, mut write) = tokio::io::split(socket.get_mut());
    let mut scrap = vec![0; 64 << 10];
    let reading = async { while read.read(&mut scrap).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = reading => panic!("the gateway closed"),
        written = within("the gateway to take pings", write.write_all(&pings)) => written.unwrap(),
    }
    assert!(gateway.resident() < resident + 8192, "{} KiB", gateway.resident());
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_let_go() {
    let gateway = Setup::new().stream("keep_alive = \"100ms\"").demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    let mut bytes = Vec::new();
    // Read by hand, so that nothing is answered.
    within("the end", socket.get_mut().read_to_end(&mut bytes)).await.unwrap();
    assert!(bytes.windows(2).any(|frame| frame == [0x89, 0]), "a ping in {bytes:?}");
    until("the connection to be gone", async || {
        gateway.metric("streamgate_connections_live", &[]).await < 1.5 // the one that asks
    })
    .await;
}

#[tokio::test]
async fn a_client_that_answers_pings_is_kept() {
    let gateway = Setup::new().stream("keep_alive = \"50ms\"").demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    let heard = tokio::time::timeout(Duration::from_millis(600), async {
        while let Some(message) = socket.next().await {
            message.unwrap();
        }
    });
    assert!(heard.await.is_err(), "the gateway closed");
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection() {
    let setup = Setup::new().server("max_connections = 1\nworkers = 1");
    let gateway = setup.demo().start().await;
    let (socket, _) = open(&gateway, &[]).await;
    let refused = gateway.ask(&Request::get("/healthz")).await.answer_or_close().await;
    assert!(refused.is_none_or(|answer| answer.status == 503));
    drop(socket);
    until("a free place", async || {
        gateway
            .ask(&Request::get("/healthz"))
            .await
            .answer_or_close()
            .await
            .is_some_and(|it| it.status == 200)
    })
    .await;
}

#[tokio::test]
async fn a_restart_closes_websockets_with_1001() {
    let mut gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
    gateway.signal("TERM");
    assert_eq!(close_code(&mut socket).await, CloseCode::Away);
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let gateway = Setup::new().demo().start().await;
    let (mut socket, _) = open(&gateway, &[]).await;
    assert_eq!(next(&mut socket).await["type"], "Snapshot");
    socket.close(None).await.unwrap();
    loop {
        match within("the answer to a close", socket.next()).await {
            Some(Ok(Message::Close(_))) | None => break,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
