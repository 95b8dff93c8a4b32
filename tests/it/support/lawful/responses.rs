//! OpenAI's Responses.

use serde_json::Value;

use super::{known, list, object, text, unmarked, within, word};

const MEMBERS: [&str; 19] = [
    "model",
    "stream",
    "store",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "text",
    "reasoning",
    "include",
    "user",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
];

pub(super) fn check(request: &Value) {
    if request["input"].is_string() {
        return; // passed on as it came
    }
    known(request, "a request", &MEMBERS);
    unmarked(request);
    within(request, &[("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)]);
    assert_eq!(request["store"], false, "nothing is stored: {request}");
    if let Some(instructions) = request.get("instructions") {
        text(instructions, "instructions");
    }
    let mut open: Vec<&str> = Vec::new();
    for item in list(&request["input"], "input") {
        match text(&item["type"], "the type of an item") {
            "message" => message(item),
            "reasoning" => {
                known(item, "reasoning", &["type", "id", "summary", "encrypted_content"]);
                list(&item["summary"], "a summary");
                text(&item["encrypted_content"], "what is sealed of reasoning");
            }
            "function_call" => {
                known(item, "a call", &["type", "call_id", "name", "arguments"]);
                word(&item["name"], "the name of a called tool", 64);
                object(&item["arguments"], "arguments");
                open.push(text(&item["call_id"], "the id of a call"));
            }
            "function_call_output" => {
                known(item, "a result", &["type", "call_id", "output"]);
                let id = text(&item["call_id"], "the id of a result");
                let at = open.iter().position(|call| *call == id);
                open.remove(at.unwrap_or_else(|| panic!("a result of no call, {id:?}: {request}")));
                if !item["output"].is_string() {
                    for part in list(&item["output"], "an output") {
                        input_part(part, "input_text");
                    }
                }
            }
            other => panic!("an item of the type {other:?}"),
        }
    }
    match request.get("tools") {
        Some(tools) => list(tools, "tools").iter().for_each(tool),
        None => assert!(request.get("tool_choice").is_none(), "a choice without tools: {request}"),
    }
}

fn message(item: &Value) {
    known(item, "a message", &["type", "role", "content"]);
    let written = match text(&item["role"], "a role") {
        "assistant" => "output_text",
        "user" | "developer" | "system" => "input_text",
        other => panic!("the role {other:?}"),
    };
    for part in list(&item["content"], "content") {
        input_part(part, written);
    }
}

fn input_part(part: &Value, written: &str) {
    match text(&part["type"], "the type of a part") {
        "input_image" => {
            text(&part["image_url"], "the URL of an image");
        }
        "input_file" => {
            if let Some(url) = part["file_url"].as_str() {
                known(part, "a file by URL", &["type", "file_url"]);
                assert!(url.starts_with("http"), "{part}");
                return;
            }
            let data = text(&part["file_data"], "the data of a file");
            assert!(data.starts_with("data:") && part["filename"].is_string(), "{part}");
        }
        kind => {
            assert_eq!(kind, written, "{part}");
            text(&part["text"], "the text of a part");
        }
    }
}

fn tool(tool: &Value) {
    known(tool, "a tool", &["type", "name", "description", "parameters", "strict"]);
    assert_eq!(tool["type"], "function", "{tool}");
    word(&tool["name"], "the name of a tool", 64);
    // Both members are required, and who leaves `strict` out gets a strict tool.
    assert!(tool["parameters"]["properties"].is_object() && tool["strict"].is_boolean(), "{tool}");
}
