//! Memory for the bodies of requests: so much for all, a share for each key, and nothing is read that has no room.

use serde_json::{Value, json};

use super::CHAT;
use crate::support::{Answer, Gateway, Heard, Request, Setup, Upstream, begin, openai, until, within};

const HELD: &str = "streamgate_request_body_bytes";
const RESPONSES: &str = "/v1/responses";
const KIB: usize = 1 << 10;

/// A streamed chat of about so many bytes.
fn chat_of(model: &str, bytes: usize) -> Request {
    let message = json!({"role": "user", "content": "a".repeat(bytes)});
    Request::post(CHAT, &json!({"model": model, "stream": true, "messages": [message]}))
}

fn of(key: &str, request: Request) -> Request {
    request.header("authorization", &format!("Bearer {key}"))
}

/// The bytes that the gateway holds of bodies.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
async fn held(gateway: &Gateway) -> usize {
    gateway.metric(HELD, &[]).await as usize
}

async fn nothing_is_held(gateway: &Gateway) {
    until("all bodies to be given back", async || held(gateway).await == 0).await;
}

/// A gateway with this room for bodies, before a backend that works on one request at a time and has one already.
async fn busy(server: &str) -> (Gateway, Upstream, Answer, crate::support::Call) {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server(server).stream("commit_after = \"30s\"");
    let setup = setup.backend_with("one", "openai", &upstream.url(), "max_concurrent = 1");
    let gateway = setup.start().await;
    let (answer, call) = begin(&gateway, &mut upstream, "openai").await;
    nothing_is_held(&gateway).await;
    (gateway, upstream, answer, call)
}

#[tokio::test]
async fn large_bodies_of_one_key_that_wait_end_neither_the_gateway_nor_anothers_stream() {
    let (slow, mut own) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().server("workers = 2").key("alice", "alice", "").key("bob", "bob", "");
    let setup = setup
        .backend_with("slow", "openai", &slow.url(), "max_concurrent = 1")
        .backend("own", "openai", &own.url())
        .route("model = \"slow\"\nbackends = [\"slow\"]")
        .route("model = \"own\"\nbackends = [\"own\"]");
    let gateway = Gateway::start_limited(&setup.toml(), "--as=1610612736").await;
    let asked = gateway.ask(&of("bob", chat_of("own", 10))).await;
    let mut call = own.call().await;
    call.say(&["Rhine"]).await;
    let mut stream = asked.answer().await;
    stream.next_event().await;
    let text = "a".repeat(19 << 20);
    let large = [
        chat_of("slow", 19 << 20),
        Request::post(RESPONSES, &json!({"model": "slow", "stream": true, "input": text})),
        Request::post(
            "/v1/messages",
            &json!({"model": "slow", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}),
        ),
    ];
    let large = large.map(|request| of("alice", request).to_bytes("localhost"));
    let mut waiting = Vec::new();
    for number in 0..60 {
        let mut client = gateway.client().await;
        client.send(&large[number % 3]).await;
        waiting.push(client);
        if number % 10 == 0 {
            call.sse(&openai::text("on")).await;
            assert_eq!(stream.next_event().await.json(), openai::text("on"));
        }
    }
    gateway.metric_reaches("streamgate_refusals_total", &["body_memory"], 57.0).await;
    assert!(held(&gateway).await >= 19 << 20, "some wait");
    let other = gateway.ask(&of("bob", chat_of("own", 100 * KIB))).await;
    let mut served = own.call().await;
    served.say(&["Main"]).await;
    served.end().await;
    assert!(Heard::of(&mut other.answer().await).await.succeeded());
    call.end().await;
    assert!(Heard::of(&mut stream).await.succeeded());
    // Those that were refused are told when to come back; the others are let go.
    let mut refused = waiting.swap_remove(57).answer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(refused.json().await["error"]["code"], "rate_limited");
    drop(waiting);
    nothing_is_held(&gateway).await;
}

#[tokio::test]
async fn a_body_that_has_no_room_is_neither_read_nor_asked_for() {
    let (gateway, _upstream, _answer, _call) =
        busy("max_body_bytes = \"1MiB\"\nmax_body_memory = \"1MiB\"").await;
    let _waiting = gateway.ask(&chat_of("m", 500 * KIB)).await;
    gateway.metric_reaches("streamgate_queue_length", &[], 1.0).await;
    let request = Request::new("POST", CHAT)
        .header("content-type", "application/json")
        .header("content-length", &(900 * KIB).to_string())
        .header("expect", "100-continue");
    let mut answer = gateway.send(&request).await; // and not 100
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.json().await["error"]["code"], "queue_full");
}

#[tokio::test]
async fn bodies_without_a_declared_length_have_no_more_room_than_others() {
    let (gateway, _upstream, _answer, _call) =
        busy("max_body_bytes = \"1MiB\"\nmax_body_memory = \"1MiB\"").await;
    let _waiting = gateway.ask(&chat_of("m", 500 * KIB)).await;
    gateway.metric_reaches("streamgate_queue_length", &[], 1.0).await;
    let chunked = Request::new("POST", CHAT)
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked");
    let mut client = gateway.ask(&chunked).await;
    client.send(format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(50).as_bytes()).await;
    assert_eq!(client.answer().await.status, 503, "in chunks");
    let body = json!({"model": "m", "input": " ".repeat(900 * KIB)}).to_string();
    let coded = zstd::encode_all(body.as_bytes(), 3).unwrap();
    assert!(coded.len() < 10 * KIB);
    let request = Request::raw(RESPONSES, &coded).header("content-encoding", "zstd");
    assert_eq!(gateway.send(&request).await.status, 503, "coded");
}

