//! Events of a stream of Responses, without their numbers until [`numbered`] gives them, and whole responses.

use serde_json::{Value, json};

/// The response as it stands in lifecycle events.
pub(crate) fn response(status: &str, output: &[Value], usage: &Value) -> Value {
    let output: Vec<Value> = output.iter().enumerate().map(|(at, item)| placed(at, item)).collect();
    json!({
        "id": "resp_it7", "object": "response", "created_at": 1_790_000_000, "status": status, "error": null,
        "incomplete_details": null, "instructions": null, "model": "m-2026", "output": output,
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "usage": usage
    })
}

pub(crate) fn created() -> Value {
    json!({"type": "response.created", "response": response("in_progress", &[], &Value::Null)})
}

pub(crate) fn in_progress() -> Value {
    json!({"type": "response.in_progress", "response": response("in_progress", &[], &Value::Null)})
}

pub(crate) fn added(at: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": at, "item": placed(at, item)})
}

pub(crate) fn done(at: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": at, "item": placed(at, item)})
}

/// The item with the id of its place.
pub(crate) fn placed(at: usize, item: &Value) -> Value {
    let mut item = item.clone();
    let prefix = match item["type"].as_str() {
        Some("message") => "msg",
        Some("reasoning") => "rs",
        _ => "fc",
    };
    item["id"] = json!(format!("{prefix}_{at}"));
    item
}

/// A message item with these parts.
pub(crate) fn message(parts: &[Value]) -> Value {
    json!({"type": "message", "status": "completed", "role": "assistant", "content": parts})
}

pub(crate) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

pub(crate) fn refusal_part(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// A reasoning item with this summary.
pub(crate) fn reasoning(summary: &[&str]) -> Value {
    let parts: Vec<Value> =
        summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "summary": parts, "encrypted_content": null})
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({
        "type": "function_call", "status": "completed", "call_id": id, "name": name, "arguments": arguments
    })
}

pub(crate) fn text(at: usize, text: &str) -> Value {
    json!({
        "type": "response.output_text.delta", "item_id": format!("msg_{at}"), "output_index": at, "content_index": 0,
        "delta": text, "logprobs": [], "obfuscation": "x7"
    })
}

pub(crate) fn text_done(at: usize, text: &str) -> Value {
    json!({
        "type": "response.output_text.done", "item_id": format!("msg_{at}"), "output_index": at, "content_index": 0,
        "text": text, "logprobs": []
    })
}

pub(crate) fn refusal(at: usize, text: &str) -> Value {
    json!({
        "type": "response.refusal.delta", "item_id": format!("msg_{at}"), "output_index": at, "content_index": 0,
        "delta": text
    })
}

/// A delta of a part of a reasoning item's summary.
pub(crate) fn summary(at: usize, part: usize, text: &str) -> Value {
    json!({
        "type": "response.reasoning_summary_text.delta", "item_id": format!("rs_{at}"), "output_index": at,
        "summary_index": part, "delta": text
    })
}

pub(crate) fn summary_done(at: usize, text: &str) -> Value {
    json!({
        "type": "response.reasoning_summary_text.done", "item_id": format!("rs_{at}"), "output_index": at,
        "summary_index": 0, "text": text
    })
}

/// A delta of a reasoning item's own text.
pub(crate) fn thought(at: usize, text: &str) -> Value {
    json!({
        "type": "response.reasoning_text.delta", "item_id": format!("rs_{at}"), "output_index": at, "content_index": 0,
        "delta": text
    })
}

pub(crate) fn arguments(at: usize, fragment: &str) -> Value {
    json!({
        "type": "response.function_call_arguments.delta", "item_id": format!("fc_{at}"), "output_index": at,
        "delta": fragment
    })
}

pub(crate) fn arguments_done(at: usize, arguments: &str) -> Value {
    json!({
        "type": "response.function_call_arguments.done", "item_id": format!("fc_{at}"), "output_index": at,
        "arguments": arguments
    })
}

/// The counts that most streams here end with.
pub(crate) fn counts() -> Value {
    json!({
        "input_tokens": 11, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15
    })
}

pub(crate) fn completed(output: &[Value]) -> Value {
    json!({"type": "response.completed", "response": response("completed", output, &counts())})
}

pub(crate) fn incomplete(output: &[Value], reason: &str) -> Value {
    let mut response = response("incomplete", output, &counts());
    response["incomplete_details"] = json!({"reason": reason});
    json!({"type": "response.incomplete", "response": response})
}

pub(crate) fn failed(code: &str, message: &str) -> Value {
    let mut response = response("failed", &[], &Value::Null);
    response["error"] = json!({"code": code, "message": message});
    json!({"type": "response.failed", "response": response})
}

/// An `error` event as servers send it.
pub(crate) fn error(message: &str) -> Value {
    json!({
        "type": "error",
        "error": {"type": "server_error", "code": "server_error", "message": message, "param": null}
    })
}

/// All the events of one message item with this text.
pub(crate) fn spoken(at: usize, said: &str) -> Vec<Value> {
    let mut empty = message(&[]);
    empty["status"] = json!("in_progress");
    let part = |how: &str, text: &str| {
        json!({
            "type": format!("response.content_part.{how}"), "item_id": format!("msg_{at}"), "output_index": at,
            "content_index": 0, "part": text_part(text)
        })
    };
    vec![
        added(at, &empty),
        part("added", ""),
        text(at, said),
        text_done(at, said),
        part("done", said),
        done(at, &message(&[text_part(said)])),
    ]
}

/// A whole stream around these events of its items, which ends with `end`.
pub(crate) fn stream(items: &[Value], end: Value) -> Vec<Value> {
    let mut events = vec![created(), in_progress()];
    events.extend_from_slice(items);
    events.push(end);
    numbered(events)
}

/// The events with their sequence numbers.
pub(crate) fn numbered(events: Vec<Value>) -> Vec<Value> {
    let number = |(number, mut event): (usize, Value)| {
        event["sequence_number"] = json!(number);
        event
    };
    events.into_iter().enumerate().map(number).collect()
}

/// A whole response.
pub(crate) fn whole(text: &str) -> Value {
    response("completed", &[message(&[text_part(text)])], &counts())
}
