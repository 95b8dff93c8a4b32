//! Ollama's `/api/chat` and `/api/generate`.

use serde_json::Value;

use super::{known, list, text, unmarked};

const MEMBERS: [&str; 7] = ["model", "stream", "messages", "tools", "format", "options", "think"];
const NUMBERS: [&str; 8] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
];

pub(super) fn check(request: &Value) {
    if request.get("messages").is_none() {
        return; // passed on to `/api/generate`
    }
    known(request, "a request", &MEMBERS);
    unmarked(request);
    let levels = ["low", "medium", "high", "max"];
    let think = request.get("think");
    assert!(
        think.is_none_or(|think| think.is_boolean() || levels.iter().any(|level| think == level)),
        "think: {think:?}"
    );
    let format = request.get("format");
    assert!(format.is_none_or(|format| format == "json" || format.is_object()), "format: {format:?}");
    let messages = list(&request["messages"], "messages");
    assert!(messages.iter().skip(1).all(|message| message["role"] != "system"), "a late system: {request}");
    messages.iter().for_each(message);
    for tool in list(request.get("tools").unwrap_or(&Value::Array(Vec::new())), "tools") {
        assert_eq!(tool["type"], "function", "{tool}");
        text(&tool["function"]["name"], "the name of a tool");
        assert!(tool["function"]["parameters"].is_object(), "{tool}");
    }
    for (name, value) in request["options"].as_object().into_iter().flatten() {
        match name.as_str() {
            "num_predict" => assert!(value.is_i64(), "num_predict: {value}"),
            "stop" => {
                for stop in list(value, "stop") {
                    text(stop, "a stop");
                }
            }
            name => assert!(NUMBERS.contains(&name) && value.is_number(), "{name}: {value}"),
        }
    }
}

fn message(message: &Value) {
    let members = ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"];
    known(message, "a message", &members);
    let role = text(&message["role"], "a role");
    assert!(["system", "user", "assistant", "tool"].contains(&role), "the role {role:?}");
    text(&message["content"], "content");
    for image in message["images"].as_array().into_iter().flatten() {
        let image = text(image, "an image");
        assert!(!image.starts_with("data:") && !image.starts_with("http"), "an image: {image}");
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        text(&call["function"]["name"], "the name of a called tool");
        assert!(call["function"]["arguments"].is_object(), "{call}");
    }
    if role == "tool" {
        text(&message["tool_name"], "the tool of a result");
    }
}