#[tokio::test]
async fn every_route_that_reads_a_body_asks_for_room() {
    let setup = "max_body_bytes = \"1MiB\"\nmax_body_memory = \"1MiB\"";
    let (gateway, _upstream, _answer, _call) = busy(setup).await;
    let _waiting = gateway.ask(&chat_of("m", 500 * KIB)).await;
    gateway.metric_reaches("streamgate_queue_length", &[], 1.0).await;
    for (method, path) in [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/api/chat"),
        ("POST", "/v1/embeddings"),
        ("POST", "/api/show"),
        ("POST", "/v1/channels/news"),
        ("POST", "/api/pull"),
        ("POST", "/v1/models/pull"),
        ("POST", "/api/create"),
        ("DELETE", "/api/delete"),
    ] {
        let request = Request::new(method, path)
            .header("content-type", "application/json")
            .header("expect", "100-continue")
            .header("content-length", &(900 * KIB).to_string());
        let status = gateway.send(&request).await.status;
        assert!(matches!(status, 503 | 529), "{status} for {method} {path}");
    }
}

#[tokio::test]
async fn backends_that_are_asked_the_same_share_one_copy() {
    let upstream = Upstream::start().await;
    let names = ["a", "b", "c", "d"];
    let setup = Setup::new().stream("commit_after = \"30s\"");
    let setup = names.iter().fold(setup, |setup, name| setup.backend(name, "openai", &upstream.url()));
    let gateway = setup.start().await;
    // Each is asked for usage, so that none can be passed the body as it came; then each has it translated.
    for (door, body) in [
        (
            CHAT,
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "a".repeat(500 * KIB)}]}),
        ),
        (
            "/v1/messages",
            json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "a".repeat(500 * KIB)}]}),
        ),
    ] {
        let seen = upstream.calls_seen();
        let asked = gateway.ask_post(door, &body).await;
        until("the backend to be asked", async || upstream.calls_seen() > seen).await;
        let held = held(&gateway).await;
        assert!((500 * KIB..700 * KIB).contains(&held), "{held} bytes for {door}");
        drop(asked);
        nothing_is_held(&gateway).await;
    }
}

#[tokio::test]
async fn what_a_response_keeps_of_its_request_counts_until_its_answer_is_over() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    let body = json!({"model": "m", "stream": true, "input": "a".repeat(500 * KIB), "instructions": "b".repeat(100 * KIB)});
    let asked = gateway.ask_post(RESPONSES, &body).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    while !answer.next_event().await.data.contains("Rhine") {}
    // The body itself is gone: its backend has begun to answer. Its items stay, and what each event repeats.
    until("the body to be given back", async || held(&gateway).await < 1300 * KIB).await;
    assert!(held(&gateway).await > 600 * KIB, "{}", held(&gateway).await);
    call.end().await;
    answer.rest().await;
    nothing_is_held(&gateway).await;
}

#[tokio::test]
async fn a_body_is_held_for_a_retry_and_given_back_when_none_can_need_it() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().stream("commit_after = \"30s\"").backend("a", "openai", &first.url());
    let gateway = setup.backend("b", "openai", &second.url()).start().await;
    let asked = gateway.ask(&chat_of("m", 500 * KIB)).await;
    let failing = first.call().await;
    assert!(held(&gateway).await >= 500 * KIB);
    failing.answer(500, &json!({"error": "no"})).await;
    let mut call = second.call().await;
    assert!(call.body.len() > 500 * KIB && held(&gateway).await >= 500 * KIB);
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    nothing_is_held(&gateway).await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_body_gives_its_room_back() {
    let gateway = Setup::new().demo().start().await;
    let bytes = chat_of("demo", 900 * KIB).to_bytes("localhost");
    let mut client = gateway.client().await;
    client.send(&bytes[..bytes.len() / 2]).await;
    until("room to be put aside", async || held(&gateway).await > 900 * KIB).await;
    client.reset();
    nothing_is_held(&gateway).await;
}

#[tokio::test]
async fn a_reload_changes_the_room_for_bodies() {
    let upstream = Upstream::start().await;
    let setup = |server: &str| Setup::new().server(server).backend("one", "openai", &upstream.url()).toml();
    let gateway = Gateway::start(&setup("")).await;
    gateway.rewrite(&setup("max_body_bytes = \"64KiB\"\nmax_body_memory = \"64KiB\""));
    gateway.logged("the configuration was taken anew").await;
    let request = |bytes: usize| {
        let head = Request::new("POST", CHAT).header("content-length", &bytes.to_string());
        head.header("content-type", "application/json")
    };
    let mut waiting = Vec::new();
    let refused = within("a body that has no room", async {
        loop {
            let asked = gateway.ask(&request(40 * KIB)).await;
            waiting.push(asked);
            let answer = gateway.send(&request(40 * KIB).header("expect", "100-continue")).await;
            if answer.status != 100 {
                return answer;
            }
        }
    });
    assert_eq!(refused.await.status, 503);
}

/// Whether an answer of this kind repeats what was asked is no matter here.
#[tokio::test]
async fn whole_answers_hold_their_request_as_streams_do() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    for (door, body) in [
        (CHAT, json!({"model": "m", "messages": [{"role": "user", "content": "a".repeat(500 * KIB)}]})),
        ("/v1/embeddings", json!({"model": "m", "input": "a".repeat(500 * KIB)})),
    ] {
        let asked = gateway.ask_post(door, &body).await;
        let call = upstream.call().await;
        assert!((500 * KIB..700 * KIB).contains(&held(&gateway).await), "{door}");
        call.answer(200, &json!({"data": [], "choices": [], "usage": Value::Null})).await;
        assert_eq!(asked.answer().await.status, 200);
        nothing_is_held(&gateway).await;
    }
}
