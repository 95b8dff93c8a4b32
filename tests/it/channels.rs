//! Channels: what is published is seen by all who subscribe, in order, once, and after a break from where they were.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Ending, Event, Gateway, Request, Setup, until};

const JOB: &str = "/v1/channels/job-7";
const BACK: &str = "sk-it-back-end-41c9";
const PAGE: &str = "sk-it-page-90be";

async fn gateway() -> Gateway {
    Setup::new().demo().start().await
}

async fn publish(gateway: &Gateway, body: &Value) -> Value {
    let mut answer = gateway.post(JOB, body).await;
    let said = answer.json().await;
    assert_eq!(answer.status, 200, "{said}");
    said
}

fn events() -> Request {
    Request::get(JOB).header("accept", "text/event-stream")
}

/// A subscriber that was told that its connection stands.
async fn subscribe(gateway: &Gateway, request: &Request) -> (Answer, Event) {
    let mut answer = gateway.send(request).await;
    assert_eq!(answer.status, 200);
    let first = answer.next_event().await;
    assert_eq!(first.name.as_deref(), Some("connected"));
    (answer, first)
}

fn id_of(event: &Event) -> String {
    let raw = std::str::from_utf8(&event.raw).unwrap();
    raw.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned()
}

#[tokio::test]
async fn what_is_published_reaches_every_subscriber() {
    let gateway = gateway().await;
    let (mut one, _) = subscribe(&gateway, &events()).await;
    let (mut two, _) = subscribe(&gateway, &events()).await;
    let said = publish(&gateway, &json!({"event": "progress", "data": {"done": 3}})).await;
    for answer in [&mut one, &mut two] {
        let event = answer.next_event().await;
        assert_eq!((event.name.as_deref(), event.data.as_str()), (Some("progress"), "{\"done\":3}"));
        assert_eq!(id_of(&event), said["id"]);
    }
    publish(&gateway, &json!([1, 2])).await;
    assert_eq!(one.next_event().await.data, "[1,2]");
}

#[tokio::test]
async fn the_first_block_says_when_to_come_back_and_that_the_connection_stands() {
    let gateway = gateway().await;
    let (answer, first) = subscribe(&gateway, &events()).await;
    let raw = std::str::from_utf8(&first.raw).unwrap();
    assert!(raw.lines().any(|line| line.starts_with("retry: ")), "{raw}");
    assert_eq!(first.json(), json!({"channel": "job-7", "after": 0}));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
}

#[tokio::test]
async fn a_subscriber_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let gateway = gateway().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    publish(&gateway, &json!("one")).await;
    let seen = id_of(&answer.next_event().await);
    drop(answer);
    publish(&gateway, &json!("two")).await;
    publish(&gateway, &json!("three")).await;
    let (mut answer, first) = subscribe(&gateway, &events().header("last-event-id", &seen)).await;
    assert_eq!(id_of(&first), seen);
    assert_eq!(answer.header("stream-resumed-after"), Some(seen.as_str()));
    assert_eq!(answer.next_event().await.data, "\"two\"");
    let last = answer.next_event().await;
    assert_eq!((last.data.as_str(), id_of(&last)), ("\"three\"", seen.replace(".1", ".3")));
}

#[tokio::test]
async fn a_subscriber_that_saw_no_event_comes_back_with_the_cursor_of_its_first_block() {
    let gateway = gateway().await;
    let (answer, first) = subscribe(&gateway, &events()).await;
    drop(answer);
    publish(&gateway, &json!(1)).await;
    let (mut answer, _) = subscribe(&gateway, &events().header("last-event-id", &id_of(&first))).await;
    assert_eq!(answer.next_event().await.data, "1");
}

#[tokio::test]
async fn a_page_that_comes_late_sees_what_is_kept_unless_it_asks_for_what_is_to_come() {
    let gateway = gateway().await;
    publish(&gateway, &json!("old")).await;
    let (mut late, _) = subscribe(&gateway, &events()).await;
    assert_eq!(late.next_event().await.data, "\"old\"");
    let request = Request::get(&format!("{JOB}?from=now")).header("accept", "text/event-stream");
    let (mut fresh, _) = subscribe(&gateway, &request).await;
    publish(&gateway, &json!("new")).await;
    assert_eq!(fresh.next_event().await.data, "\"new\"");
}

