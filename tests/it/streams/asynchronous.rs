//! `Prefer: respond-async`: 202 at once, the work goes on by itself, and signed addresses open its stream without a key.

use super::{CHAT, ask, becomes, gateway, json_view, stream_id, wish, with};
use crate::support::pairs::{APIS, DOORS, request};
use crate::support::{Call, Gateway, Heard, Request, Setup, Upstream, openai, prompt, until};

const ASYNC: (&str, &str) = ("prefer", "respond-async");
const SECRET: &str = "sk-it-async-11";

/// A gateway with a key, and a stream that runs by itself: its 202 and its backend's call.
async fn detached() -> (Gateway, Upstream, serde_json::Value, Call) {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", SECRET, "").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let (asked, mut call) = ask(&gateway, &mut upstream, &with_key(wish(CHAT, &[ASYNC]))).await;
    call.say(&["Rhine"]).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("preference-applied")), (202, Some("respond-async")));
    let (id, told) = (stream_id(&answer), answer.json().await);
    assert_eq!(
        (&told["id"], answer.header("location")),
        (&id.as_str().into(), Some(format!("/v1/streams/{id}").as_str()))
    );
    (gateway, upstream, told, call)
}

fn with_key(request: Request) -> Request {
    request.header("authorization", &format!("Bearer {SECRET}"))
}

#[tokio::test]
async fn the_stream_goes_on_although_nobody_reads_it() {
    let (gateway, _upstream, told, mut call) = detached().await;
    call.sse(&openai::text("Main")).await;
    call.end().await;
    let path = format!("/v1/streams/{}", told["id"].as_str().unwrap());
    until("the stream to be done", async || {
        gateway.send(&with_key(json_view(&path))).await.json().await["state"] == "done"
    })
    .await;
    assert_eq!(gateway.send(&with_key(json_view(&path))).await.json().await["text"], "RhineMain");
}

#[tokio::test]
async fn the_signed_address_opens_its_stream_without_a_key() {
    let (gateway, _upstream, told, call) = detached().await;
    let url = told["stream_url"].as_str().unwrap();
    let mut reader = gateway.send(&Request::get(url).header("accept", "text/event-stream")).await;
    assert_eq!(reader.status, 200);
    call.end().await;
    assert_eq!(Heard::of(&mut reader).await.text, "Rhine");
    let last = format!("{}&last_event_id={}.1", url, told["id"].as_str().unwrap());
    assert_eq!(super::number_of(&gateway.get(&last).await.next_event().await), 2);
}

#[tokio::test]
async fn a_signature_is_good_for_its_stream_and_its_scope_alone() {
    let (gateway, mut upstream, told, _call) = detached().await;
    let (asked, _other) = ask(&gateway, &mut upstream, &with_key(wish(CHAT, &[ASYNC]))).await;
    let other = asked.answer().await.json().await;
    let id = |told: &serde_json::Value| told["id"].as_str().unwrap().to_owned();
    let read = told["stream_url"].as_str().unwrap();
    let moved = read.replace(&id(&told), &id(&other));
    let (mut spoiled, last) = (read.to_owned(), read.chars().next_back().unwrap());
    spoiled.pop();
    spoiled.push(if last == '0' { '1' } else { '0' });
    for path in
        [moved, spoiled, format!("/v1/streams/{}", id(&told)), read.replace("scope=read", "scope=cancel")]
    {
        assert_eq!(gateway.get(&path).await.status, 401, "{path}");
    }
    assert_eq!(gateway.send(&Request::new("DELETE", read)).await.status, 401);
    let (_, query) = read.split_once('?').unwrap();
    for path in ["/v1/streams".to_owned(), format!("/v1/streams/{}/token", id(&told))] {
        let method = if path.ends_with("token") { "POST" } else { "GET" };
        assert_eq!(
            gateway.send(&Request::new(method, &format!("{path}?{query}"))).await.status,
            401,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_signed_cancel_address_ends_the_stream() {
    let (gateway, _upstream, told, mut call) = detached().await;
    let url = told["cancel_url"].as_str().unwrap();
    let mut answer = gateway.send(&Request::new("POST", url)).await;
    assert_eq!((answer.status, &answer.json().await["state"]), (200, &"cancelled".into()));
    call.closed().await;
}

#[tokio::test]
async fn an_address_over_its_time_opens_nothing() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", SECRET, "").journal("url_lifetime = \"0s\"");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let (asked, _call) = ask(&gateway, &mut upstream, &with_key(wish(CHAT, &[ASYNC]))).await;
    let told = asked.answer().await.json().await;
    until("the address to expire", async || {
        gateway.send(&Request::new("HEAD", told["stream_url"].as_str().unwrap())).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn new_addresses_are_given_to_the_owner() {
    let (gateway, _upstream, told, _call) = detached().await;
    let path = format!("/v1/streams/{}/token", told["id"].as_str().unwrap());
    let token = gateway.send(&with_key(Request::new("POST", &path))).await.json().await;
    assert_eq!(gateway.get(token["stream_url"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_was_not_to_be_streamed_is_worked_on_all_the_same() {
    for api in APIS {
        for (door, _) in DOORS {
            let (gateway, mut upstream) = gateway(api, &[], &[]).await;
            let asked = with(Request::post(door, &request(door, "m", false)), &[ASYNC]);
            let (asked, mut call) = ask(&gateway, &mut upstream, &asked).await;
            assert_eq!(call.json()["stream"], true, "{door} over {api}");
            call.say(&["Rhine"]).await;
            call.end().await;
            let answer = asked.answer().await;
            assert_eq!(answer.status, 202, "{door} over {api}");
            let view = becomes(&gateway, &stream_id(&answer), "done").await;
            assert_eq!(view["text"], "Rhine", "{door} over {api}");
        }
    }
}

#[tokio::test]
async fn a_repeated_request_is_told_the_same_stream() {
    for stream in [true, false] {
        let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
        let asked = || with(Request::post(CHAT, &prompt("m", stream)), &[ASYNC, ("idempotency-key", "k")]);
        let (first, _call) = ask(&gateway, &mut upstream, &asked()).await;
        let first = first.answer().await.json().await;
        let mut second = gateway.send(&asked()).await;
        assert_eq!((second.status, &second.json().await["id"]), (202, &first["id"]));
        assert_eq!(upstream.calls_seen(), 1);
    }
}

#[tokio::test]
async fn a_failure_of_work_that_runs_by_itself_is_kept() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, call) = ask(&gateway, &mut upstream, &wish(CHAT, &[ASYNC])).await;
    call.answer(500, &openai::error("full")).await;
    let answer = asked.answer().await;
    let view = becomes(&gateway, &stream_id(&answer), "failed").await;
    assert_eq!(view["error"], "upstream_error");
}
