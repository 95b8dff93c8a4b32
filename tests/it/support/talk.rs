//! Conversations: said in any API by its clients, and read again out of what a backend of any API was sent.

use serde_json::{Value, json};

use super::bench::Api;

/// A turn of a conversation, whatever the API.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn<'t> {
    System(&'t str),
    User(&'t str),
    Assistant(&'t str),
    /// Ids, tools and arguments (JSON text) of calls at the same time.
    Calls(&'t [(&'t str, &'t str, &'t str)]),
    /// Ids and texts of results.
    Results(&'t [(&'t str, &'t str)]),
}

/// The conversation as a client of this API writes it.
pub(crate) fn talk(client: Api, turns: &[Turn<'_>]) -> Value {
    match client {
        Api::Chat => json!({"messages": each(turns, chat)}),
        Api::Responses => json!({"input": each(turns, responses)}),
        Api::Ollama => json!({"messages": each(turns, ollama)}),
        Api::Anthropic => {
            let leading: Vec<&str> = turns.iter().map_while(|turn| system(*turn)).collect();
            let mut request =
                json!({"max_tokens": 500, "messages": each(&turns[leading.len()..], anthropic)});
            if !leading.is_empty() {
                let blocks = leading.iter().map(|text| json!({"type": "text", "text": text}));
                request["system"] = blocks.collect::<Value>();
            }
            request
        }
    }
}

fn system(turn: Turn<'_>) -> Option<&str> {
    if let Turn::System(text) = turn { Some(text) } else { None }
}

fn each(turns: &[Turn<'_>], said: impl Fn(Turn<'_>) -> Vec<Value>) -> Value {
    turns.iter().copied().flat_map(said).collect()
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).expect("arguments in JSON")
}

fn chat(turn: Turn<'_>) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"role": "developer", "content": text})],
        Turn::User(text) => vec![json!({"role": "user", "content": text})],
        Turn::Assistant(text) => vec![json!({"role": "assistant", "content": text})],
        Turn::Calls(calls) => {
            let calls = calls.iter().map(|(id, name, arguments)| {
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
            });
            vec![json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Value>()})]
        }
        Turn::Results(results) => {
            let result =
                |(id, text): &(&str, &str)| json!({"role": "tool", "tool_call_id": id, "content": text});
            results.iter().map(result).collect()
        }
    }
}

fn responses(turn: Turn<'_>) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"type": "message", "role": "developer", "content": text})],
        Turn::User(text) => vec![json!({"role": "user", "content": [{"type": "input_text", "text": text}]})],
        Turn::Assistant(text) => {
            vec![
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}),
            ]
        }
        Turn::Calls(calls) => {
            let calls = calls.iter().map(|(id, name, arguments)| {
                json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": arguments})
            });
            calls.collect()
        }
        Turn::Results(results) => {
            let result = |(id, text): &(&str, &str)| json!({"type": "function_call_output", "call_id": id, "output": text});
            results.iter().map(result).collect()
        }
    }
}

fn anthropic(turn: Turn<'_>) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"role": "system", "content": text})],
        Turn::User(text) => vec![json!({"role": "user", "content": text})],
        Turn::Assistant(text) => {
            vec![json!({"role": "assistant", "content": [{"type": "text", "text": text}]})]
        }
        Turn::Calls(calls) => {
            let calls = calls.iter().map(|(id, name, arguments)| {
                json!({"type": "tool_use", "id": id, "name": name, "input": parsed(arguments)})
            });
            vec![json!({"role": "assistant", "content": calls.collect::<Value>()})]
        }
        Turn::Results(results) => {
            let results = results
                .iter()
                .map(|(id, text)| json!({"type": "tool_result", "tool_use_id": id, "content": text}));
            vec![json!({"role": "user", "content": results.collect::<Value>()})]
        }
    }
}

fn ollama(turn: Turn<'_>) -> Vec<Value> {
    match turn {
        Turn::System(text) => vec![json!({"role": "system", "content": text})],
        Turn::User(text) => vec![json!({"role": "user", "content": text})],
        Turn::Assistant(text) => vec![json!({"role": "assistant", "content": text})],
        Turn::Calls(calls) => {
            let calls = calls.iter().map(|(id, name, arguments)| {
                json!({"id": id, "function": {"name": name, "arguments": parsed(arguments)}})
            });
            vec![json!({"role": "assistant", "content": "", "tool_calls": calls.collect::<Value>()})]
        }
        Turn::Results(results) => {
            let result =
                |(id, text): &(&str, &str)| json!({"role": "tool", "tool_call_id": id, "content": text});
            results.iter().map(result).collect()
        }
    }
}

/// What a backend was sent of a conversation, one line for each thing said: `user: …`, `call <id> <tool> <arguments>`,
/// `result <id>: …`.
pub(crate) fn told(backend: Api, request: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match backend {
        Api::Chat | Api::Ollama => {
            request["messages"]
                .as_array()
                .unwrap()
                .iter()
                .for_each(|message| message_of(message, &mut lines));
        }
        Api::Responses => {
            lines.extend(request["instructions"].as_str().map(|text| format!("system: {text}")));
            request["input"].as_array().unwrap().iter().for_each(|item| item_of(item, &mut lines));
        }
        Api::Anthropic => {
            lines.extend(request["system"].as_str().map(|text| format!("system: {text}")));
            for block in request["system"].as_array().into_iter().flatten() {
                lines.push(block_of("system", block));
            }
            for message in request["messages"].as_array().unwrap() {
                let role = message["role"].as_str().unwrap();
                lines.extend(message["content"].as_str().map(|text| format!("{role}: {text}")));
                for block in message["content"].as_array().into_iter().flatten() {
                    lines.push(block_of(role, block));
                }
            }
        }
    }
    lines
}

