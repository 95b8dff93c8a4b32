//! Reload: a changed configuration is checked, then taken whole, and no stream is cut; a wrong one changes nothing.

use serde_json::json;

use crate::support::{Gateway, Heard, Request, Setup, Upstream, begin, chat, openai, until};

const CHAT: &str = "/v1/chat/completions";
const RELOADS: &str = "streamgate_config_reloads_total";

fn over(upstream: &Upstream, more: &str) -> Setup {
    Setup::new().server(&format!("workers = 2\n{more}")).backend("one", "openai", &upstream.url())
}

async fn taken(gateway: &Gateway, times: f64) {
    gateway.metric_reaches(RELOADS, &["outcome=\"taken\""], times).await;
}

/// Waits until this many fresh connections in a row, and so all workers, get this status.
async fn all_answer(gateway: &Gateway, request: &Request, status: u16) {
    until(&format!("every worker to answer {status}"), async || {
        for _ in 0..16 {
            if gateway.send(request).await.status != status {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_is_taken_by_every_worker_and_no_stream_is_cut() {
    let (mut old, mut new) = (Upstream::start().await, Upstream::start().await);
    let gateway = over(&old, "").start().await;
    let (mut answer, mut call) = begin(&gateway, &mut old, "openai").await;
    gateway.rewrite(&over(&new, "max_json_depth = 3").toml());
    taken(&gateway, 1.0).await;
    let deep = Request::post(CHAT, &json!({"model": "m", "messages": [], "x": [[[[1]]]]}));
    all_answer(&gateway, &deep, 400).await;
    for _ in 0..8 {
        let asked = gateway.ask_post(CHAT, &chat()).await;
        new.call().await.say(&["New"]).await;
        assert_eq!(asked.answer().await.status, 200);
    }
    assert_eq!(old.calls_seen(), 1, "nothing new goes to what is gone");
    call.sse(&openai::text("on")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("on"));
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn a_signal_has_the_file_read() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.signal("HUP");
    taken(&gateway, 1.0).await;
    gateway.signal("HUP");
    taken(&gateway, 2.0).await;
}

#[tokio::test]
async fn a_connection_that_stays_lives_under_the_new_one_too() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    let mut answer = gateway.get("/v1/models/none").await;
    assert_eq!(answer.status, 404);
    answer.rest().await;
    let mut kept = answer.reuse();
    gateway.rewrite(&over(&upstream, "").key("alice", "sk-canary", "").toml());
    taken(&gateway, 1.0).await;
    all_answer(&gateway, &Request::get("/v1/models/none"), 401).await;
    kept.ask(&Request::get("/v1/models/none")).await;
    assert_eq!(kept.answer().await.status, 401);
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_says_why() {
    let mut upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.rewrite(&over(&upstream, "max_stream = 1").toml());
    gateway.metric_reaches(RELOADS, &["outcome=\"refused\""], 1.0).await;
    gateway.logged("unknown key `max_stream` in [server]").await;
    gateway.logged("did you mean `max_streams`?").await;
    let asked = gateway.ask_post(CHAT, &chat()).await;
    upstream.call().await.say(&["As", "before"]).await;
    assert_eq!(asked.answer().await.status, 200);
    gateway.rewrite("[[backend]]\nname = \"half");
    gateway.metric_reaches(RELOADS, &["outcome=\"refused\""], 2.0).await;
    assert!(gateway.metric(RELOADS, &["outcome=\"taken\""]).await < 1.0);
}

#[tokio::test]
async fn what_was_counted_stays_counted() {
    let mut upstream = Upstream::start().await;
    let keyed = |depth: u32| {
        over(&upstream, &format!("max_json_depth = {depth}")).key("alice", "sk-canary", "max_streams = 1")
    };
    let with_key = |request: Request| request.header("authorization", "Bearer sk-canary");
    let (before, after) = (keyed(64), keyed(3).toml());
    let gateway = before.start().await;
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    let mut call = upstream.call().await;
    call.say(&["one"]).await;
    let mut answer = asked.answer().await;
    gateway.rewrite(&after);
    let deep = Request::post(CHAT, &json!({"model": "m", "messages": [], "x": [[[[1]]]]}));
    taken(&gateway, 1.0).await;
    all_answer(&gateway, &with_key(deep), 429).await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    upstream.call().await.say(&["Free"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn where_there_are_more_slots_who_waits_is_let_in() {
    let mut upstream = Upstream::start().await;
    let limited = |slots: u32| {
        let more = format!("max_concurrent = {slots}");
        Setup::new().server("workers = 2").backend_with("one", "openai", &upstream.url(), &more)
    };
    let after = limited(2).toml();
    let gateway = limited(1).start().await;
    let (mut first, call) = begin(&gateway, &mut upstream, "openai").await;
    let waits = gateway.ask_post(CHAT, &chat()).await;
    gateway.metric_reaches("streamgate_queue_length", &[], 1.0).await;
    gateway.rewrite(&after);
    let mut room = upstream.call().await;
    room.say(&["Room"]).await;
    room.end().await;
    assert!(Heard::of(&mut waits.answer().await).await.succeeded());
    call.end().await;
    assert!(Heard::of(&mut first).await.succeeded());
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.rewrite(&over(&upstream, "max_connections = 7").toml());
    taken(&gateway, 1.0).await;
    gateway.logged("server.max_connections").await;
}
