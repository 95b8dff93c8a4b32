//! OpenAI's chat completions.

use serde_json::Value;

use super::{known, list, object, text, unmarked, within, word};

const MEMBERS: [&str; 22] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "response_format",
    "reasoning_effort",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "verbosity",
];
/// What vLLM and llama.cpp know besides.
const EXTENSIONS: [&str; 4] = ["top_k", "min_p", "repeat_penalty", "repetition_penalty"];

pub(super) fn check(request: &Value) {
    known(request, "a request", &[&MEMBERS[..], &EXTENSIONS].concat());
    unmarked(request);
    within(request, &[("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)]);
    let messages = list(&request["messages"], "messages");
    assert!(!messages.is_empty(), "{request}");
    let mut open: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let role = text(&message["role"], "a role");
        assert!(place == 0 || !["system", "developer"].contains(&role), "a late {role}: {request}");
        assert!(role == "tool" || open.is_empty(), "calls {open:?} have no results before {message}");
        match role {
            "system" | "developer" | "user" => {
                known(message, "a message", &["role", "content"]);
                content(&message["content"]);
            }
            "assistant" => open = assistant(message),
            "tool" => {
                known(message, "a result", &["role", "content", "tool_call_id"]);
                text(&message["content"], "a result's content");
                let id = text(&message["tool_call_id"], "the id of a result");
                let at = open.iter().position(|call| *call == id);
                open.remove(at.unwrap_or_else(|| panic!("a result of no call, {id:?}: {request}")));
            }
            other => panic!("the role {other:?}: {message}"),
        }
    }
    match request.get("tools") {
        Some(tools) => list(tools, "tools").iter().for_each(tool),
        None => assert!(
            request.get("tool_choice").is_none() && request.get("parallel_tool_calls").is_none(),
            "a choice without tools: {request}"
        ),
    }
}

fn content(content: &Value) {
    let Some(parts) = content.as_array() else {
        text(content, "content");
        return;
    };
    assert!(!parts.is_empty(), "content without parts");
    for part in parts {
        match text(&part["type"], "the type of a part") {
            "text" => {
                text(&part["text"], "the text of a part");
            }
            "image_url" => {
                text(&part["image_url"]["url"], "the URL of an image");
            }
            "file" => {
                let data = text(&part["file"]["file_data"], "the data of a file");
                assert!(data.starts_with("data:") && part["file"]["filename"].is_string(), "{part}");
            }
            other => panic!("a part of the type {other:?}"),
        }
    }
}

/// The ids of the calls.
fn assistant(message: &Value) -> Vec<&str> {
    known(message, "a message", &["role", "content", "tool_calls", "reasoning_content", "reasoning"]);
    let Some(calls) = message.get("tool_calls") else {
        let said = text(&message["content"], "the content of an assistant that calls nothing");
        assert!(!said.is_empty(), "an assistant that says nothing: {message}");
        return Vec::new();
    };
    let calls = list(calls, "tool_calls").iter().map(|call| {
        assert_eq!(call["type"], "function", "{call}");
        word(&call["function"]["name"], "the name of a called tool", 64);
        object(&call["function"]["arguments"], "arguments");
        text(&call["id"], "the id of a call")
    });
    calls.collect()
}

fn tool(tool: &Value) {
    known(tool, "a tool", &["type", "function"]);
    assert_eq!(tool["type"], "function", "{tool}");
    known(&tool["function"], "a function", &["name", "description", "parameters", "strict"]);
    word(&tool["function"]["name"], "the name of a tool", 64);
    let parameters = tool["function"].get("parameters");
    assert!(parameters.is_none_or(|schema| schema["properties"].is_object()), "{tool}");
}
