//! The built-in model, through every door: what a fresh machine can try without a model server.

use serde_json::json;

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, request, request_with};
use crate::support::{Gateway, Heard, Item, Setup, prompt};

/// What is heard of the built-in model with these options.
async fn heard(door: &str, options: &str) -> Heard {
    let gateway = gateway().await;
    Heard::of(&mut gateway.post(door, &request(door, &format!("demo:{options}"), true)).await).await
}

/// What is heard of a whole answer of it.
async fn heard_whole(door: &str, options: &str) -> Heard {
    let gateway = gateway().await;
    let mut answer = gateway.post(door, &request(door, &format!("demo:{options}"), false)).await;
    assert_eq!(answer.status, 200, "{door}");
    Heard::of_whole(&answer.json().await)
}

async fn gateway() -> Gateway {
    Setup::new().stream("keep_alive = \"200ms\"\ncommit_after = \"100ms\"").demo().start().await
}

#[tokio::test]
async fn it_speaks_at_every_door() {
    for door in [CHAT, RESPONSES, MESSAGES, OLLAMA, "/api/generate"] {
        for heard in
            [heard(door, "words=12,pace=1ms,think").await, heard_whole(door, "words=12,pace=1ms,think").await]
        {
            assert!(heard.succeeded(), "{door}: {heard:?}");
            assert_eq!(heard.text.split_whitespace().count(), 12, "{door}: {:?}", heard.text);
            assert!(heard.thought.starts_with("The user wants"), "{door}: {heard:?}");
            assert!(heard.usage.is_some(), "{door}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn it_calls_tools_at_every_door() {
    let gateway = gateway().await;
    let schema = json!({"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]});
    for (door, _) in DOORS {
        let tool = match door {
            RESPONSES => json!({"type": "function", "name": "depth", "parameters": schema}),
            MESSAGES => json!({"name": "depth", "input_schema": schema}),
            _ => json!({"type": "function", "function": {"name": "depth", "parameters": schema}}),
        };
        for stream in [true, false] {
            let request = request_with(door, "demo:tools,pace=1ms", stream, &json!({"tools": [tool]}));
            let mut answer = gateway.post(door, &request).await;
            let heard =
                if stream { Heard::of(&mut answer).await } else { Heard::of_whole(&answer.json().await) };
            assert!(heard.succeeded(), "{door}: {heard:?}");
            assert_eq!(heard.calls(), [("depth", "{\"of\":\"demo\"}")], "{door}, stream {stream}");
        }
    }
}

#[tokio::test]
async fn its_faults_are_told_at_every_door() {
    for (door, _) in DOORS {
        for fault in ["cut", "truncated", "error"] {
            let heard = heard(door, &format!("words=9,pace=1ms,after=3,{fault}")).await;
            assert!(heard.failed(), "{door}, {fault}: {heard:?}");
            assert_eq!(heard.text.split_whitespace().count(), 3, "{door}, {fault}: {:?}", heard.text);
        }
    }
}

#[tokio::test]
async fn its_status_is_told_in_the_words_of_every_door() {
    let gateway = gateway().await;
    for (door, _) in DOORS {
        let answer = gateway.post(door, &request(door, "demo:status=503", true)).await;
        assert_eq!(answer.status, if door == MESSAGES { 529 } else { 503 }, "{door}");
    }
}

#[tokio::test]
async fn its_stamps_say_when_each_word_was_to_leave() {
    for door in [CHAT, RESPONSES, MESSAGES, OLLAMA] {
        let heard = heard(door, "words=4,pace=5ms,stamps,pad=40,after=2,pause=100ms").await;
        let words: Vec<&str> = heard.text.split_whitespace().collect();
        let stamps: Vec<&str> = words.iter().map(|word| word.split_inclusive(']').next().unwrap()).collect();
        assert_eq!(stamps, ["[0@0]", "[1@5]", "[2@110]", "[3@115]"], "{door}: {heard:?}");
        assert!(words.iter().zip(&stamps).all(|(word, stamp)| word.len() == stamp.len() + 40), "{door}");
    }
}

#[tokio::test]
async fn it_thinks_where_that_is_asked() {
    let heard = heard("/v1/chat/completions", "words=5,pace=1ms,think").await;
    assert!(heard.succeeded() && !heard.thought.is_empty() && !heard.text.is_empty(), "{heard:?}");
}

#[tokio::test]
async fn it_calls_every_tool_it_is_offered() {
    let gateway = gateway().await;
    let mut request = prompt("demo:tools,words=5,pace=1ms", true);
    let parameters = json!({"type": "object", "properties": {"of": {"type": "string"}}});
    let tools = ["depth", "width"]
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": parameters}}));
    request["tools"] = json!(tools);
    let heard = Heard::of(&mut gateway.post("/v1/chat/completions", &request).await).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["depth", "width"]);
    for tool in &heard.tools {
        assert!(serde_json::from_str::<serde_json::Value>(&tool.arguments).unwrap().is_object(), "{tool:?}");
    }
    assert_eq!(heard.finish, ["tool_calls"]);
}

#[tokio::test]
async fn its_silence_is_filled_with_comments() {
    let gateway = gateway().await;
    let mut answer =
        gateway.post("/v1/chat/completions", &prompt("demo:words=3,pace=1ms,silence=1s", true)).await;
    assert!(matches!(answer.next_item().await, Item::Quiet(_)));
    assert!(matches!(answer.next_item().await, Item::Quiet(_)));
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn its_faults_are_told_as_a_backends_would_be() {
    for (fault, code) in
        [("cut", "upstream_truncated"), ("truncated", "upstream_truncated"), ("error", "upstream_error")]
    {
        let heard = heard("/v1/chat/completions", &format!("words=9,pace=1ms,after=3,{fault}")).await;
        assert!(heard.failed(), "{fault}: {heard:?}");
        assert_eq!(heard.text.split_whitespace().count(), 3, "{fault}: {:?}", heard.text);
        if fault != "error" {
            assert_eq!(heard.code(), Some(code), "{fault}");
        }
    }
}

#[tokio::test]
async fn its_status_is_passed_on() {
    let gateway = gateway().await;
    let answer = gateway.post("/v1/chat/completions", &prompt("demo:status=503", true)).await;
    assert!(answer.status >= 500, "{}", answer.status);
}

#[tokio::test]
async fn an_option_out_of_all_bounds_is_a_400_that_names_it() {
    let gateway = gateway().await;
    for stream in [true, false] {
        let request = prompt("demo:silence=500000000000y", stream);
        let mut answer = gateway.post("/v1/chat/completions", &request).await;
        let error = answer.json().await["error"].clone();
        assert_eq!((answer.status, &error["code"]), (400, &json!("invalid_request")), "stream {stream}");
        assert!(error["message"].as_str().unwrap().contains("silence=500000000000y"), "{error}");
    }
    let heard =
        Heard::of(&mut gateway.post("/v1/chat/completions", &prompt("demo:words=3,pace=1ms", true)).await)
            .await;
    assert!(heard.succeeded(), "it lives on: {heard:?}");
}
