//! Clients that go away, cut, repeat, lie and lose their key.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Answer, Call, Ending, Gateway, Heard, Manner, Request, Server, Setup, Upstream, begun, chat,
    gateway_over, openai, prompt, until, within,
};

const CHAT: &str = "/v1/chat/completions";
const ALICE: &str = "sk-it-faults-alice";
const BOB: &str = "sk-it-faults-bob";

#[tokio::test]
async fn a_client_that_resets_in_the_middle_is_counted_and_alarms_nobody() {
    let (gateway, _upstream, answer, mut call) = begun("openai", &[]).await;
    answer.reset();
    call.closed().await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"client_gone\""], 1.0).await;
    until("no stream to be live", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
    let log = gateway.log();
    assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_reaches_no_backend() {
    let (gateway, upstream) = gateway_over("openai", &[]).await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\n{{\"model\":");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut told = Vec::new();
    within("the end", stream.read_to_end(&mut told)).await.unwrap();
    let told = String::from_utf8_lossy(&told);
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{told}");
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_model_that_is_named_twice_is_the_one_that_the_backend_sees() {
    let (mut first, mut last) = (Upstream::start().await, Upstream::start().await);
    let gateway = Setup::new()
        .backend("first", "openai", &first.url())
        .backend("last", "openai", &last.url())
        .route("model = \"first\"\nbackends = [\"first\"]")
        .route("model = \"last\"\nbackends = [\"last\"]")
        .start()
        .await;
    let body = br#"{"model":"first","stream":true,"messages":[],"model":"last"}"#;
    let asked = gateway.ask(&Request::raw(CHAT, body)).await;
    let told = tokio::select! {
        call = last.call() => call,
        answer = asked.answer() => return assert_eq!(answer.status, 400),
        call = first.call() => panic!("a backend that reads the last name was asked for the first: {:?}", call.body),
    };
    assert_eq!(told.json()["model"], "last");
}

#[tokio::test]
async fn a_string_of_10_mb_costs_a_bounded_amount_of_memory() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let before = gateway.resident();
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x".repeat(10 << 20)}]});
    let asked = gateway.ask_post(CHAT, &body).await;
    let mut call = upstream.call().await;
    assert!(call.json()["messages"] == body["messages"], "it came whole");
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
    call.say(&["Oder"]).await;
    call.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
}

/// What nobody expects where an id is expected, as far as it may stand in a header.
const NAUGHTY: &[&str] = &[
    "0",
    "-1",
    "1e309",
    "NaN",
    "18446744073709551616-1",
    "undefined",
    "null",
    "../../etc/passwd",
    "%00",
    "%2e%2e%2f",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "$(id)",
    "`id`",
    ";",
    ",",
    "*",
    "?",
    "[]",
    "abcdefghijklmnopqrstuvwxyz-",
    "abcdefghijklmnopqrstuvwxyz-1",
    "abcdefghijklmnopqrstuvwxyz-99999999999999999999",
    "sg:{x}:meta",
    "*\\r\\n",
    "Ω≈ç√",
    "田中さん",
    "👩‍👩‍👧",
    "\u{202e}",
    "\t",
];

#[tokio::test]
async fn a_last_event_id_that_is_none_fails_nothing_and_shows_nothing_of_others() {
    let server = Server::start(Manner::Well).await;
    let setup = Setup::new().key("alice", ALICE, "").key("bob", BOB, "");
    let gateway = setup.backend("one", "openai", &server.url()).start().await;
    let ask = |key: &str| Request::post(CHAT, &chat()).header("authorization", &format!("Bearer {key}"));
    let mut own = gateway.send(&ask(ALICE).header("x-conversation-id", "talk")).await;
    let id = own.header("stream-id").unwrap().to_owned();
    assert!(Heard::of(&mut own).await.succeeded());
    let foreign = format!("{id}-1");
    for naughty in NAUGHTY.iter().copied().chain([foreign.as_str()]) {
        let asked = ask(BOB).header("last-event-id", naughty).header("x-conversation-id", "talk");
        let mut answer = gateway.send(&asked).await;
        // White space is an empty id: a client that comes back behind a clean end.
        assert!(
            [200, 204, 400, 404, 410, 422].contains(&answer.status),
            "{naughty:?} gave {}",
            answer.status
        );
        assert_ne!(answer.header("stream-id"), Some(id.as_str()), "{naughty:?}");
        if answer.status == 200 {
            assert!(Heard::of(&mut answer).await.succeeded(), "{naughty:?}");
        }
        let read = Request::get(&format!("/v1/streams/{id}")).header("last-event-id", naughty);
        let answer = gateway.send(&read.header("authorization", &format!("Bearer {BOB}"))).await;
        assert_eq!(answer.status, 404, "{naughty:?}");
    }
    assert!(gateway.metric("streamgate_panics_total", &[]).await < 0.5);
}

/// A client that closes its sending side cannot be told from one that is gone, and a backend must not work for nobody: so it is
/// taken for gone, as README says.
#[tokio::test]
async fn a_client_that_half_closes_is_taken_for_one_that_left() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(&Request::post(CHAT, &chat()).to_bytes("localhost")).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut bytes = [0; 4096];
    within("the head", stream.read(&mut bytes)).await.unwrap();
    stream.shutdown().await.unwrap();
    call.closed().await;
    within("the end", async { while stream.read(&mut bytes).await.unwrap_or(0) > 0 {} }).await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"client_gone\""], 1.0).await;
}

