//! Anthropic's Messages.

use serde_json::Value;

use super::{known, list, text, unmarked, within, word};

const MEMBERS: [&str; 14] = [
    "model",
    "stream",
    "max_tokens",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "thinking",
    "output_config",
    "metadata",
];

pub(super) fn check(request: &Value) {
    known(request, "a request", &MEMBERS);
    unmarked(request);
    within(request, &[("temperature", 0.0, 1.0), ("top_p", 0.0, 1.0)]);
    let max_tokens = request["max_tokens"].as_u64();
    assert!(max_tokens.is_some_and(|most| most > 0), "max_tokens: {:?}", request["max_tokens"]);
    if let Some(system) = request.get("system") {
        match system.as_array() {
            Some(blocks) => blocks.iter().for_each(block),
            None => assert!(!text(system, "system").trim().is_empty(), "a blank system prompt"),
        }
    }
    for stop in request["stop_sequences"].as_array().into_iter().flatten() {
        assert!(!text(stop, "a stop").trim().is_empty(), "a blank stop sequence");
    }
    let messages = list(&request["messages"], "messages");
    let marks = request.to_string().matches("cache_control").count();
    assert!(marks <= 4, "{marks} marks for the cache: {request}");
    turns(messages);
    thinking(request, messages, max_tokens.unwrap());
    tools(request, messages);
}

fn blocks(message: &Value) -> &[Value] {
    message["content"].as_array().map_or(&[], Vec::as_slice)
}

fn ids<'v>(blocks: &'v [Value], kind: &str, member: &str) -> Vec<&'v str> {
    let of_kind = blocks.iter().filter(|block| block["type"] == kind);
    of_kind.map(|block| word(&block[member], "the id of a call", 200)).collect()
}

/// The user begins, turns alternate, and the turn behind calls begins with exactly their results.
fn turns(messages: &[Value]) {
    let mut every: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        known(message, "a message", &["role", "content"]);
        assert_eq!(
            message["role"],
            if at % 2 == 0 { "user" } else { "assistant" },
            "turn {at}: {messages:?}"
        );
        match message["content"].as_str() {
            Some(text) => assert!(!text.trim().is_empty(), "a blank message"),
            None => list(&message["content"], "content").iter().for_each(block),
        }
        assert!(message["content"].is_string() || !blocks(message).is_empty(), "a turn without content");
        let results = ids(blocks(message), "tool_result", "tool_use_id");
        let first = blocks(message).iter().take_while(|block| block["type"] == "tool_result").count();
        assert_eq!(first, results.len(), "results come first: {message}");
        let before = at.checked_sub(1).map(|before| ids(blocks(&messages[before]), "tool_use", "id"));
        let mut called = before.unwrap_or_default();
        for id in &called {
            assert!(!every.contains(id), "two calls with the id {id:?}: {messages:?}");
        }
        every.extend(&called);
        let mut answered = results;
        called.sort_unstable();
        answered.sort_unstable();
        assert_eq!(called, answered, "the results of the calls before: {messages:?}");
    }
    let last = messages.last().expect("at least one message");
    if last["role"] == "assistant"
        && let Some(said) = blocks(last).last().and_then(|block| block["text"].as_str())
    {
        assert_eq!(said, said.trim_end(), "the last turn ends blank");
    }
}

fn block(block: &Value) {
    match text(&block["type"], "the type of a block") {
        "text" => {
            known(block, "a text", &["type", "text", "cache_control"]);
            assert!(!text(&block["text"], "a text").trim().is_empty(), "a blank text");
        }
        "image" => source(&block["source"], &["image/png", "image/jpeg", "image/gif", "image/webp"]),
        "document" => {
            known(block, "a document", &["type", "source", "title", "context", "cache_control"]);
            source(&block["source"], &["application/pdf"]);
        }
        "thinking" => {
            text(&block["thinking"], "thinking");
            assert!(!text(&block["signature"], "a signature").is_empty(), "{block}");
        }
        "redacted_thinking" => assert!(!text(&block["data"], "what is redacted").is_empty(), "{block}"),
        "tool_use" => {
            known(block, "a call", &["type", "id", "name", "input"]);
            word(&block["name"], "the name of a called tool", 128);
            assert!(block["input"].is_object(), "{block}");
        }
        "tool_result" => {
            known(block, "a result", &["type", "tool_use_id", "content", "is_error", "cache_control"]);
            for part in block["content"].as_array().into_iter().flatten() {
                assert!(["text", "image", "document"].iter().any(|kind| part["type"] == *kind), "{part}");
                self::block(part);
            }
        }
        other => panic!("a block of the type {other:?}"),
    }
}

fn source(source: &Value, media_types: &[&str]) {
    match text(&source["type"], "the type of a source") {
        "base64" => {
            let media_type = text(&source["media_type"], "a media type");
            assert!(media_types.contains(&media_type), "the media type {media_type:?}");
            assert!(!text(&source["data"], "data").is_empty(), "{source}");
        }
        "url" => {
            let url = text(&source["url"], "a URL");
            assert!(url.starts_with("https://") || url.starts_with("http://"), "{url}");
        }
        other => panic!("a source of the type {other:?}"),
    }
}

/// What thinking needs and forbids.
fn thinking(request: &Value, messages: &[Value], max_tokens: u64) {
    let thinking = &request["thinking"];
    match thinking["type"].as_str() {
        None => assert!(thinking.is_null(), "{thinking}"),
        Some("disabled") => known(thinking, "thinking", &["type"]),
        Some(kind) => {
            if kind == "enabled" {
                let budget = thinking["budget_tokens"].as_u64().expect("a budget");
                assert!((1024..max_tokens).contains(&budget), "{budget} of {max_tokens} tokens");
            } else {
                assert_eq!(thinking, &serde_json::json!({"type": "adaptive"}));
            }
            assert!(request.get("temperature").is_none_or(|value| value.as_f64() == Some(1.0)), "{request}");
            assert!(request.get("top_k").is_none(), "{request}");
            within(request, &[("top_p", 0.95, 1.0)]);
            let choice = request["tool_choice"]["type"].as_str();
            assert!(choice.is_none_or(|choice| choice == "auto" || choice == "none"), "{choice:?}");
            let last = messages.iter().rfind(|message| message["role"] == "assistant");
            if let Some(last) =
                last.filter(|last| blocks(last).iter().any(|block| block["type"] == "tool_use"))
            {
                let first = blocks(last)[0]["type"].as_str().unwrap();
                assert!(first.ends_with("thinking"), "the last turn with calls begins with {first}");
            }
        }
    }
}

fn tools(request: &Value, messages: &[Value]) {
    let Some(tools) = request.get("tools") else {
        assert!(request.get("tool_choice").is_none(), "a choice without tools: {request}");
        let used = messages.iter().flat_map(blocks).any(|block| block["type"] == "tool_use");
        assert!(!used, "a history with calls and no tools: {request}");
        return;
    };
    for tool in list(tools, "tools") {
        let members = ["name", "description", "input_schema", "strict", "type", "cache_control"];
        known(tool, "a tool", &members);
        word(&tool["name"], "the name of a tool", 128);
        assert_eq!(tool["input_schema"]["type"], "object", "{tool}");
    }
}
