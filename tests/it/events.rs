//! `/events` as Server-Sent Events: the same messages, for those who cannot open a WebSocket.

use serde_json::json;

use crate::support::{Client, Ending, Heard, Request, Setup, prompt, within};

fn listen() -> Request {
    Request::get("/events").header("accept", "text/event-stream")
}

#[tokio::test]
async fn the_same_is_told_as_events() {
    let gateway = Setup::new().demo().start().await;
    let mut events = gateway.send(&listen()).await;
    assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
    let first = events.next_event().await;
    assert!(first.raw.starts_with(b"retry: "), "{first:?}");
    assert_eq!(first.json()["type"], "Snapshot");
    let asked =
        json!({"model": "demo:words=1", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let mut answer = gateway.post("/v1/chat/completions", &asked).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    let mut told = Vec::new();
    while told.last().is_none_or(|kind| kind != "StreamEnded") {
        let kind = events.next_event().await.json()["type"].as_str().unwrap().to_owned();
        told.extend(Some(kind).filter(|kind| kind.starts_with("Stream")));
    }
    assert_eq!(told, ["StreamStarted", "StreamFirstToken", "StreamEnded"]);
}

#[tokio::test]
async fn silence_is_filled() {
    let gateway = Setup::new().stream("keep_alive = \"50ms\"").demo().start().await;
    let mut events = gateway.send(&listen()).await;
    while !format!("{:?}", events.next_item().await).contains(": keep-alive") {}
}

#[tokio::test]
async fn a_restart_ends_them_cleanly() {
    let mut gateway = Setup::new().demo().start().await;
    let mut events = gateway.send(&listen()).await;
    events.next_event().await;
    gateway.signal("TERM");
    assert_eq!(events.events().await.1, Ending::Clean);
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn pages_of_strangers_hear_nothing() {
    let gateway = Setup::new().demo().start().await;
    assert_eq!(gateway.send(&listen().header("origin", "https://evil.test")).await.status, 403);
}

#[tokio::test]
async fn a_reader_that_lags_is_told_how_much_it_missed_and_how_things_stand() {
    let gateway = Setup::new().demo().start().await;
    let mut client = Client::connect_narrow(gateway.public).await;
    client.ask(&listen()).await;
    // A demo that there is not; its name makes the messages larger.
    let request =
        Request::post("/v1/chat/completions", &prompt(&format!("demo:{}", "\u{1f30a}".repeat(120)), true));
    let request = request.header("x-request-id", &"r".repeat(128));
    let mut talk = gateway.client().await;
    // Nobody reads the events meanwhile.
    for _ in 0..5000 {
        talk.ask(&request).await;
        let mut answer = talk.answer().await;
        answer.rest().await;
        talk = answer.reuse();
    }
    let mut events = client.answer().await;
    let lagged = within("a word about what was missed", async {
        loop {
            let message = events.next_event().await.json();
            if message["type"] == "Lagged" {
                return message;
            }
        }
    });
    assert!(lagged.await["missed"].as_u64().unwrap() > 0);
    assert_eq!(events.next_event().await.json()["type"], "Snapshot");
}