#[tokio::test]
async fn a_websocket_that_is_half_closed_is_closed() {
    let gateway = Setup::new().demo().start().await;
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let upgrade = "GET /events HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    let read = within("the handshake", stream.read(&mut bytes)).await.unwrap();
    assert!(bytes[..read].starts_with(b"HTTP/1.1 101"));
    stream.shutdown().await.unwrap();
    within("the end", async { while stream.read(&mut bytes).await.unwrap_or(0) > 0 {} }).await;
    until("the connection to be gone", async || {
        gateway.metric("streamgate_connections_live", &[]).await < 1.5 // the one that asks
    })
    .await;
}

/// Alice and Bob, each with a stream whose first word has come.
struct Two {
    gateway: Gateway,
    upstream: Upstream,
    alice: (Answer, Call),
    bob: (Answer, Call),
}

fn keyed(upstream: &Upstream, keys: &[(&str, &str, &str)]) -> Setup {
    let setup = Setup::new().server("workers = 2").backend("one", "openai", &upstream.url());
    keys.iter().fold(setup, |setup, (name, secret, more)| setup.key(name, secret, more))
}

const READ: &str = "scopes = [\"inference\", \"models\", \"publish\"]";
const BOTH: &[(&str, &str, &str)] = &[("alice", ALICE, READ), ("bob", BOB, READ)];
const BOB_ALONE: &[(&str, &str, &str)] = &[("bob", BOB, READ)];

fn of(secret: &str, request: Request) -> Request {
    request.header("authorization", &format!("Bearer {secret}"))
}

async fn two(headers: &[(&str, &str)]) -> Two {
    let mut upstream = Upstream::start().await;
    let gateway = keyed(&upstream, BOTH).start().await;
    let mut streams = Vec::new();
    for secret in [ALICE, BOB] {
        let request = of(secret, Request::post(CHAT, &chat()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let asked = gateway.ask(&request).await;
        let mut call = upstream.call().await;
        call.say(&["Rhine"]).await;
        let mut answer = asked.answer().await;
        answer.next_event().await;
        streams.push((answer, call));
    }
    let (bob, alice) = (streams.pop().unwrap(), streams.pop().unwrap());
    Two { gateway, upstream, alice, bob }
}

async fn taken(gateway: &Gateway) {
    gateway.metric_reaches("streamgate_config_reloads_total", &["outcome=\"taken\""], 1.0).await;
}

async fn revoked(headers: &[(&str, &str)]) {
    let Two { gateway, upstream, alice: (mut alice, mut her_call), bob: (mut bob, his_call) } =
        two(headers).await;
    gateway.rewrite(&keyed(&upstream, BOB_ALONE).toml());
    let heard = Heard::of(&mut alice).await;
    assert!(heard.failed() && heard.code() == Some("unauthorized"), "{heard:?}");
    her_call.closed().await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"unauthorized\""], 1.0).await;
    taken(&gateway).await;
    his_call.end().await;
    assert!(Heard::of(&mut bob).await.succeeded());
    let answer = gateway.send(&of(ALICE, Request::post(CHAT, &chat()))).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_its_streams_and_no_others() {
    revoked(&[]).await;
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_its_recorded_streams_too() {
    revoked(&[("x-conversation-id", "talk")]).await;
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_its_whole_answers() {
    let mut upstream = Upstream::start().await;
    let gateway = keyed(&upstream, BOTH).start().await;
    let asked = gateway.ask(&of(ALICE, Request::post(CHAT, &prompt("m", false)))).await;
    let mut call = upstream.call().await;
    gateway.rewrite(&keyed(&upstream, BOB_ALONE).toml());
    let mut answer = asked.answer().await;
    assert_eq!(
        (answer.status, answer.json().await["error"]["code"].as_str().unwrap()),
        (401, "unauthorized")
    );
    call.closed().await;
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_its_subscriptions() {
    let upstream = Upstream::start().await;
    let gateway = keyed(&upstream, BOTH).start().await;
    let listen =
        |secret: &str, path: &str| of(secret, Request::get(path).header("accept", "text/event-stream"));
    let channel = "/v1/channels/news";
    let mut lines = join_all([(ALICE, channel), (BOB, channel), (ALICE, "/events")].map(|(secret, path)| {
        let gateway = &gateway;
        async move { gateway.send(&listen(secret, path)).await }
    }))
    .await;
    assert!(lines.iter().all(|answer| answer.status == 200));
    let (mut events, mut bob, mut alice) = (lines.pop().unwrap(), lines.pop().unwrap(), lines.pop().unwrap());
    gateway.rewrite(&keyed(&upstream, BOB_ALONE).toml());
    let (heard, ending) = alice.events().await;
    let last = heard.last().unwrap();
    assert_eq!((last.name.as_deref(), ending), (Some("revoked"), Ending::Aborted));
    assert_eq!(last.json()["error"]["code"], "unauthorized");
    assert_eq!(events.events().await.1, Ending::Clean, "who comes back to the events is told a 401");
    let said = gateway.send(&of(BOB, Request::post(channel, &json!({"data": "still here"})))).await;
    assert_eq!(said.status, 200);
    while !bob.next_event().await.data.contains("still here") {}
}

#[tokio::test]
async fn a_key_whose_limits_change_keeps_its_streams() {
    let Two { gateway, upstream, alice: (mut alice, mut call), .. } = two(&[]).await;
    let stricter: &[_] = &[("renamed", ALICE, "max_streams = 1"), ("bob", BOB, "")];
    gateway.rewrite(&keyed(&upstream, stricter).toml());
    taken(&gateway).await;
    call.stays(Duration::from_millis(200)).await;
    call.sse(&openai::text("on")).await;
    call.end().await;
    assert!(Heard::of(&mut alice).await.succeeded());
}
