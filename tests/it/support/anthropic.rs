//! Events of an Anthropic stream, and whole messages.

use serde_json::{Value, json};

/// `message_start`, with these members of its usage.
pub(crate) fn start(usage: &Value) -> Value {
    start_of("msg_it7", usage)
}

pub(crate) fn start_of(id: &str, usage: &Value) -> Value {
    let message = json!({
        "id": id, "type": "message", "role": "assistant", "model": "m-2026", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage
    });
    json!({"type": "message_start", "message": message})
}

/// The usage that most streams here begin with.
pub(crate) fn counts() -> Value {
    json!({"input_tokens": 11, "output_tokens": 1})
}

pub(crate) fn open(index: usize, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

pub(crate) fn open_text(index: usize) -> Value {
    open(index, &json!({"type": "text", "text": ""}))
}

pub(crate) fn open_thinking(index: usize) -> Value {
    open(index, &json!({"type": "thinking", "thinking": "", "signature": ""}))
}

pub(crate) fn open_tool(index: usize, id: &str, name: &str) -> Value {
    open(index, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}))
}

pub(crate) fn delta(index: usize, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

pub(crate) fn text(index: usize, text: &str) -> Value {
    delta(index, &json!({"type": "text_delta", "text": text}))
}

pub(crate) fn thinking(index: usize, text: &str) -> Value {
    delta(index, &json!({"type": "thinking_delta", "thinking": text}))
}

pub(crate) fn signature(index: usize, signature: &str) -> Value {
    delta(index, &json!({"type": "signature_delta", "signature": signature}))
}

pub(crate) fn input(index: usize, fragment: &str) -> Value {
    delta(index, &json!({"type": "input_json_delta", "partial_json": fragment}))
}

pub(crate) fn close(index: usize) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

/// `message_delta`, with these members of its usage.
pub(crate) fn stopped(reason: &str, usage: &Value) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage})
}

pub(crate) fn stop() -> Value {
    json!({"type": "message_stop"})
}

pub(crate) fn ping() -> Value {
    json!({"type": "ping"})
}

pub(crate) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// A whole stream around these events of its blocks.
pub(crate) fn stream(blocks: &[Value], reason: &str) -> Vec<Value> {
    let mut events = vec![start(&counts()), ping()];
    events.extend_from_slice(blocks);
    events.extend([stopped(reason, &json!({"output_tokens": 4})), stop()]);
    events
}

/// A whole message.
pub(crate) fn whole(text: &str) -> Value {
    json!({
        "id": "msg_it7", "type": "message", "role": "assistant", "model": "m-2026",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 2}
    })
}
