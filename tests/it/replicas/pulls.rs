//! Pulls on several replicas: one at the backend, whichever replica is asked.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::support::redis::Redis;
use super::super::support::{Answer, Call, Ending, Gateway, Request, Upstream};
use super::replica;

const PULL: &str = "/api/pull";

/// Two gateways, one Redis, one Ollama.
struct Pair {
    a: Gateway,
    b: Gateway,
    upstream: Upstream,
    _redis: Redis,
}

impl Pair {
    async fn start() -> Self {
        let (redis, upstream) = (Redis::start().await, Upstream::start().await);
        let start = async || replica(&redis.url()).backend("one", "ollama", &upstream.url()).start().await;
        let (a, b) = (start().await, start().await);
        Self { a, b, upstream, _redis: redis }
    }

    /// A pull that runs on A, whose first line has come.
    async fn begun(&mut self) -> (Answer, Call) {
        let asked = self.a.ask_post(PULL, &wish()).await;
        let mut call = self.upstream.call().await;
        call.lines().await;
        call.line(&line("pulling manifest")).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.next_event().await.json(), line("pulling manifest"));
        (answer, call)
    }
}

fn wish() -> Value {
    json!({"model": "m"})
}

fn line(status: &str) -> Value {
    json!({"status": status})
}

fn layer(completed: u64) -> Value {
    json!({"status": "pulling ab", "digest": "sha256:ab", "total": 10, "completed": completed})
}

async fn finish(mut call: Call) {
    call.line(&line("success")).await;
    call.finish().await;
}

/// Reads on until this line.
async fn reads(answer: &mut Answer, wanted: &Value) {
    while answer.next_event().await.json() != *wanted {}
}

/// Stops it in Cortex's words; gives the status.
async fn stop(gateway: &Gateway) -> u16 {
    let mut stop = Request::raw("/v1/models/pull", b"{\"taskId\":\"m\"}").to_bytes("localhost");
    stop.splice(..4, *b"DELETE");
    let mut client = gateway.client().await;
    client.send(&stop).await;
    client.answer().await.status
}

