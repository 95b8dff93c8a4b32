//! Two keys: nothing of one is ever shown to the other, whatever route is asked and whenever a client leaves.

use std::time::Duration;

use serde_json::json;

use super::{CHAT, Dice, TALK, ask, begin, stream_id, wish, with};
use crate::support::{Gateway, Heard, Request, Setup, Upstream, prompt, until};

const ALICE: &str = "Bearer sk-it-alice-1";
const BOB: &str = "Bearer sk-it-bob-2";

async fn start(api: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "sk-it-alice-1", "").key("bob", "sk-it-bob-2", "");
    (setup.backend("one", api, &upstream.url()).start().await, upstream)
}

fn by(key: &str, request: Request) -> Request {
    request.header("authorization", key)
}

/// Every route that names a stream.
fn routes(id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("GET", format!("/v1/streams/{id}")),
        ("HEAD", format!("/v1/streams/{id}")),
        ("GET", format!("/v1/streams/{id}?viewer=x&exclusive=1")),
        ("POST", format!("/v1/streams/{id}/token")),
        ("GET", "/v1/conversations/talk/stream".into()),
        ("GET", format!("/v1/conversations/talk/stream?last_event_id={id}.1")),
        ("GET", "/v1/stream/talk?from=0".into()),
        ("GET", format!("/v1/responses/resp_{id}")),
        ("GET", format!("/v1/responses/resp_{id}?stream=true&starting_after=0")),
        ("POST", format!("/v1/responses/resp_{id}/cancel")),
        ("DELETE", format!("/v1/responses/resp_{id}")),
        ("POST", format!("/v1/streams/{id}/cancel")),
        ("DELETE", "/v1/stream/talk".into()),
        ("DELETE", format!("/v1/streams/{id}")),
    ]
}

#[tokio::test]
async fn what_belongs_to_another_key_is_as_unknown_as_what_never_was() {
    let (gateway, mut upstream) = start("responses").await;
    let request = by(ALICE, wish("/v1/responses", &[(TALK, "talk")]));
    let (mut answer, call) = begin(&gateway, &mut upstream, &request).await;
    let id = stream_id(&answer);
    for (method, path) in routes(&id) {
        let unknown = path.replace(&id, &"a".repeat(26)).replace("talk", "walk");
        let mut theirs = gateway.send(&by(BOB, Request::new(method, &path))).await;
        let mut never = gateway.send(&by(BOB, Request::new(method, &unknown))).await;
        assert_eq!((theirs.status, never.status), (404, 404), "{method} {path}");
        let plain = |text: String| text.replace(&id, "ID").replace(&"a".repeat(26), "ID");
        assert_eq!(plain(theirs.text().await), plain(never.text().await), "{method} {path}");
        assert_eq!((theirs.header("stream-id"), theirs.header("location")), (None, None), "{method} {path}");
        let nobody = gateway.send(&Request::new(method, &path)).await;
        assert_eq!(nobody.status, 401, "{method} {path}");
    }
    let list = gateway.send(&by(BOB, Request::get("/v1/streams"))).await.json().await;
    assert_eq!(list["data"], json!([]));
    call.end().await;
    assert_eq!(Heard::of(&mut answer).await.text, "Rhine", "nothing that Bob did ended it");
}

#[tokio::test]
async fn the_last_event_of_another_key_is_not_gone_on_from() {
    let (gateway, mut upstream) = start("openai").await;
    let (answer, _call) = begin(&gateway, &mut upstream, &by(ALICE, wish(CHAT, &[(TALK, "talk")]))).await;
    let last = format!("{}.1", stream_id(&answer));
    let mut theirs = gateway.send(&by(BOB, wish(CHAT, &[(TALK, "talk"), ("last-event-id", &last)]))).await;
    assert_eq!(theirs.status, 404);
    assert!(!theirs.text().await.contains("Rhine"));
}