#[tokio::test]
async fn a_deleted_channel_ends_its_subscribers_and_their_return_is_a_204() {
    let gateway = gateway().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    publish(&gateway, &json!(1)).await;
    let seen = id_of(&answer.next_event().await);
    assert_eq!(gateway.send(&Request::new("DELETE", JOB)).await.status, 204);
    assert_eq!(answer.events().await.1, Ending::Clean);
    assert_eq!(gateway.send(&events().header("last-event-id", &seen)).await.status, 204);
    assert_eq!(gateway.send(&Request::new("DELETE", JOB)).await.status, 404);
    // The next channel of the name is another one.
    let said = publish(&gateway, &json!(2)).await;
    assert_ne!(said["id"].as_str().unwrap().split('.').next(), seen.split('.').next());
    assert_eq!(gateway.send(&events().header("last-event-id", &seen)).await.status, 204);
}

#[tokio::test]
async fn a_cursor_whose_events_are_not_kept_is_a_410_and_no_cursor_is_none() {
    let gateway = Setup::new().journal("max_stream_bytes = \"1KiB\"").demo().start().await;
    let first = publish(&gateway, &json!("x".repeat(400))).await["id"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        publish(&gateway, &json!("y".repeat(400))).await;
    }
    let answer = gateway.send(&events().header("last-event-id", &first)).await;
    assert_eq!((answer.status, answer.header("stream-earliest-id").is_some()), (410, true));
    let unknown = format!("{}.4", "a".repeat(26));
    assert_eq!(gateway.send(&events().header("last-event-id", &unknown)).await.status, 410);
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    assert!(answer.next_event().await.data.contains("yyy"));
}

#[tokio::test]
async fn asking_whether_there_is_a_channel_begins_none() {
    let gateway = gateway().await;
    let head = || Request::new("HEAD", JOB);
    assert_eq!(gateway.send(&head()).await.status, 404);
    assert_eq!(gateway.send(&head()).await.status, 404);
    publish(&gateway, &json!(1)).await;
    assert_eq!(gateway.send(&head()).await.status, 200);
    gateway.send(&Request::new("DELETE", JOB)).await;
    assert_eq!(gateway.send(&head()).await.status, 404);
}

#[tokio::test]
async fn a_form_is_published_too() {
    let gateway = gateway().await;
    let form = Request::raw(JOB, b"event=tick&id=9&data=two%0D%0Alines");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(gateway.send(&form).await.status, 200);
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    let event = answer.next_event().await;
    assert_eq!((event.name.as_deref(), event.data.as_str()), (Some("tick"), "two\nlines"));
    assert!(std::str::from_utf8(&event.raw).unwrap().contains("\npublisher-id: 9\n"));
}

#[tokio::test]
async fn no_field_can_forge_another() {
    let gateway = gateway().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    for field in ["event", "id"] {
        for forged in ["a\ndata: forged", "a\rid: 9", "a\u{0}", "a\r\n\r\n"] {
            let mut refused = gateway.post(JOB, &json!({"data": 1, field: forged})).await;
            assert_eq!(refused.status, 400, "{field} {forged:?}");
            assert_eq!(refused.json().await["error"]["param"], field);
        }
    }
    publish(&gateway, &json!({"data": "a\n\nevent: forged\rid: 9\r\ndata: b"})).await;
    publish(&gateway, &json!("last")).await;
    let event = answer.next_event().await;
    assert_eq!((event.name, event.data.as_str()), (None, "a\n\nevent: forged\nid: 9\ndata: b"));
    assert_eq!(answer.next_event().await.data, "\"last\"");
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let gateway = gateway().await;
    assert_eq!(gateway.send(&Request::raw(JOB, b"{")).await.status, 400);
    let text = Request::raw(JOB, b"hello").header("content-type", "text/plain");
    assert_eq!(gateway.send(&text).await.status, 415);
    assert_eq!(gateway.get("/v1/channels/a%0Ab").await.status, 400);
    assert_eq!(gateway.get(&format!("/v1/channels/{}", "x".repeat(201))).await.status, 400);
}

#[tokio::test]
async fn a_silent_channel_stays_alive() {
    let gateway = Setup::new().stream("keep_alive = \"50ms\"").demo().start().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    for _ in 0..3 {
        let item = format!("{:?}", answer.next_item().await);
        assert!(item.contains(": keep-alive"), "{item}");
    }
}

