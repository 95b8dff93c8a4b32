//! A coding agent of Anthropic's API, as it really asks, before backends of the other APIs.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Ending, Request, Sent, addressed, told};

/// A turn in the middle of its work: hints for the cache everywhere, thinking of other models that nobody signed, two calls at
/// once of which one failed, and a tool that showed a picture.
fn working() -> Value {
    let hint = json!({"type": "ephemeral"});
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
        "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer", "exclusiveMinimum": 0}},
        "required": ["file_path"]
    });
    json!({
        "system": [
            {"type": "text", "text": "You are a coding agent."},
            {"type": "text", "text": "Be brief.", "cache_control": hint}
        ],
        "tools": [
            {"name": "Read", "description": "Reads a file.", "input_schema": schema, "eager_input_streaming": true},
            {"name": "Bash", "description": "Runs a command.", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}, "cache_control": hint},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>\nToday is Monday.\n</system-reminder>"},
                {"type": "text", "text": "Why is the plot empty?", "cache_control": hint}
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "I look at both.", "signature": ""},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_01A", "name": "Read", "input": {"file_path": "/tmp/plot.png"}},
                {"type": "tool_use", "id": "toolu_01B", "name": "Bash", "input": {"command": "cat data.csv | head -n 3 && echo \"ok\""}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_01A", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": super::PNG}}
                ]},
                {"type": "tool_result", "tool_use_id": "toolu_01B", "is_error": true, "cache_control": hint,
                 "content": "cat: data.csv: No such file or directory"}
            ]}
        ],
        "metadata": {"user_id": "{\"device_id\":\"d1\",\"session_id\":\"s1\"}"},
        "max_tokens": 32000, "temperature": 1, "thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    })
}

fn request(backend: Api, body: &Value) -> Request {
    Request::raw("/v1/messages?beta=true", addressed(backend, &body.to_string()).as_bytes())
        .header("anthropic-version", "2023-06-01")
        .header(
            "anthropic-beta",
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
        )
        .header("authorization", "Bearer sk-ant-x")
        .header("user-agent", "claude-cli/2.1.0 (external, cli)")
        .header("x-app", "cli")
        .header("x-stainless-retry-count", "0")
}

async fn sent(backend: Api) -> Sent {
    Bench::start().await.send(backend, &request(backend, &working())).await
}

/// The names of what was dropped, without those that every backend lacks.
fn dropped(sent: &Sent) -> Vec<&str> {
    let always = ["cache_control", "tools.web_search_20250305", "context_management"];
    for name in always {
        assert!(sent.dropped.iter().any(|dropped| dropped == name), "{name}: {:?}", sent.dropped);
    }
    sent.dropped.iter().map(String::as_str).filter(|name| !always.contains(name)).collect()
}

#[tokio::test]
async fn ollama_is_asked_all_that_matters() {
    let sent = sent(Api::Ollama).await;
    let lines = told(Api::Ollama, &sent.json);
    assert!(lines[0].contains("You are a coding agent.") && lines[0].contains("Be brief."), "{lines:?}");
    assert!(
        lines[1].contains("Today is Monday.") && lines[1].contains("Why is the plot empty?"),
        "{lines:?}"
    );
    let shows = format!("user shows {}", super::PNG);
    let rest = [
        "thinks: I look at both.",
        "assistant: I look.",
        r#"call toolu_01A Read {"file_path":"/tmp/plot.png"}"#,
        r#"call toolu_01B Bash {"command":"cat data.csv | head -n 3 && echo \"ok\""}"#,
        "result toolu_01A: ",
        "result toolu_01B: Error: cat: data.csv: No such file or directory",
        &shows,
    ];
    assert_eq!(lines[2..], rest);
    assert_eq!(sent.json["messages"][3]["tool_name"], "Read");
    assert_eq!(sent.json["messages"][4]["tool_name"], "Bash");
    assert_eq!(
        (&sent.json["think"], &sent.json["options"]),
        (&json!("medium"), &json!({"num_predict": 32000, "temperature": 1}))
    );
    let tools = sent.json["tools"].as_array().unwrap();
    assert_eq!(
        (tools.len(), &tools[0]["function"]["parameters"]),
        (2, &working()["tools"][0]["input_schema"])
    );
    assert_eq!(dropped(&sent), ["metadata.user_id"]);
}