#[tokio::test]
async fn keys_and_conversations_of_the_same_name_are_apart() {
    let (gateway, mut upstream) = start("openai").await;
    let headers = [(TALK, "talk"), ("idempotency-key", "k"), ("x-on-conflict", "reject")];
    let (alice, mut one) = begin(&gateway, &mut upstream, &by(ALICE, wish(CHAT, &headers))).await;
    let (bob, _two) = begin(&gateway, &mut upstream, &by(BOB, wish(CHAT, &headers))).await;
    assert_ne!(stream_id(&alice), stream_id(&bob));
    one.stays(Duration::from_millis(100)).await;
    let own = gateway.send(&by(BOB, Request::get("/v1/stream/talk"))).await;
    assert_eq!(stream_id(&own), stream_id(&bob));
}

/// One turn of one tenant: a stream with its canary, which its client may leave at any moment.
async fn turn(gateway: &Gateway, upstream: &mut Upstream, number: usize, dice: &mut Dice) -> String {
    let (key, canary) = if number.is_multiple_of(2) { (ALICE, "canary-alice") } else { (BOB, "canary-bob") };
    let talk = format!("talk-{}", dice.below(4));
    let stream = dice.below(4) > 0;
    let headers = [(TALK, talk.as_str()), ("idempotency-key", &format!("k-{}", dice.below(6)))];
    let mut body = prompt("m", stream);
    body["user"] = json!(canary);
    let request = by(key, with(Request::post(CHAT, &body), &headers));
    let leaves = dice.below(10) < 3;
    let asked = gateway.ask(&request).await;
    if leaves && dice.below(2) == 0 {
        drop(asked);
        return String::new();
    }
    let answering = tokio::time::timeout(Duration::from_millis(100), upstream.call());
    if let Ok(mut call) = answering.await {
        let its = call.json()["user"].as_str().unwrap().to_owned();
        if call.json()["stream"] == true {
            call.say(&[its.as_str()]).await;
            drop(call.try_send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").await);
        } else {
            call.answer(200, &crate::support::openai::whole(&its)).await;
        }
    }
    if leaves {
        drop(asked);
        return String::new();
    }
    let Ok(mut answer) = tokio::time::timeout(Duration::from_millis(300), asked.answer()).await else {
        return String::new();
    };
    let read = tokio::time::timeout(Duration::from_millis(300), answer.rest()).await;
    read.map(|(body, _)| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default()
}

#[tokio::test]
async fn no_canary_is_ever_seen_by_the_other_tenant() {
    let (gateway, mut upstream) = start("openai").await;
    let mut dice = Dice(0xca_7a21);
    for number in 0..120 {
        let seen = turn(&gateway, &mut upstream, number, &mut dice).await;
        let (key, foreign) =
            if number.is_multiple_of(2) { (ALICE, "canary-bob") } else { (BOB, "canary-alice") };
        assert!(!seen.contains(foreign), "{seen}");
        let list = gateway.send(&by(key, Request::get("/v1/streams"))).await.json().await;
        let streams = list["data"].as_array().unwrap();
        if !streams.is_empty() {
            let id = streams[dice.below(streams.len())]["id"].as_str().unwrap().to_owned();
            let view = by(key, super::json_view(&format!("/v1/streams/{id}")));
            assert!(!gateway.send(&view).await.text().await.contains(foreign));
            let other = if key == ALICE { BOB } else { ALICE };
            let view = by(other, super::json_view(&format!("/v1/streams/{id}")));
            assert_eq!(gateway.send(&view).await.status, 404);
        }
    }
    until("no reader to be left", async || gateway.metric("streamgate_record_readers", &[]).await < 0.5)
        .await;
}

#[tokio::test]
async fn work_in_the_background_counts_among_the_streams_of_its_key() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "sk-it-alice-1", "max_streams = 1");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let request = || by(ALICE, wish(CHAT, &[("prefer", "respond-async")]));
    let (asked, mut call) = ask(&gateway, &mut upstream, &request()).await;
    assert_eq!(asked.answer().await.status, 202);
    assert_eq!(gateway.send(&request()).await.status, 429);
    call.say(&["Rhine"]).await;
    call.end().await;
    until("the place to be free", async || gateway.send(&request()).await.status == 202).await;
}
