//! One key that takes what it can of what all keys share: the other's streams go on, and none of its requests is refused.

use serde_json::json;

use crate::support::{Answer, Call, Client, Gateway, Heard, Request, Setup, Upstream, openai, prompt, until};

const CHAT: &str = "/v1/chat/completions";
const ALICE: &str = "Bearer sk-it-alice-1";
const BOB: &str = "Bearer sk-it-bob-2";
const SCOPES: &str = "scopes = [\"inference\", \"publish\"]";
/// What the process may have: 1.5 GiB of addresses.
const LIMIT: &str = "--as=1610612736";

fn by(key: &str, request: Request) -> Request {
    request.header("authorization", key)
}

/// A gateway in this limit, with a stream of alice's that runs.
struct Shared {
    gateway: Gateway,
    upstream: Upstream,
    stream: Answer,
    call: Call,
}

impl Shared {
    async fn start(journal: &str) -> Self {
        let mut upstream = Upstream::start().await;
        let setup = Setup::new()
            .journal(journal)
            .key("alice", "sk-it-alice-1", SCOPES)
            .key("bob", "sk-it-bob-2", SCOPES)
            .backend("one", "openai", &upstream.url());
        let gateway = Gateway::start_limited(&setup.toml(), LIMIT).await;
        let request = Request::post(CHAT, &prompt("m", true)).header("x-conversation-id", "hers");
        let asked = gateway.ask(&by(ALICE, request)).await;
        let mut call = upstream.call().await;
        call.say(&["Rhine"]).await;
        let mut stream = asked.answer().await;
        assert_eq!(stream.status, 200);
        stream.next_event().await;
        Self { gateway, upstream, stream, call }
    }

    async fn send(&self, key: &str, request: Request) -> Answer {
        self.gateway.send(&by(key, request)).await
    }

    /// The stream that runs goes on to its end, and another begins and ends.
    async fn others_go_on(mut self) {
        self.call.sse(&openai::text("Main")).await;
        self.stream.next_event().await;
        self.call.end().await;
        assert!(Heard::of(&mut self.stream).await.succeeded());
        let asked = self.gateway.ask(&by(ALICE, Request::post(CHAT, &prompt("m", true)))).await;
        let mut call = self.upstream.call().await;
        call.say(&["Isar"]).await;
        let mut stream = asked.answer().await;
        call.end().await;
        assert!(Heard::of(&mut stream).await.succeeded());
    }
}

/// Asks on one connection; gives the status and how long to wait.
async fn next(client: Client, request: &Request) -> (Client, u16, Option<String>) {
    let mut client = client;
    client.ask(request).await;
    let mut answer = client.answer().await;
    let (status, after) = (answer.status, answer.header("retry-after").map(str::to_owned));
    answer.rest().await;
    (answer.reuse(), status, after)
}

#[tokio::test]
async fn a_line_of_thousands_ends_at_its_bound_and_is_interrupted_at_once() {
    let shared = Shared::start("").await;
    let request = |policy: &str| {
        let request = Request::post(CHAT, &prompt("m", true)).header("prefer", "respond-async");
        by(BOB, request.header("x-conversation-id", "line").header("x-on-conflict", policy))
    };
    let mut client = shared.gateway.client().await;
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..4000 {
        let (back, status, after) = next(client, &request("enqueue")).await;
        client = back;
        match status {
            202 => taken += 1,
            429 => {
                assert!(after.is_some_and(|after| after.parse::<u32>().unwrap() > 0));
                refused += 1;
            }
            status => panic!("{status}"),
        }
    }
    assert_eq!((taken, refused), (256, 4000 - 256));
    let (_, status, _) = next(client, &request("interrupt")).await;
    assert_eq!(status, 202);
    until("the line to be over", async || {
        shared.gateway.metric("streamgate_streams_live", &[]).await < 2.5 // hers, and the new one
    })
    .await;
    let Shared { gateway, mut upstream, stream, call } = shared;
    let [_first, _new] = [upstream.call().await, upstream.call().await];
    Shared { gateway, upstream, stream, call }.others_go_on().await;
}

#[tokio::test]
async fn a_line_that_is_full_is_a_429_at_every_door() {
    use crate::support::pairs::{DOORS, request};
    let shared = Shared::start("").await;
    let waiting = |door: &str| {
        let request = Request::post(door, &request(door, "m", true)).header("prefer", "respond-async");
        by(BOB, request.header("x-conversation-id", "line").header("x-on-conflict", "enqueue"))
    };
    let mut client = shared.gateway.client().await;
    for _ in 0..256 {
        let (back, status, _) = next(client, &waiting(CHAT)).await;
        assert_eq!(status, 202);
        client = back;
    }
    for (door, _) in DOORS {
        let (back, status, after) = next(client, &waiting(door)).await;
        assert_eq!((status, after.is_some()), (429, true), "{door}");
        client = back;
    }
}

