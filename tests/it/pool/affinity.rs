//! Conversations stay with one backend, for the sake of what it remembers of them.

use serde_json::{Value, json};

use super::{seen, servers, setup};
use crate::support::Manner::{Status, Well};
use crate::support::{Gateway, Heard, Request, Server, Setup, Upstream, until};

const ROUTE: &str = "balance = \"conversation\"";

/// A request that begins with these words, as its so-manyth turn.
fn turn(words: &str, turns: usize) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "Be brief."})];
    messages.push(json!({"role": "user", "content": words}));
    for turn in 0..turns {
        messages.push(json!({"role": "assistant", "content": format!("Answer {turn}")}));
        messages.push(json!({"role": "user", "content": "And then?"}));
    }
    json!({"model": "m", "stream": true, "messages": messages})
}

/// Asks, and tells which backend was asked.
async fn home(gateway: &Gateway, servers: &[Server], request: &Request) -> usize {
    let before = seen(servers);
    let mut answer = gateway.send(request).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    drained(gateway).await;
    let after = seen(servers);
    let asked: Vec<usize> = (0..servers.len()).filter(|at| after[*at] > before[*at]).collect();
    *asked.last().unwrap()
}

/// Waits until no backend is busy with anything, so that load plays no part.
async fn drained(gateway: &Gateway) {
    until("all to be idle", async || gateway.metric("streamgate_backend_outstanding", &[]).await < 0.5).await;
}

fn post(body: &Value) -> Request {
    Request::post("/v1/chat/completions", body)
}

#[tokio::test]
async fn a_conversation_stays_where_it_is_by_its_beginning() {
    let servers = servers(&[Well; 3]).await;
    let gateway = setup(&servers, ROUTE).start().await;
    for conversation in 0..12 {
        let words = format!("Question {conversation}");
        let first = home(&gateway, &servers, &post(&turn(&words, 0))).await;
        for turns in 1..4 {
            assert_eq!(home(&gateway, &servers, &post(&turn(&words, turns))).await, first);
        }
    }
    assert!(seen(&servers).iter().all(|seen| *seen > 0), "{:?}", seen(&servers));
}

#[tokio::test]
async fn a_conversation_stays_where_it_is_by_its_name() {
    let servers = servers(&[Well; 3]).await;
    let gateway = setup(&servers, ROUTE).start().await;
    for conversation in 0..8 {
        let mut homes = Vec::new();
        for turns in 0..3 {
            // What it says is another thing each time.
            let request = post(&turn(&format!("Turn {turns}"), 0));
            let request = request.header("x-conversation-id", &format!("chat-{conversation}"));
            homes.push(home(&gateway, &servers, &request).await);
        }
        assert!(homes.iter().all(|home| *home == homes[0]), "{homes:?}");
    }
}

/// Where agents say their session, in the order in which it counts.
const SESSIONS: [&str; 6] = [
    "x-claude-code-session-id",
    "session-id",
    "thread-id",
    "x-session-id",
    "x-session-affinity",
    "x-affinity",
];

#[tokio::test]
async fn the_session_of_an_agent_stays_where_it_is() {
    let servers = servers(&[Well; 3]).await;
    let gateway = setup(&servers, ROUTE).start().await;
    let mut used = Vec::new();
    for (at, header) in SESSIONS.into_iter().enumerate() {
        let mut homes = Vec::new();
        for turns in 0..3 {
            let request = post(&turn(&format!("Turn {turns}"), 0)).header(header, &format!("session-{at}"));
            // What tells one request from another is no session.
            let request = request.header("x-client-request-id", &format!("{at}-{turns}"));
            homes.push(home(&gateway, &servers, &request).await);
        }
        let mut body = turn("Another", 0);
        body["prompt_cache_key"] = json!(format!("session-{at}"));
        homes.push(home(&gateway, &servers, &post(&body)).await);
        assert!(homes.iter().all(|home| *home == homes[0]), "{header}: {homes:?}");
        used.push(homes[0]);
    }
    assert!(used.iter().any(|home| *home != used[0]), "{used:?}");
}

