//! A coding agent of the Responses API, as it really asks, before backends of the other APIs.

use serde_json::{Value, json};

use super::PNG;
use crate::support::{Api, Bench, Ending, Request, Sent, addressed, told};

const PATCH: &str = "*** Begin Patch\n*** Update File: a.py\n-x = 1\n+x = \"2\"\n*** End Patch\n";

/// A turn in the middle of its work: reasoning that another model's vendor sealed, a call of a function, a patch as free text,
/// and a tool that showed a picture.
fn working() -> Value {
    let user = |text: &str| json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
    let grammar =
        json!({"type": "grammar", "syntax": "lark", "definition": "start: begin_patch hunk+ end_patch"});
    let command = json!({"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": false});
    json!({
        "instructions": "You are a coding agent.",
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>read only</permissions>"}]},
            user("<environment_context>\n  <cwd>/tmp</cwd>\n</environment_context>"),
            user("Make x a string."),
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "First read."}], "content": null,
             "encrypted_content": "sg1:signature:EqQBCkYIBRgC"},
            {"type": "function_call", "name": "exec_command", "arguments": "{\"cmd\":\"cat a.py\"}", "call_id": "call_A"},
            {"type": "function_call_output", "call_id": "call_A", "output": "Exit code: 0\nOutput:\nx = 1\n"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I patch it."}]},
            {"type": "custom_tool_call", "status": "completed", "call_id": "call_B", "name": "apply_patch", "input": PATCH},
            {"type": "custom_tool_call_output", "call_id": "call_B", "output": "Success."},
            {"type": "function_call", "name": "view_image", "arguments": "{\"path\":\"a.png\"}", "call_id": "call_C"},
            {"type": "function_call_output", "call_id": "call_C", "output": [{"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}")}]}
        ],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs a command.", "strict": false, "parameters": command},
            {"type": "function", "name": "view_image", "description": "Shows an image.", "strict": false,
             "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}},
            {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": grammar},
            {"type": "web_search", "external_web_access": false}
        ],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": "medium", "summary": "auto"},
        "store": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "0199-ab", "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "i1"}
    })
}

fn request(backend: Api) -> Request {
    Request::raw("/v1/responses", addressed(backend, &working().to_string()).as_bytes())
        .header("authorization", "Bearer sk-x")
        .header("originator", "codex_cli_rs")
        .header("accept", "text/event-stream")
        .header("conversation_id", "0199-ab")
        .header("session_id", "0199-ab")
}

async fn sent(backend: Api) -> Sent {
    Bench::start().await.send(backend, &request(backend)).await
}

/// What every backend is told of the conversation, from the user's question on, without the reasoning and the picture.
fn check_history(lines: &[String]) {
    let patch = json!({"input": PATCH}).to_string();
    let call_of_patch = format!("call call_B apply_patch {patch}");
    let wanted = [
        "user: Make x a string.",
        r#"call call_A exec_command {"cmd":"cat a.py"}"#,
        "result call_A: Exit code: 0\nOutput:\nx = 1\n",
        "assistant: I patch it.",
        &call_of_patch,
        "result call_B: Success.",
        r#"call call_C view_image {"path":"a.png"}"#,
    ];
    let start = lines.iter().position(|line| line.ends_with("Make x a string.")).unwrap();
    let told = lines[start..].iter().filter(|line| !line.starts_with("thinks: ")).take(wanted.len());
    assert_eq!(told.collect::<Vec<_>>(), wanted);
}