#[tokio::test]
async fn channels_that_one_key_opens_are_a_share_of_all() {
    let shared = Shared::start("").await;
    let token = |number: usize| by(BOB, Request::post(&format!("/v1/channels/m{number}/token"), &json!({})));
    let mut client = shared.gateway.client().await;
    for number in 0..1000 {
        let (back, status, _) = next(client, &token(number)).await;
        assert_eq!(status, 200, "{number}");
        client = back;
    }
    for request in [token(1000), by(BOB, Request::post("/v1/channels/published", &json!("x")))] {
        let (back, status, after) = next(client, &request).await;
        assert_eq!((status, after.as_deref()), (429, Some("60")));
        client = back;
    }
    // An `EventSource` is sent back: an error would end it for ever.
    let source = Request::get("/v1/channels/read").header("accept", "text/event-stream");
    let mut later = shared.send(BOB, source).await;
    let text = later.text().await;
    assert!(later.status == 200 && text.starts_with("retry: ") && !text.contains("data:"), "{text}");
    assert_eq!(shared.send(BOB, Request::get("/v1/channels/read")).await.status, 429);
    // What is open already goes on, and what is ended makes room.
    assert_eq!(shared.send(BOB, Request::post("/v1/channels/m7", &json!("x"))).await.status, 200);
    assert_eq!(shared.send(BOB, Request::new("DELETE", "/v1/channels/m8")).await.status, 204);
    assert_eq!(shared.send(BOB, Request::post("/v1/channels/m8", &json!("x"))).await.status, 200);
    assert_eq!(shared.send(ALICE, Request::post("/v1/channels/hers", &json!("x"))).await.status, 200);
    let mut reader = shared.send(ALICE, Request::get("/v1/channels/hers")).await;
    assert_eq!(reader.status, 200);
    reader.next_event().await;
    shared.others_go_on().await;
}

#[tokio::test]
async fn listeners_of_one_key_are_a_share_of_all() {
    let shared = Shared::start("").await;
    let listen = |key| by(key, Request::get("/events").header("accept", "text/event-stream"));
    let mut listeners = Vec::new();
    for _ in 0..100 {
        let listener = shared.gateway.send(&listen(BOB)).await;
        assert_eq!(listener.status, 200);
        listeners.push(listener);
    }
    let refused = shared.gateway.send(&listen(BOB)).await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
    assert_eq!(shared.gateway.send(&listen(ALICE)).await.status, 200);
    listeners.truncate(50);
    until("a place that is free", async || shared.gateway.send(&listen(BOB)).await.status == 200).await;
    shared.others_go_on().await;
}

#[tokio::test]
async fn who_fills_the_journal_pushes_out_nothing_of_others() {
    let shared = Shared::start("max_bytes = \"1MiB\"").await;
    let Shared { gateway, mut upstream, stream, call } = shared;
    let recorded = async |upstream: &mut Upstream, key: &str, name: &str| {
        let request = Request::post(CHAT, &prompt("m", true)).header("x-conversation-id", name);
        let asked = gateway.ask(&by(key, request)).await;
        let mut call = upstream.call().await;
        call.say(&[&"x".repeat(50_000)]).await;
        let mut answer = asked.answer().await;
        call.end().await;
        answer.rest().await;
        answer.header("stream-id").unwrap().to_owned()
    };
    let hers = recorded(&mut upstream, ALICE, "kept").await;
    let first = recorded(&mut upstream, BOB, "first").await;
    for number in 0..40 {
        recorded(&mut upstream, BOB, &number.to_string()).await;
    }
    let status = async |key: &str, id: &str| {
        let look = Request::get(&format!("/v1/streams/{id}")).header("accept", "application/json");
        gateway.send(&by(key, look)).await.status
    };
    assert_eq!((status(ALICE, &hers).await, status(BOB, &first).await), (200, 410));
    assert!(gateway.metric("streamgate_record_bytes", &[]).await <= f64::from(1 << 20));
    Shared { gateway, upstream, stream, call }.others_go_on().await;
}

/// The resident memory of the gateway, in bytes.
fn resident(gateway: &Gateway) -> usize {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", gateway.id())).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn small_records_take_no_more_memory_than_is_kept() {
    let gateway = Setup::new().journal("max_bytes = \"8MiB\"").server("workers = 1").demo().start().await;
    let mut client = gateway.client().await;
    let mut before = 0;
    for number in 0..3000 {
        let asked = json!({"model": "demo:words=1", "messages": [{"role": "user", "content": "Hi"}]});
        let request = Request::post(CHAT, &asked).header("idempotency-key", &format!("key-{number}"));
        let (back, status, _) = next(client, &request).await;
        assert_eq!(status, 200);
        client = back;
        if number == 200 {
            before = resident(&gateway); // its own buffers are there by now
        }
    }
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < (8 << 20) * 13 / 10, "{grown} bytes");
    let counted = gateway.metric("streamgate_record_bytes", &[]).await;
    assert!(counted <= f64::from(8 << 20), "{counted}");
}
