//! What real model servers do over HTTP that no specification says: how they refuse, load, close, and label what they send.

mod bytes;
mod codes;
mod errors;
mod loading;
mod passes;
mod stale;
mod unstreamed;

use serde_json::{Value, json};

use crate::support::pairs::{MESSAGES, OLLAMA};
use crate::support::{Answer, Heard};

/// A whole answer of a backend of this API: a thought, a text, and a call.
fn whole(api: &str) -> Value {
    let arguments = "{\"depth\":7.50}";
    match api {
        "openai" => json!({
            "id": "chatcmpl-w", "object": "chat.completion", "created": 1_790_000_000, "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "At nine.", "reasoning_content": "When?", "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "dive", "arguments": arguments}}
                ]
            }}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, "timings": {"predicted_n": 2}
        }),
        "anthropic" => json!({
            "id": "msg_w", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
            "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": 2}, "content": [
                {"type": "thinking", "thinking": "When?", "signature": "c2ln"},
                {"type": "text", "text": "At nine."},
                {"type": "tool_use", "id": "call_a", "name": "dive", "input": {"depth": 7.5}}
            ]
        }),
        "responses" => {
            let text = json!({"type": "output_text", "text": "At nine.", "annotations": [], "logprobs": []});
            json!({
                "id": "resp_w", "object": "response", "created_at": 1_790_000_000, "status": "completed",
                "error": null, "incomplete_details": null, "instructions": null, "model": "m", "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
                "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "output": [
                    {"type": "reasoning", "id": "rs_0", "summary": [{"type": "summary_text", "text": "When?"}]},
                    {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]},
                    {"type": "function_call", "id": "fc_2", "call_id": "call_a", "name": "dive",
                     "arguments": arguments, "status": "completed"}
                ]
            })
        }
        _ => json!({
            "model": "m", "created_at": "2026-10-01T08:30:00Z", "done": true, "done_reason": "stop",
            "prompt_eval_count": 5, "eval_count": 2, "message": {
                "role": "assistant", "content": "At nine.", "thinking": "When?",
                "tool_calls": [{"function": {"name": "dive", "arguments": {"depth": 7.5}}}]
            }
        }),
    }
}

/// A client of `door` heard that answer, streamed or whole.
async fn assert_heard(mut answer: Answer, stream: bool, what: &str) -> Heard {
    let heard = if stream {
        Heard::of(&mut answer).await
    } else {
        let status = answer.status;
        let body = answer.json().await;
        assert_eq!(status, 200, "{what}: {body}");
        Heard::of_whole(&body)
    };
    assert!(heard.succeeded(), "{what}: {heard:?}");
    assert_eq!((heard.text.as_str(), heard.thought.as_str()), ("At nine.", "When?"), "{what}: {heard:?}");
    let calls: Vec<(&str, Value)> = heard
        .calls()
        .into_iter()
        .map(|(name, arguments)| (name, serde_json::from_str(arguments).unwrap()))
        .collect();
    assert_eq!(calls, [("dive", json!({"depth": 7.5}))], "{what}: {heard:?}");
    heard
}

/// The words of an error body at any door.
fn words(body: &Value) -> String {
    let error = &body["error"];
    error.as_str().or_else(|| error["message"].as_str()).unwrap_or_default().to_owned()
}

/// A request with room for an answer.
fn request(door: &str, model: &str, stream: bool) -> Value {
    let mut request = crate::support::pairs::request(door, model, stream);
    let tool = json!({"name": "dive", "description": "Dives.", "parameters": {"type": "object"}});
    request["tools"] = match door {
        MESSAGES => json!([{"name": "dive", "description": "Dives.", "input_schema": {"type": "object"}}]),
        crate::support::pairs::RESPONSES => {
            json!([{"type": "function", "name": "dive", "description": "Dives.", "parameters": {"type": "object"}}])
        }
        _ => json!([{"type": "function", "function": tool}]),
    };
    if door == OLLAMA {
        request["think"] = json!(true);
    }
    request
}
