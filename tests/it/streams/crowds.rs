//! Many at once: whatever they do to the same conversations, everything ends, and nothing is left behind.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{CHAT, Dice, TALK, with};
use crate::support::{Answer, Client, Gateway, Request, Setup, until};

async fn send(public: SocketAddr, request: &Request) -> Option<Answer> {
    let mut client = Client::connect(public).await;
    client.ask(request).await;
    client.answer_or_close().await
}

/// What one of them does: mostly it asks, and then reads, leaves or cancels.
async fn one(public: SocketAddr, mut dice: Dice) {
    let talk = format!("talk-{}", dice.below(3));
    let policy = ["interrupt", "attach", "reject", "enqueue"][dice.below(4)];
    let key = format!("k-{}", dice.below(20));
    let stream = dice.below(4) > 0;
    let body = json!({
        "model": "demo:words=20,pace=5ms", "stream": stream, "messages": [{"role": "user", "content": "x"}]
    });
    let mut headers = vec![(TALK, talk.as_str()), ("x-on-conflict", policy)];
    let repeats = dice.below(4) == 0;
    if repeats {
        headers.push(("idempotency-key", &key));
    }
    if dice.below(5) == 0 {
        headers.push(("prefer", "respond-async"));
    }
    let request = with(Request::post(CHAT, &body), &headers);
    let asking = send(public, &request);
    if dice.below(5) == 0 {
        let patience = Duration::from_millis(dice.below(40) as u64);
        drop(tokio::time::timeout(patience, asking).await);
        return;
    }
    let Some(mut answer) = asking.await else { return };
    // Who joins a stream late cannot read its beginning: more has been said since than is kept of one.
    let joins = repeats || policy == "attach";
    let late = answer.status == 410 && joins;
    assert!([200, 202, 409, 422].contains(&answer.status) || late, "{}", answer.status);
    let Some(id) = answer.header("stream-id").map(str::to_owned) else { return };
    let path = format!("/v1/streams/{id}");
    match dice.below(4) {
        0 => drop(answer),
        1 => {
            send(public, &Request::new("DELETE", &path)).await;
        }
        2 => {
            drop(answer);
            let cursor =
                format!("{path}?starting_after={}&viewer=v{}&exclusive=1", dice.below(10), dice.below(3));
            if let Some(mut reader) = send(public, &Request::get(&cursor)).await {
                reader.rest().await;
            }
        }
        _ => {
            answer.rest().await;
        }
    }
}

async fn settled(gateway: &Gateway) {
    until("every stream to end and every reader to be gone", async || {
        gateway.metric("streamgate_streams_live", &[]).await < 0.5
            && gateway.metric("streamgate_record_readers", &[]).await < 0.5
    })
    .await;
}

#[tokio::test]
async fn a_crowd_in_a_few_conversations_leaves_nothing_running() {
    let setup =
        Setup::new().demo().stream("on_disconnect = \"continue:100ms\"").journal("retention = \"0s\"");
    let gateway = setup.journal("max_stream_bytes = \"2KiB\"").start().await;
    let mut tasks = JoinSet::new();
    for number in 0..300_u64 {
        tasks.spawn(one(gateway.public, Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)));
        if number % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    settled(&gateway).await;
    until("everything to be forgotten", async || gateway.metric("streamgate_record_bytes", &[]).await < 0.5)
        .await;
    assert_eq!(gateway.get("/v1/streams").await.json().await["data"], json!([]));
    assert!(!gateway.log().contains("panicked"));
}