#[tokio::test]
async fn an_idle_channel_without_subscribers_is_forgotten_and_one_with_them_is_not() {
    let gateway = Setup::new().journal("retention = \"1s\"").demo().start().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    let other = gateway.post("/v1/channels/other", &json!(1)).await.json().await["id"].clone();
    let cursor = Request::get("/v1/channels/other").header("last-event-id", other.as_str().unwrap());
    until("the idle channel to be gone", async || gateway.send(&cursor).await.status == 410).await;
    publish(&gateway, &json!("still here")).await;
    assert_eq!(answer.next_event().await.data, "\"still here\"");
}

fn with_key(request: Request, key: &str) -> Request {
    request.header("authorization", &format!("Bearer {key}"))
}

async fn guarded() -> Gateway {
    let setup = Setup::new().key("back", BACK, "scopes = [\"publish\"]").key("page", PAGE, "");
    setup.demo().start().await
}

#[tokio::test]
async fn publishing_needs_its_scope() {
    let gateway = guarded().await;
    let publish = || Request::post(JOB, &json!(1));
    assert_eq!(gateway.send(&publish()).await.status, 401);
    assert_eq!(gateway.send(&with_key(publish(), PAGE)).await.status, 403);
    assert_eq!(gateway.send(&with_key(Request::new("DELETE", JOB), PAGE)).await.status, 403);
    assert_eq!(gateway.send(&with_key(publish(), BACK)).await.status, 200);
}

#[tokio::test]
async fn the_channel_of_one_key_is_not_the_channel_of_another() {
    let gateway = guarded().await;
    let mut said = gateway.send(&with_key(Request::post(JOB, &json!("secret")), BACK)).await;
    let id = said.json().await["id"].as_str().unwrap().to_owned();
    let mut other = gateway.send(&with_key(events(), PAGE)).await;
    assert_eq!(other.next_event().await.json()["after"], 0); // a channel of its own, and empty
    let stolen = with_key(events(), PAGE).header("last-event-id", &id);
    assert_eq!(gateway.send(&stolen).await.status, 410);
    let stream = id.split('.').next().unwrap();
    let listed = gateway.send(&with_key(Request::get(&format!("/v1/streams/{stream}")), PAGE)).await;
    assert_eq!(listed.status, 404);
}

#[tokio::test]
async fn a_signed_address_opens_one_channel_for_reading() {
    let gateway = guarded().await;
    let token = Request::post(&format!("{JOB}/token"), &json!({}));
    let mut signed = gateway.send(&with_key(token, BACK)).await;
    let url = signed.json().await["stream_url"].as_str().unwrap().to_owned();
    let (mut answer, first) =
        subscribe(&gateway, &Request::get(&url).header("accept", "text/event-stream")).await;
    gateway.send(&with_key(Request::post(JOB, &json!("for the page")), BACK)).await;
    let event = answer.next_event().await;
    assert_eq!(event.data, "\"for the page\"");
    drop(answer);
    let back = Request::get(&url).header("last-event-id", &id_of(&first));
    let (mut answer, _) = subscribe(&gateway, &back).await;
    assert_eq!(id_of(&answer.next_event().await), id_of(&event));
    assert_eq!(
        gateway.get(&url.replace("job-7", "job-8")).await.status,
        401,
        "the name is under the signature"
    );
    assert_eq!(gateway.post(&url, &json!(1)).await.status, 401);
    assert_eq!(gateway.send(&Request::new("DELETE", &url)).await.status, 401);
}

#[tokio::test]
async fn a_restart_ends_channels_at_once_and_lets_their_readers_come_back() {
    let mut gateway = gateway().await;
    let (mut answer, _) = subscribe(&gateway, &events()).await;
    gateway.signal("TERM");
    assert_eq!(answer.events().await.1, Ending::Clean);
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_subscriber_too_many_is_asked_to_come_back() {
    let gateway = Setup::new().journal("max_readers = 1").demo().start().await;
    let _first = subscribe(&gateway, &events()).await;
    let mut second = gateway.send(&events()).await;
    assert_eq!(second.status, 200);
    let text = second.text().await;
    assert!(text.starts_with("retry: ") && !text.contains("\n\n"), "{text}");
    assert_eq!(gateway.get(JOB).await.status, 429);
}

#[tokio::test]
async fn a_subscriber_that_leaves_frees_its_place() {
    let gateway = Setup::new().journal("max_readers = 1").demo().start().await;
    for _ in 0..3 {
        let mut taken = None;
        until("a free place", async || {
            let answer = gateway.get(JOB).await;
            let free = answer.status == 200;
            taken = free.then_some(answer);
            free
        })
        .await;
        tokio::time::timeout(Duration::from_secs(5), taken.unwrap().next_event()).await.unwrap();
    }
}
