//! Callers that leave at any moment: what was meant for one of them never reaches another.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::support::{Client, Request, Upstream, openai, prompt};
use super::{Pair, look, read};

const TENANTS: usize = 6;
const ROUNDS: usize = 24;

/// The secret of a tenant, and what only this tenant may ever read.
fn key(tenant: usize) -> String {
    format!("Bearer sk-{tenant}")
}

fn canary(tenant: usize) -> String {
    format!("canary-{tenant}-")
}

/// Answers every call with the canary of its question, for as long as the test runs.
async fn parrot(mut upstream: Upstream) {
    let mut calls = JoinSet::new();
    loop {
        let mut call = upstream.call().await;
        calls.spawn(async move {
            let question = String::from_utf8_lossy(&call.body).into_owned();
            let word = question.split('"').find(|word| word.starts_with("canary-")).unwrap().to_owned();
            let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\n\r\n";
            let words = format!("data: {}\n\n", openai::text(&word)).repeat(20);
            let answer = format!("{head}{words}data: {}\n\ndata: [DONE]\n\n", openai::finish("stop"));
            drop(call.try_send(answer.as_bytes()).await); // the caller may have left
        });
    }
}

/// One caller: begins streams, reads, lists and looks, and leaves every third request in the middle.
async fn caller(tenant: usize, replicas: [std::net::SocketAddr; 2]) -> usize {
    let (mut heard, mut ids) = (0, Vec::<String>::new());
    for round in 0..ROUNDS {
        let mut question = prompt("m", true);
        question["messages"][0]["content"] = canary(tenant).into();
        let begin = Request::post("/v1/chat/completions", &question)
            .header("x-conversation-id", &format!("talk-{}", round % 3))
            .header("idempotency-key", &format!("key-{round}"));
        let mut requests =
            vec![begin, Request::get("/v1/streams"), Request::get("/v1/conversations/talk-0/stream")];
        requests.extend(ids.iter().rev().take(2).flat_map(|id| [look(id), read(id)]));
        for (number, request) in requests.into_iter().enumerate() {
            let mut client = Client::connect(replicas[(round + number + tenant) % 2]).await;
            client.ask(&request.header("authorization", &key(tenant))).await;
            if (round * 7 + number * 3 + tenant).is_multiple_of(3) {
                // From at once to somewhere in the middle.
                let patience = Duration::from_micros((round * 331 + number * 97 + tenant * 53) as u64 % 3000);
                drop(timeout(patience, client.answer()).await);
                continue;
            }
            let mut answer = client.answer().await;
            ids.extend(answer.header("stream-id").map(str::to_owned));
            let body = String::from_utf8_lossy(&answer.rest().await.0).into_owned();
            heard += body.matches(&canary(tenant)).count();
            for other in (0..TENANTS).filter(|other| *other != tenant) {
                assert!(!body.contains(&canary(other)), "tenant {tenant} reads of {other}: {body}");
            }
        }
    }
    heard
}

#[tokio::test]
async fn callers_that_leave_in_the_middle_never_leave_their_answers_to_others() {
    let keyed = |setup| {
        (0..TENANTS).fold(setup, |setup: super::Setup, tenant| {
            setup.key(&format!("tenant{tenant}"), &format!("sk-{tenant}"), "")
        })
    };
    let Pair { a, b, redis, upstream } = Pair::start_with(keyed).await;
    let mut work = JoinSet::new();
    work.spawn(parrot(upstream));
    let mut callers = JoinSet::new();
    for tenant in 0..TENANTS {
        callers.spawn(caller(tenant, [a.public, b.public]));
    }
    // Connections to Redis break in the middle of replies too.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
    let mut heard = 0;
    while let Some(own) = callers.join_next().await {
        heard += own.unwrap();
    }
    assert!(heard > TENANTS * ROUNDS * 20, "{heard}");
}