#[tokio::test]
async fn the_name_of_a_conversation_counts_before_the_session_of_an_agent() {
    let servers = servers(&[Well; 3]).await;
    let gateway = setup(&servers, ROUTE).start().await;
    for conversation in 0..4 {
        let name = format!("chat-{conversation}");
        let mut homes = Vec::new();
        for (at, session) in SESSIONS.into_iter().enumerate() {
            let request = post(&turn("Hi", 0)).header("x-conversation-id", &name);
            homes.push(home(&gateway, &servers, &request.header(session, &format!("s-{at}"))).await);
        }
        assert!(homes.iter().all(|home| *home == homes[0]), "{homes:?}");
    }
}

#[tokio::test]
async fn a_session_names_no_conversation_and_records_nothing() {
    let servers = servers(&[Well; 1]).await;
    let gateway = setup(&servers, ROUTE).start().await;
    for session in SESSIONS {
        let mut answer = gateway.send(&post(&turn("Hi", 0)).header(session, "s")).await;
        assert_eq!(answer.header("stream-id"), None, "{session}");
        assert!(Heard::of(&mut answer).await.succeeded());
    }
    assert_eq!(gateway.get("/v1/conversations/s/stream").await.status, 404);
}

#[tokio::test]
async fn few_conversations_move_when_a_backend_is_added() {
    let servers = servers(&[Well; 4]).await;
    let three = setup(&servers[..3], ROUTE).start().await;
    let four = setup(&servers, ROUTE).start().await;
    let mut moved = 0;
    for conversation in 0..60 {
        let request = post(&turn(&format!("Question {conversation}"), 0));
        let (before, after) = (home(&three, &servers, &request).await, home(&four, &servers, &request).await);
        if before != after {
            assert_eq!(after, 3, "only to the new one");
            moved += 1;
        }
    }
    // Fifteen of sixty are to be expected.
    assert!((4..=28).contains(&moved), "{moved}");
}

#[tokio::test]
async fn a_conversation_leaves_a_backend_that_fails_and_comes_back() {
    let servers = servers(&[Well; 3]).await;
    let setup = setup(&servers, ROUTE).pool("eject_after = 2").pool("eject_for = \"300ms\"");
    let gateway = setup.start().await;
    let request = post(&turn("Question", 0));
    let own = home(&gateway, &servers, &request).await;
    servers[own].behave(Status(500));
    let other = home(&gateway, &servers, &request).await;
    assert_ne!(other, own);
    for turns in 1..4 {
        assert_eq!(home(&gateway, &servers, &post(&turn("Question", turns))).await, other, "always the same");
    }
    servers[own].behave(Well);
    until("the conversation to come home", async || home(&gateway, &servers, &request).await == own).await;
}

#[tokio::test]
async fn a_conversation_goes_elsewhere_while_its_backend_is_overloaded() {
    let mut upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let mut setup = Setup::new().pool("probe_interval = \"0s\"");
    for (name, upstream) in ["a", "b", "c"].iter().zip(&upstreams) {
        setup = setup.backend(name, "openai", &upstream.url());
    }
    let route = format!("model = \"*\"\nbackends = [\"a\", \"b\", \"c\"]\n{ROUTE}");
    let gateway = setup.route(&route).start().await;
    let mut calls = Vec::new();
    let mut homes = Vec::new();
    // Six of one conversation at once: of three backends none may have more than ceil(1.25 * 6 / 3) = 3.
    for _ in 0..6 {
        let asked = gateway.ask(&post(&turn("Question", 0))).await;
        let [a, b, c] = &mut upstreams;
        let (home, mut call) = tokio::select! {
            call = a.call() => (0, call),
            call = b.call() => (1, call),
            call = c.call() => (2, call),
        };
        call.say(&["Dou"]).await;
        calls.push((asked.answer().await, call));
        homes.push(home);
    }
    let most = (0..3).map(|at| homes.iter().filter(|home| **home == at).count()).max().unwrap();
    assert!(most <= 3 && homes.iter().any(|home| *home != homes[0]), "{homes:?}");
    let own = homes[0];
    for (_, call) in calls {
        call.end().await;
    }
    drained(&gateway).await;
    let _asked = gateway.ask(&post(&turn("Question", 1))).await;
    upstreams[own].call().await;
}