fn message_of(message: &Value, lines: &mut Vec<String>) {
    let role = message["role"].as_str().unwrap();
    let thought = message["reasoning_content"].as_str().or_else(|| message["thinking"].as_str());
    lines.extend(thought.map(|text| format!("thinks: {text}")));
    let role = if role == "tool" {
        format!("result {}", message["tool_call_id"].as_str().unwrap_or("-"))
    } else {
        role.to_owned()
    };
    match &message["content"] {
        Value::String(text) if text.is_empty() && message.get("tool_calls").is_some() => {}
        Value::String(text) if text.is_empty() && message.get("images").is_some() => {}
        Value::String(text) => lines.push(format!("{role}: {text}")),
        parts @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            lines.extend(parts.as_array().unwrap().iter().map(|part| part_of(&role, part)));
        }
    }
    for image in message["images"].as_array().into_iter().flatten() {
        lines.push(format!("{role} shows {}", image.as_str().unwrap()));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let (id, function) = (call["id"].as_str().unwrap_or("-"), &call["function"]);
        let arguments =
            function["arguments"].as_str().map_or_else(|| function["arguments"].to_string(), str::to_owned);
        lines.push(format!("call {id} {} {arguments}", function["name"].as_str().unwrap()));
    }
}

fn part_of(role: &str, part: &Value) -> String {
    match part["type"].as_str().unwrap() {
        "text" | "input_text" | "output_text" => format!("{role}: {}", part["text"].as_str().unwrap()),
        "image_url" => format!("{role} shows {}", part["image_url"]["url"].as_str().unwrap()),
        "input_image" => format!("{role} shows {}", part["image_url"].as_str().unwrap()),
        "file" => file_of(role, &part["file"]),
        "input_file" => file_of(role, part),
        other => panic!("a part of the type {other}"),
    }
}

fn file_of(role: &str, file: &Value) -> String {
    match file["file_url"].as_str() {
        Some(url) => format!("{role} gives {url}"),
        None => format!(
            "{role} gives {} {}",
            file["filename"].as_str().unwrap(),
            file["file_data"].as_str().unwrap()
        ),
    }
}

fn item_of(item: &Value, lines: &mut Vec<String>) {
    let id = item["call_id"].as_str().unwrap_or_default();
    match item["type"].as_str().unwrap() {
        "message" => {
            let role = item["role"].as_str().unwrap();
            let role = if role == "developer" { "system" } else { role };
            lines.extend(item["content"].as_array().unwrap().iter().map(|part| part_of(role, part)));
        }
        "reasoning" => {
            let summary =
                item["summary"].as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap());
            let sealed = item["encrypted_content"].as_str().unwrap();
            lines.push(format!("thinks: {} [{sealed}]", summary.collect::<Vec<_>>().join(" ")));
        }
        "function_call" => {
            let (name, arguments) = (item["name"].as_str().unwrap(), item["arguments"].as_str().unwrap());
            lines.push(format!("call {id} {name} {arguments}"));
        }
        _ => match &item["output"] {
            Value::String(text) => lines.push(format!("result {id}: {text}")),
            parts
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                let role = format!("result {id}");
                lines.extend(parts.as_array().unwrap().iter().map(|part| part_of(&role, part)));
            }
        },
    }
}

fn block_of(role: &str, block: &Value) -> String {
    let string = |name: &str| block[name].as_str().unwrap_or_default();
    let source = &block["source"];
    let data = || {
        let url = source["url"].as_str().map(str::to_owned);
        let data = || {
            format!(
                "data:{};base64,{}",
                source["media_type"].as_str().unwrap(),
                source["data"].as_str().unwrap()
            )
        };
        url.unwrap_or_else(data)
    };
    match block["type"].as_str().unwrap() {
        "text" => format!("{role}: {}", string("text")),
        "image" => format!("{role} shows {}", data()),
        "document" if source["type"] == "url" => format!("{role} gives {}", data()),
        "document" => format!("{role} gives {} {}", string("title"), data()),
        "thinking" => format!("thinks: {} [{}]", string("thinking"), string("signature")),
        "redacted_thinking" => format!("thinks: [{}]", string("data")),
        "tool_use" => format!("call {} {} {}", string("id"), string("name"), block["input"]),
        "tool_result" => {
            let failed = if block["is_error"] == true { " (failed)" } else { "" };
            let inner = block["content"].as_array().into_iter().flatten();
            let parts: Vec<String> = inner.map(|part| block_of("has", part)).collect();
            let text = block["content"].as_str().map_or_else(|| parts.join(", "), str::to_owned);
            format!("result {}{failed}: {text}", string("tool_use_id"))
        }
        other => panic!("a block of the type {other}"),
    }
}
