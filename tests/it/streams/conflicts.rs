//! A second request in a busy conversation: interrupt, attach, reject, enqueue.

use std::time::Duration;

use super::{CHAT, TALK, ask, becomes, begin, gateway, named, stream_id, wish, with};
use crate::support::{Answer, Call, Heard, Request, Upstream, openai, prompt};

fn second(policy: &str) -> Request {
    wish(CHAT, &[(TALK, "talk"), ("x-on-conflict", policy)])
}

#[tokio::test]
async fn by_default_the_old_stream_is_superseded_and_the_new_one_starts() {
    let (gateway, mut upstream, mut first, mut call) = named("openai", &[], &[]).await;
    let (mut second, other) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    call.closed().await;
    let heard = Heard::of(&mut first).await;
    assert!(heard.failed() && heard.code() == Some("superseded"), "{heard:?}");
    other.end().await;
    assert!(Heard::of(&mut second).await.succeeded());
    assert_eq!(becomes(&gateway, &stream_id(&first), "cancelled").await["error"], "superseded");
}

#[tokio::test]
async fn with_attach_the_running_stream_is_the_answer() {
    let (gateway, upstream, first, call) = named("openai", &[], &[]).await;
    let mut second = gateway.send(&second("attach")).await;
    assert_eq!(stream_id(&second), stream_id(&first));
    call.end().await;
    assert_eq!(Heard::of(&mut second).await.text, "Rhine");
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn with_attach_a_stream_of_another_kind_is_a_409() {
    let (gateway, _upstream, _first, _call) = named("openai", &[], &[]).await;
    let headers = [(TALK, "talk"), ("x-on-conflict", "attach")];
    assert_eq!(gateway.send(&with(Request::post(CHAT, &prompt("m", false)), &headers)).await.status, 409);
    assert_eq!(gateway.send(&wish("/api/chat", &headers)).await.status, 409);
    let addresses = with(second("attach"), &[("prefer", "respond-async")]);
    assert_eq!(gateway.send(&addresses).await.status, 202);
}

#[tokio::test]
async fn with_reject_the_request_is_a_409_that_says_where_the_stream_is() {
    let (gateway, upstream, mut first, call) = named("openai", &[], &[]).await;
    let mut refused = gateway.send(&second("reject")).await;
    assert_eq!((refused.status, refused.header("location")), (409, first.header("location")));
    assert!(refused.json().await["error"]["message"].is_string());
    call.end().await;
    assert!(Heard::of(&mut first).await.succeeded());
    assert_eq!(upstream.calls_seen(), 1);
}

/// A stream that waits reaches the backend when the running one has ended, and not before.
async fn comes_behind(mut waiting: Answer, (mut first, mut call): (Answer, Call), upstream: &mut Upstream) {
    call.stays(Duration::from_millis(200)).await;
    assert_eq!(upstream.calls_seen(), 1);
    call.end().await;
    assert!(Heard::of(&mut first).await.succeeded());
    let mut call = upstream.call().await;
    call.say(&["Main"]).await;
    call.end().await;
    assert_eq!(Heard::of(&mut waiting).await.text, "Main");
}

#[tokio::test]
async fn with_enqueue_the_request_waits_for_the_running_one() {
    let (gateway, mut upstream, first, call) = named("openai", &["commit_after = \"100ms\""], &[]).await;
    let second = gateway.send(&second("enqueue")).await;
    assert_eq!(second.status, 200);
    comes_behind(second, (first, call), &mut upstream).await;
}

#[tokio::test]
async fn one_that_waits_can_be_cancelled_and_never_reaches_a_backend() {
    let (gateway, upstream, _first, mut call) = named("openai", &["commit_after = \"100ms\""], &[]).await;
    let mut second = gateway.send(&second("enqueue")).await;
    let path = format!("/v1/streams/{}/cancel", stream_id(&second));
    assert_eq!(gateway.send(&Request::new("POST", &path)).await.status, 200);
    assert_eq!(Heard::of(&mut second).await.code(), Some("cancelled"));
    call.sse(&openai::text("on")).await;
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_conversation_is_busy_although_the_one_that_waited_was_cancelled() {
    let (gateway, _upstream, first, _call) = named("openai", &["commit_after = \"100ms\""], &[]).await;
    let waiting = gateway.send(&second("enqueue")).await;
    gateway.send(&Request::new("DELETE", &format!("/v1/streams/{}", stream_id(&waiting)))).await;
    let refused = gateway.send(&second("reject")).await;
    assert_eq!((refused.status, refused.header("location")), (409, first.header("location")));
}

#[tokio::test]
async fn one_that_waits_waits_for_the_running_one_although_another_that_waited_was_cancelled() {
    let (gateway, mut upstream, first, call) = named("openai", &["commit_after = \"100ms\""], &[]).await;
    let waiting = gateway.send(&second("enqueue")).await;
    let last = gateway.send(&second("enqueue")).await;
    gateway.send(&Request::new("DELETE", &format!("/v1/streams/{}", stream_id(&waiting)))).await;
    comes_behind(last, (first, call), &mut upstream).await;
}

#[tokio::test]
async fn an_interrupt_ends_what_runs_and_what_waits() {
    let (gateway, mut upstream, _first, mut call) = named("openai", &["commit_after = \"100ms\""], &[]).await;
    let mut waiting = gateway.send(&second("enqueue")).await;
    let (_third, _call) = begin(&gateway, &mut upstream, &second("interrupt")).await;
    call.closed().await;
    assert_eq!(Heard::of(&mut waiting).await.code(), Some("superseded"));
    assert_eq!(upstream.calls_seen(), 2);
}

#[tokio::test]
async fn whole_answers_follow_the_same_policies() {
    let whole = |policy: &str| {
        with(Request::post(CHAT, &prompt("m", false)), &[(TALK, "t"), ("x-on-conflict", policy)])
    };
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (first, mut call) = ask(&gateway, &mut upstream, &whole("interrupt")).await;
    let (second, mut other) = ask(&gateway, &mut upstream, &whole("interrupt")).await;
    call.closed().await;
    let mut first = first.answer().await;
    assert_eq!((first.status, &first.json().await["error"]["code"]), (409, &"superseded".into()));
    assert_eq!(gateway.send(&whole("reject")).await.status, 409);
    let attached = gateway.ask(&whole("attach")).await;
    other.stays(Duration::from_millis(200)).await; // it is at the gateway by then
    let queued = gateway.ask(&whole("enqueue")).await;
    other.stays(Duration::from_millis(200)).await;
    other.answer(200, &openai::whole("Rhine")).await;
    let told = second.answer().await.json().await;
    assert_eq!(attached.answer().await.json().await, told);
    upstream.call().await.answer(200, &openai::whole("Main")).await;
    assert_eq!(queued.answer().await.status, 200);
    assert_eq!(upstream.calls_seen(), 3);
}

#[tokio::test]
async fn who_is_attached_to_a_whole_answer_that_is_superseded_is_told_so() {
    let whole = |policy: &str| {
        with(Request::post(CHAT, &prompt("m", false)), &[(TALK, "t"), ("x-on-conflict", policy)])
    };
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (_first, mut call) = ask(&gateway, &mut upstream, &whole("interrupt")).await;
    let attached = gateway.ask(&whole("attach")).await;
    call.stays(Duration::from_millis(200)).await; // it is at the gateway by then
    let (_second, _other) = ask(&gateway, &mut upstream, &whole("interrupt")).await;
    let mut told = attached.answer().await;
    assert_eq!((told.status, &told.json().await["error"]["code"]), (409, &"superseded".into()));
}

#[tokio::test]
async fn a_conversation_that_is_not_busy_conflicts_with_nothing() {
    let (gateway, mut upstream, mut first, call) = named("openai", &[], &[]).await;
    call.end().await;
    first.rest().await;
    for policy in ["reject", "attach", "enqueue"] {
        let (mut answer, call) = begin(&gateway, &mut upstream, &second(policy)).await;
        assert_ne!(stream_id(&answer), stream_id(&first), "{policy}");
        call.end().await;
        answer.rest().await;
    }
}

#[tokio::test]
async fn two_conversations_do_not_meet() {
    let (gateway, mut upstream, mut first, call) = named("openai", &[], &[]).await;
    let (_second, _other) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "other")])).await;
    call.end().await;
    assert!(Heard::of(&mut first).await.succeeded());
}