#[tokio::test]
async fn a_chat_backend_is_asked_all_that_matters() {
    let sent = sent(Api::Chat).await;
    let lines = told(Api::Chat, &sent.json);
    let shows = format!("user shows data:image/png;base64,{}", super::PNG);
    let rest = [
        "thinks: I look at both.",
        "assistant: I look.",
        r#"call toolu_01A Read {"file_path":"/tmp/plot.png"}"#,
        r#"call toolu_01B Bash {"command":"cat data.csv | head -n 3 && echo \"ok\""}"#,
        "result toolu_01A: ",
        "result toolu_01B: Error: cat: data.csv: No such file or directory",
        &shows,
    ];
    assert_eq!(lines[lines.len() - rest.len()..], rest);
    assert_eq!((&sent.json["reasoning_effort"], &sent.json["max_tokens"]), (&json!("medium"), &json!(32000)));
    assert_eq!(sent.json["user"], "{\"device_id\":\"d1\",\"session_id\":\"s1\"}");
    assert_eq!(sent.json["tools"][0]["function"]["parameters"], working()["tools"][0]["input_schema"]);
    assert!(dropped(&sent).is_empty(), "{:?}", sent.dropped);
}

#[tokio::test]
async fn a_responses_backend_is_asked_all_that_matters() {
    let sent = sent(Api::Responses).await;
    let lines = told(Api::Responses, &sent.json);
    let shows = format!("result toolu_01A shows data:image/png;base64,{}", super::PNG);
    let rest = [
        "assistant: I look.",
        r#"call toolu_01A Read {"file_path":"/tmp/plot.png"}"#,
        r#"call toolu_01B Bash {"command":"cat data.csv | head -n 3 && echo \"ok\""}"#,
        &shows,
        "result toolu_01B: Error: cat: data.csv: No such file or directory",
    ];
    assert_eq!(lines[lines.len() - rest.len()..], rest);
    assert_eq!(
        (&sent.json["reasoning"]["effort"], &sent.json["max_output_tokens"]),
        (&json!("medium"), &json!(32000))
    );
    assert_eq!(dropped(&sent), ["reasoning"]);
}

/// What the client hears when the backend says a text: the names of the events, in order.
async fn heard(backend: Api) -> Vec<String> {
    let mut bench = Bench::start().await;
    let (mut call, mut asked) = bench.call(backend, &request(backend, &working())).await;
    call.say(&["The file ", "is missing."]).await;
    call.end().await;
    let answer = asked.head().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let (events, ending) = answer.events().await;
    assert_eq!(ending, Ending::Clean);
    let names = events.iter().map(|event| {
        let event_name = std::str::from_utf8(&event.raw).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(event_name, format!("event: {}", event.json()["type"].as_str().unwrap()));
        event.json()["type"].as_str().unwrap().to_owned()
    });
    names.filter(|name| name != "ping").collect()
}

#[tokio::test]
async fn it_hears_a_message_of_its_own_api() {
    for backend in [Api::Chat, Api::Ollama] {
        let wanted = [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(heard(backend).await, wanted, "{backend:?}");
    }
}

#[tokio::test]
async fn its_first_question_of_one_token_is_lawful_everywhere() {
    let body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}], "metadata": {"user_id": "u"}});
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent = bench.send(backend, &request(backend, &body)).await;
        assert_eq!(told(backend, &sent.json), ["user: quota"], "{backend:?}");
    }
}

#[tokio::test]
async fn its_wish_for_a_title_is_structured_output_without_tools() {
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": false});
    let body = json!({
        "max_tokens": 32000, "temperature": 1, "tools": [], "messages": [{"role": "user", "content": [{"type": "text", "text": "A plot"}]}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}}
    });
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent = bench.send(backend, &request(backend, &body)).await;
        assert!(sent.json.get("tools").is_none(), "{backend:?}: {}", sent.text);
        let told = match backend {
            Api::Chat => &sent.json["response_format"]["json_schema"]["schema"],
            Api::Responses => &sent.json["text"]["format"]["schema"],
            Api::Anthropic | Api::Ollama => &sent.json["format"],
        };
        assert_eq!(told, &schema, "{backend:?}");
    }
}
