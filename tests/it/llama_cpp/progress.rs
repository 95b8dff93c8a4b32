//! How far the server is with a prompt: shown in the silence, passed on to who asks for it, hidden from everybody else.

use serde_json::{Value, json};

use super::{KNOWN, asked, chat_with, gateway};
use crate::support::pairs::{CHAT, RESPONSES};
use crate::support::{Call, Heard, Item, Request, openai};

const QUICK: &[&str] = &["commit_after = \"20ms\"", "keep_alive = \"40ms\""];

fn told(processed: u32, delta: &Value) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
    json!({"choices": [choice], "prompt_progress": {"total": 200, "cache": 20, "processed": processed, "time_ms": 1}})
}

fn nothing_said(processed: u32) -> Value {
    told(processed, &json!({"role": "assistant", "content": null}))
}

async fn ended(mut call: Call) {
    call.sse(&openai::text("Elbe")).await;
    call.sse(&openai::finish("stop")).await;
    call.done().await;
}

#[tokio::test]
async fn it_is_shown_in_the_silence_and_nowhere_else() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, QUICK).await;
    let (asked, mut call) = asked(&gateway, &mut upstream, &chat_with(true, &json!({}))).await;
    assert_eq!(call.json()["return_progress"], true);
    call.stream().await;
    let mut answer = asked.answer().await;
    for (processed, percent) in [(20, 10), (83, 41), (200, 100)] {
        call.sse(&nothing_said(processed)).await;
        let comment = format!(": prefill {percent}%\n");
        loop {
            let Item::Quiet(bytes) = answer.next_item().await else {
                panic!("an event before the first token")
            };
            if bytes == comment {
                break;
            }
        }
    }
    ended(call).await;
    let (events, _) = answer.events().await;
    let seen: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
    assert_eq!(
        seen,
        [openai::text("Elbe").to_string(), openai::finish("stop").to_string(), "[DONE]".to_owned()]
    );
}

#[tokio::test]
async fn it_is_asked_for_by_every_door_of_a_chat_backend_and_shown_where_comments_are() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, QUICK).await;
    let asked =
        gateway.ask(&Request::post(RESPONSES, &json!({"model": "m", "stream": true, "input": "x"}))).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["return_progress"], true);
    call.stream().await;
    call.sse(&nothing_said(100)).await;
    let mut answer = asked.answer().await;
    while !matches!(answer.next_item().await, Item::Quiet(bytes) if bytes == ": prefill 50%\n") {}
    for door in ["/v1/messages", "/api/chat"] {
        let body = json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
        let _asked = gateway.ask(&Request::post(door, &body)).await;
        assert_eq!(upstream.call().await.json()["return_progress"], true, "{door}");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_it_sees_it_as_it_comes() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, QUICK).await;
    let request = chat_with(true, &json!({"return_progress": true}));
    let (asked, mut call) = asked(&gateway, &mut upstream, &request).await;
    call.stream().await;
    let mut answer = asked.answer().await;
    for processed in [20, 90, 160] {
        call.sse(&nothing_said(processed)).await;
        assert_eq!(answer.next_event().await.json(), nothing_said(processed));
    }
    ended(call).await;
    assert_eq!(answer.next_event().await.json(), openai::text("Elbe"));
}

#[tokio::test]
async fn who_asks_for_it_has_another_backend_until_it_is_shown() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &["commit_after = \"10s\""]).await;
    let request = chat_with(true, &json!({"return_progress": true}));
    let (asked, mut call) = asked(&gateway, &mut upstream, &request).await;
    call.stream().await;
    call.sse(&nothing_said(20)).await;
    call.finish().await;
    assert_eq!(asked.answer().await.status, 502, "a failure before anything was shown has its status");
}

#[tokio::test]
async fn what_a_chunk_says_beside_it_is_kept() {
    let (gateway, mut upstream) = gateway("openai", KNOWN, &[]).await;
    let (asked, mut call) = asked(&gateway, &mut upstream, &chat_with(true, &json!({}))).await;
    call.stream().await;
    call.sse(&told(100, &json!({"content": "<t>"}))).await;
    ended(call).await;
    let first = asked.answer().await.next_event().await.json();
    assert_eq!(first["choices"][0]["delta"]["content"], "<t>");
    assert_eq!(first.get("prompt_progress"), None);
}

#[tokio::test]
async fn what_an_event_of_responses_says_beside_it_is_kept() {
    let (gateway, mut upstream) = gateway("responses", KNOWN, &[]).await;
    let (asked, mut call) = asked(&gateway, &mut upstream, &chat_with(true, &json!({}))).await;
    assert_eq!(call.json()["return_progress"], true);
    call.stream().await;
    let read = json!({"total": 200, "cache": 20, "processed": 100, "time_ms": 1});
    let delta = |text: &str| json!({"type": "response.output_text.delta", "item_id": "i", "delta": text});
    let mut first = delta("<t>");
    first["prompt_progress"] = read.clone();
    let response = json!({"id": "r", "status": "completed", "output": [], "usage": null});
    for event in [
        json!({"type": "response.created", "response": {"id": "r"}}),
        first,
        json!({"type": "response.in_progress", "response": {"id": "r"}, "prompt_progress": read}),
        delta("Elbe"),
        json!({"type": "response.completed", "response": response}),
    ] {
        call.event(&event).await;
    }
    call.finish().await;
    assert_eq!(Heard::of(&mut asked.answer().await).await.text, "<t>Elbe");
}

#[tokio::test]
async fn it_is_no_first_token_and_other_servers_are_not_asked_for_it() {
    let quick = ["first_token_timeout = \"300ms\""];
    let (slow, mut upstream) = gateway("openai", KNOWN, &quick).await;
    let (reader, mut call) = asked(&slow, &mut upstream, &chat_with(true, &json!({}))).await;
    call.stream().await;
    call.sse(&nothing_said(20)).await;
    assert_eq!(reader.answer().await.status, 504);
    let (other, mut upstream) = gateway("openai", "llama_cpp = false", &[]).await;
    let (_reader, call) = asked(&other, &mut upstream, &chat_with(true, &json!({}))).await;
    assert_eq!(call.json().get("return_progress"), None, "{CHAT}");
}
