//! Work on one request that takes long: the other streams of its worker go on meanwhile. What counts is how many events of a
//! neighbour pass while the work is done, not how long they take.

use serde_json::{Value, json};

use super::CHAT;
use crate::support::{Answer, Call, Client, Gateway, Request, Setup, Upstream, begin, openai, within};

/// Far more than pass between two pieces of work that hold a worker up.
const MANY: usize = 20;

/// A stream of the same worker: its client and its backend.
struct Neighbour {
    answer: Answer,
    call: Call,
}

impl Neighbour {
    /// One event from end to end: the worker has looked at all its sockets for it.
    async fn event(&mut self) {
        self.call.sse(&openai::text("on")).await;
        self.answer.next_event().await;
    }

    async fn events(&mut self, count: usize) {
        for _ in 0..count {
            self.event().await;
        }
    }

    /// How many events pass until this is done, and what comes of it.
    async fn while_waiting<T>(&mut self, what: impl Future<Output = T>) -> (usize, T) {
        let mut what = std::pin::pin!(what);
        let mut events = 0;
        loop {
            let event = async {
                self.event().await;
            };
            tokio::select! {
                biased;
                done = what.as_mut() => return (events, done),
                () = event => events += 1,
            }
        }
    }
}

/// A gateway of one worker before a backend of each API, with a stream that runs.
async fn gateway() -> (Gateway, Upstream, Neighbour) {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("workers = 1").stream("commit_after = \"30s\"");
    let setup = setup
        .backend("one", "openai", &upstream.url())
        .backend("two", "anthropic", &upstream.url())
        .route("model = \"claude\"\nbackends = [\"two\"]")
        .route("model = \"*\"\nbackends = [\"one\"]");
    let gateway = setup.start().await;
    let (answer, call) = begin(&gateway, &mut upstream, "openai").await;
    (gateway, upstream, Neighbour { answer, call })
}

/// Sends a request but for its last byte, waits until the gateway has read all of that, and sends the last byte.
async fn ask_slowly(gateway: &Gateway, neighbour: &mut Neighbour, request: &Request) -> Client {
    let bytes = request.to_bytes("localhost");
    let (last, first) = bytes.split_last().unwrap();
    let mut client = gateway.client().await;
    let (_, ()) = neighbour.while_waiting(client.send(first)).await;
    neighbour.events(200).await;
    client.send(&[*last]).await;
    client
}

/// A MiB of small messages; the last has a role that nobody knows, so that the request is read to its end and refused there.
fn messages() -> Value {
    let message = json!({"role": "user", "content": "Hi"});
    let mut messages = vec![message; 30_000];
    messages.push(json!({"role": "nobody", "content": "Hi"}));
    messages.into()
}

#[tokio::test]
async fn a_large_request_is_understood_while_other_streams_go_on() {
    let (gateway, _upstream, mut neighbour) = gateway().await;
    for (door, body) in [
        (CHAT, json!({"model": "claude", "messages": messages()})),
        ("/v1/messages", json!({"model": "m", "max_tokens": 9, "messages": messages()})),
        ("/api/chat", json!({"model": "m", "messages": messages()})),
        ("/v1/responses", json!({"model": "m", "store": true, "input": messages()})),
        ("/v1/messages/count_tokens", json!({"model": "m", "messages": messages()})),
    ] {
        let asked = ask_slowly(&gateway, &mut neighbour, &Request::post(door, &body)).await;
        let (events, answer) = neighbour.while_waiting(asked.answer()).await;
        assert_eq!(answer.status, 400, "{door}");
        assert!(events >= MANY, "{events} events passed at {door}");
    }
}

#[tokio::test]
async fn bodies_of_other_routes_are_understood_while_streams_go_on() {
    let (gateway, _upstream, mut neighbour) = gateway().await;
    let list: Value = vec![json!([1, 2, 3]); 500_000].into();
    for (door, body) in [
        ("/v1/embeddings", json!({"model": "claude", "input": list})),
        ("/v1/channels/news", json!({"event": "x\ny", "data": list})),
        ("/api/create", json!({"model": "m", "from": list})),
    ] {
        let asked = ask_slowly(&gateway, &mut neighbour, &Request::post(door, &body)).await;
        let (events, answer) = neighbour.while_waiting(asked.answer()).await;
        assert!((400..500).contains(&answer.status), "{} at {door}", answer.status);
        assert!(events >= MANY, "{events} events passed at {door}");
    }
}

#[tokio::test]
async fn a_coded_body_is_unfolded_while_streams_go_on() {
    let (gateway, _upstream, mut neighbour) = gateway().await;
    let coded =
        zstd::encode_all(json!({"model": "m", "input": messages()}).to_string().as_bytes(), 3).unwrap();
    let request = Request::raw("/v1/responses", &coded).header("content-encoding", "zstd");
    let asked = ask_slowly(&gateway, &mut neighbour, &request).await;
    let (events, answer) = neighbour.while_waiting(asked.answer()).await;
    assert_eq!(answer.status, 400);
    assert!(events >= MANY, "{events} events passed");
}

#[tokio::test]
async fn the_view_of_a_large_record_is_made_while_streams_go_on() {
    let (gateway, mut upstream, mut neighbour) = gateway().await;
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post(CHAT, &body).header("x-conversation-id", "long");
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.stream().await;
    let event = format!("data: {}\n\n", openai::text("word"));
    let mut answer = None;
    let mut asked = Some(asked);
    for _ in 0..60 {
        call.chunk(event.repeat(600)).await;
        let answer = match asked.take() {
            Some(asked) => answer.insert(asked.answer().await),
            None => answer.as_mut().unwrap(),
        };
        for _ in 0..600 {
            answer.next_event().await;
        }
    }
    call.end().await;
    let mut answer = answer.unwrap();
    let path = format!("/v1/streams/{}", answer.header("stream-id").unwrap());
    answer.rest().await;
    let view = Request::get(&path).header("accept", "application/json");
    for time in ["first", "second"] {
        let asked = gateway.ask(&view).await;
        let (events, seen) = neighbour.while_waiting(asked.answer()).await;
        assert_eq!(seen.status, 200);
        assert!(events >= MANY, "{events} events passed the {time} time");
    }
}

#[tokio::test]
async fn a_large_whole_answer_is_checked_while_streams_go_on() {
    let (gateway, mut upstream, mut neighbour) = gateway().await;
    let body = json!({"model": "m", "input": "Hi"});
    let asked = gateway.ask_post("/v1/embeddings", &body).await;
    let mut call = upstream.call().await;
    let whole = json!({"object": "list", "data": vec![json!([1, 2, 3]); 700_000]}).to_string();
    let (first, last) = whole.split_at(whole.len() - 1);
    let head = format!(
        "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    call.send(head.as_bytes()).await;
    neighbour.while_waiting(call.send(first.as_bytes())).await;
    neighbour.events(200).await;
    call.send(last.as_bytes()).await;
    let (events, answer) = neighbour.while_waiting(within("an answer", asked.answer())).await;
    assert_eq!(answer.status, 200);
    assert!(events >= MANY, "{events} events passed");
}