fn check_dropped(backend: Api, sent: &Sent) {
    let told: &[&str] = match backend {
        Api::Chat => &["prompt_cache_key", "text.verbosity"],
        Api::Anthropic => &["prompt_cache_key"], // by marks for its cache
        Api::Responses | Api::Ollama => &[],
    };
    for name in ["tools.web_search", "prompt_cache_key", "text.verbosity", "client_metadata"] {
        let named = sent.dropped.iter().any(|dropped| dropped == name);
        assert_eq!(named, !told.contains(&name), "{name}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn ollama_is_asked_all_that_matters() {
    let sent = sent(Api::Ollama).await;
    let lines = told(Api::Ollama, &sent.json);
    assert_eq!(lines[0], "system: You are a coding agent.\n\n<permissions>read only</permissions>");
    check_history(&lines);
    assert!(lines.contains(&"thinks: First read.".to_owned()), "{lines:?}");
    assert_eq!(lines[lines.len() - 2..], ["result call_C: ".to_owned(), format!("user shows {PNG}")]);
    let results =
        sent.json["messages"].as_array().unwrap().iter().filter(|message| message["role"] == "tool");
    let names: Vec<&Value> = results.map(|result| &result["tool_name"]).collect();
    assert_eq!(names, ["exec_command", "apply_patch", "view_image"]);
    assert_eq!((&sent.json["think"], sent.json["tools"].as_array().unwrap().len()), (&json!("medium"), 3));
    assert!(!sent.text.contains("EqQB"), "a seal: {}", sent.text);
    check_dropped(Api::Ollama, &sent);
}

#[tokio::test]
async fn a_chat_backend_is_asked_all_that_matters() {
    let sent = sent(Api::Chat).await;
    let lines = told(Api::Chat, &sent.json);
    assert_eq!(lines[0], "system: You are a coding agent.\n\n<permissions>read only</permissions>");
    check_history(&lines);
    assert_eq!(lines.last().unwrap(), &format!("user shows data:image/png;base64,{PNG}"));
    assert_eq!(
        (&sent.json["reasoning_effort"], &sent.json["tool_choice"]),
        (&json!("medium"), &json!("auto"))
    );
    assert_eq!(sent.json["tools"][0]["function"]["parameters"], working()["tools"][0]["parameters"]);
    assert_eq!(sent.json["tools"][2]["function"]["name"], "apply_patch");
    assert!(!sent.text.contains("EqQB"), "a seal: {}", sent.text);
    check_dropped(Api::Chat, &sent);
}

#[tokio::test]
async fn anthropic_is_asked_all_that_matters() {
    let sent = sent(Api::Anthropic).await;
    let lines = told(Api::Anthropic, &sent.json);
    assert_eq!(lines[0], "system: You are a coding agent.\n\n<permissions>read only</permissions>");
    check_history(&lines);
    assert!(lines.contains(&"thinks: First read. [EqQBCkYIBRgC]".to_owned()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), &format!("result call_C: has shows data:image/png;base64,{PNG}"));
    check_dropped(Api::Anthropic, &sent);
}

#[tokio::test]
async fn it_hears_a_response_of_its_own_api() {
    for backend in [Api::Chat, Api::Ollama] {
        let mut bench = Bench::start().await;
        let (mut call, mut asked) = bench.call(backend, &request(backend)).await;
        call.say(&["It is ", "a string."]).await;
        call.end().await;
        let answer = asked.head().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        let (events, ending) = answer.events().await;
        assert_eq!(ending, Ending::Clean);
        let events: Vec<Value> = events.iter().map(crate::support::Event::json).collect();
        let numbers: Vec<u64> =
            events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed", "{backend:?}");
        let text = &last["response"]["output"][0]["content"][0]["text"];
        assert_eq!((text, &last["response"]["model"]), (&json!("It is a string."), &json!(backend.model())));
    }
}

#[tokio::test]
async fn a_failed_reading_of_what_it_sealed_is_no_reason_to_fail() {
    let mut bench = Bench::start().await;
    for seal in [json!(null), json!(""), json!("sg1:"), json!("sg2:new:x"), json!("gAAAA")] {
        for backend in Api::Responses.others() {
            let mut body = working();
            body["input"][3]["encrypted_content"] = seal.clone();
            let asked = Request::raw("/v1/responses", addressed(backend, &body.to_string()).as_bytes());
            check_history(&told(backend, &bench.send(backend, &asked).await.json));
        }
    }
}
