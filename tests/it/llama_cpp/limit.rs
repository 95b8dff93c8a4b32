//! llama.cpp calls a response completed that has come to its limit of tokens: only their number tells that it is cut.

use serde_json::{Value, json};

use super::{KNOWN, asked, chat_with, gateway};
use crate::support::Heard;

fn events(tokens: u64) -> Vec<Value> {
    let part = json!({"type": "output_text", "text": "Elbe"});
    let item = json!({"type": "message", "id": "i", "role": "assistant", "content": [part]});
    let usage = json!({"input_tokens": 5, "output_tokens": tokens, "total_tokens": 5 + tokens});
    vec![
        json!({"type": "response.created", "response": {"id": "r", "status": "in_progress"}}),
        json!({"type": "response.output_text.delta", "item_id": "i", "delta": "Elbe"}),
        json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item], "usage": usage}}),
    ]
}

#[tokio::test]
async fn an_answer_at_its_limit_is_cut_where_its_server_does_not_say_so() {
    let limit = json!({"max_tokens": 4});
    for (more, limit, tokens, finish) in [
        (KNOWN, &limit, 4, "length"),
        (KNOWN, &limit, 3, "stop"),
        (KNOWN, &json!({}), 4, "stop"),
        ("", &limit, 4, "stop"),
    ] {
        for stream in [true, false] {
            let (gateway, mut upstream) = gateway("responses", more, &[]).await;
            let (client, mut call) = asked(&gateway, &mut upstream, &chat_with(stream, limit)).await;
            call.stream().await;
            for event in events(tokens) {
                call.event(&event).await;
            }
            call.finish().await;
            let mut answer = client.answer().await;
            let told = if stream {
                Heard::of(&mut answer).await.finish.pop()
            } else {
                answer.json().await["choices"][0]["finish_reason"].as_str().map(str::to_owned)
            };
            assert_eq!(told.as_deref(), Some(finish), "{more} {limit} {tokens} {stream}");
        }
    }
}