#[tokio::test]
async fn a_model_is_pulled_once_over_all_replicas() {
    let mut pair = Pair::start().await;
    let (mut one, mut call) = pair.begun().await;
    call.line(&layer(3)).await;
    let mut two = pair.b.post(PULL, &json!({"name": "m:latest"})).await;
    assert_eq!((two.status, two.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(two.next_event().await.json(), line("pulling manifest"));
    assert_eq!(two.next_event().await.json(), layer(3));
    let whole = pair.b.ask_post(PULL, &json!({"model": "m", "stream": false})).await;
    call.line(&layer(7)).await;
    assert_eq!(two.next_event().await.json(), layer(7));
    finish(call).await;
    for answer in [&mut one, &mut two] {
        reads(answer, &line("success")).await;
        assert_eq!(answer.events().await.1, Ending::Clean);
    }
    assert_eq!(whole.answer().await.json().await, line("success"));
    assert_eq!(pair.upstream.calls_seen(), 1);
    // It is over: who asks now asks anew, on whichever replica.
    let again = pair.b.ask_post(PULL, &wish()).await;
    let mut call = pair.upstream.call().await;
    call.lines().await;
    finish(call).await;
    assert_eq!(again.answer().await.next_event().await.json(), line("success"));
}

#[tokio::test]
async fn clients_that_race_on_two_replicas_share_one_pull() {
    let mut pair = Pair::start().await;
    let (one, two) = (pair.a.ask_post(PULL, &wish()).await, pair.b.ask_post(PULL, &wish()).await);
    let mut call = pair.upstream.call().await;
    call.lines().await;
    call.line(&line("pulling manifest")).await;
    let (mut one, mut two) = (one.answer().await, two.answer().await);
    finish(call).await;
    for answer in [&mut one, &mut two] {
        reads(answer, &line("success")).await;
    }
    assert_eq!(pair.upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_pull_goes_on_when_everybody_leaves_and_is_found_again_from_another_replica() {
    let mut pair = Pair::start().await;
    let (answer, mut call) = pair.begun().await;
    drop(answer);
    let attached = pair.b.post(PULL, &wish()).await;
    drop(attached);
    call.stays(Duration::from_millis(300)).await;
    let mut back = pair.b.post(PULL, &wish()).await;
    reads(&mut back, &line("pulling manifest")).await;
    finish(call).await;
    reads(&mut back, &line("success")).await;
    assert_eq!(pair.upstream.calls_seen(), 1);
}

#[tokio::test]
async fn clients_elsewhere_are_told_that_the_replica_that_pulls_has_died_and_can_pull_anew() {
    let mut pair = Pair::start().await;
    let (_answer, _call) = pair.begun().await;
    let mut elsewhere = pair.b.post(PULL, &wish()).await;
    reads(&mut elsewhere, &line("pulling manifest")).await;
    pair.a.signal("KILL");
    let died = Instant::now();
    let (events, ending) = elsewhere.events().await;
    assert_eq!((events.len(), ending), (1, Ending::Aborted));
    assert!(events[0].json()["error"].is_string(), "{:?}", events[0]);
    assert!(died.elapsed() < Duration::from_secs(4), "{:?}", died.elapsed()); // with a lease of two seconds
    let again = pair.b.ask_post(PULL, &wish()).await;
    let mut call = pair.upstream.call().await;
    call.lines().await;
    finish(call).await;
    assert_eq!(again.answer().await.next_event().await.json(), line("success"));
    assert_eq!(pair.upstream.calls_seen(), 2);
}

#[tokio::test]
async fn a_pull_that_fails_on_one_replica_fails_for_the_clients_of_all() {
    let mut pair = Pair::start().await;
    let (one, mut call) = pair.begun().await;
    let whole = pair.b.ask_post(PULL, &json!({"model": "m", "stream": false})).await;
    let two = pair.b.post(PULL, &wish()).await; // who asks later joins later
    let error = json!({"error": "no space left on device"});
    call.line(&error).await;
    call.finish().await;
    for mut answer in [one, two] {
        let (events, ending) = answer.events().await;
        assert_eq!((events.last().unwrap().json(), ending), (error.clone(), Ending::Aborted));
    }
    let mut answer = whole.answer().await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json().await["error"], "no space left on device");
}

#[tokio::test]
async fn a_pull_is_stopped_from_another_replica() {
    let mut pair = Pair::start().await;
    let (mut answer, mut call) = pair.begun().await;
    assert_eq!(stop(&pair.b).await, 200);
    call.closed().await;
    let (told, ending) = answer.events().await;
    assert_eq!((told.last().unwrap().json()["error"].is_string(), ending), (true, Ending::Aborted));
    super::super::support::until("it to be over", async || stop(&pair.b).await == 404).await;
}

#[tokio::test]
async fn a_pull_is_in_nobodys_list_of_streams() {
    let mut pair = Pair::start().await;
    let (_answer, _call) = pair.begun().await;
    for gateway in [&pair.a, &pair.b] {
        assert_eq!(gateway.get("/v1/streams").await.json().await["data"], json!([]));
        assert_eq!(gateway.get("/v1/conversations/pull%0Aone%20m:latest/stream").await.status, 404);
    }
}

/// What B tells of downloads from now on, and its first message.
async fn listen(pair: &Pair) -> (Answer, Value) {
    let request = Request::get("/events?only=downloads").header("accept", "text/event-stream");
    let mut events = pair.b.send(&request).await;
    let snapshot = events.next_event().await.json();
    (events, snapshot["downloads"].clone())
}

/// Its type, and how much of the first item has come.
async fn told(events: &mut Answer) -> (String, Value) {
    let event = events.next_event().await.json();
    assert_eq!(event["task"]["id"], "m", "{event}");
    (event["type"].as_str().unwrap().to_owned(), event["task"]["items"][0]["downloadedBytes"].clone())
}

fn is(kind: &str, downloaded: impl Into<Value>) -> (String, Value) {
    (kind.to_owned(), downloaded.into())
}

#[tokio::test]
async fn who_listens_on_another_replica_is_told_of_a_pull_from_its_beginning_to_its_end() {
    let mut pair = Pair::start().await;
    let (mut events, none) = listen(&pair).await;
    assert_eq!(none, json!([]));
    let (_answer, mut call) = pair.begun().await;
    assert_eq!(told(&mut events).await, is("DownloadStarted", Value::Null));
    call.line(&layer(3)).await;
    assert_eq!(told(&mut events).await, is("DownloadUpdated", 3));
    let (mut late, running) = listen(&pair).await;
    assert_eq!(running[0]["id"], "m", "who comes later finds it: {running}");
    finish(call).await;
    for events in [&mut events, &mut late] {
        assert_eq!(told(events).await, is("DownloadSuccess", 0));
    }
    assert_eq!(listen(&pair).await.1, json!([]));
}

#[tokio::test]
async fn who_listens_on_another_replica_finds_a_pull_that_runs_already() {
    let mut pair = Pair::start().await;
    let (_answer, mut call) = pair.begun().await;
    call.line(&layer(3)).await;
    let (mut events, _) = listen(&pair).await;
    assert_eq!(told(&mut events).await, is("DownloadStarted", Value::Null));
    assert_eq!(told(&mut events).await, is("DownloadUpdated", 3));
    let error = json!({"error": "no space left on device"});
    call.line(&error).await;
    call.finish().await;
    let event = events.next_event().await.json();
    assert_eq!((&event["type"], &event["error"]), (&json!("DownloadError"), &error["error"]), "{event}");
}

#[tokio::test]
async fn who_listens_on_another_replica_is_told_that_a_pull_was_stopped_or_has_lost_its_replica() {
    let mut pair = Pair::start().await;
    let (mut events, _) = listen(&pair).await;
    let (_answer, call) = pair.begun().await;
    assert_eq!(told(&mut events).await.0, "DownloadStarted");
    assert_eq!(stop(&pair.b).await, 200);
    assert_eq!(told(&mut events).await.0, "DownloadStopped");
    drop(call);
    let (_answer, _call) = pair.begun().await;
    assert_eq!(told(&mut events).await.0, "DownloadStarted");
    pair.a.signal("KILL");
    assert_eq!(told(&mut events).await.0, "DownloadError");
}
