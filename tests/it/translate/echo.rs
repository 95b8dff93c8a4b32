//! What a response of the Responses API repeats of its request.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Request, addressed, question};

/// The members that strict clients expect in every response.
const MEMBERS: [&str; 28] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "error",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "model",
    "output",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "usage",
    "user",
    "metadata",
    "service_tier",
    "background",
];

/// The responses in an answer to this request: one if it is whole, one in each lifecycle event if it is a stream.
async fn responses(bench: &mut Bench, backend: Api, request: &str, stream: bool) -> Vec<Value> {
    let body = addressed(backend, request);
    let body = if stream { body } else { body.replacen("\"stream\":true", "\"stream\":false", 1) };
    let (mut call, mut asked) = bench.call(backend, &Request::raw("/v1/responses", body.as_bytes())).await;
    call.say(&["Tisza"]).await;
    call.end().await;
    let answer = asked.head().await;
    assert_eq!(answer.status, 200);
    if !stream {
        return vec![answer.json().await];
    }
    let (events, _) = answer.events().await;
    let responses =
        events.iter().map(crate::support::Event::json).filter(|event| event["response"].is_object());
    responses.map(|mut event| event["response"].take()).collect()
}

#[tokio::test]
async fn every_response_has_every_member() {
    let mut bench = Bench::start().await;
    for backend in [Api::Chat, Api::Ollama] {
        for stream in [true, false] {
            let request = question(Api::Responses, &json!({})).to_string();
            let all = responses(&mut bench, backend, &request, stream).await;
            assert_eq!(all.len(), if stream { 3 } else { 1 }, "created, in_progress, completed: {all:?}");
            for response in all {
                let missing: Vec<_> = MEMBERS.iter().filter(|name| response.get(name).is_none()).collect();
                assert!(missing.is_empty(), "{backend:?}, stream: {stream}: {missing:?} in {response}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_client_said_is_repeated_in_every_response() {
    let mut bench = Bench::start().await;
    let tool =
        json!({"type": "function", "name": "depth", "parameters": {"type": "object"}, "strict": false});
    let said = json!({
        "instructions": "Be brief.", "metadata": {"k": "v"}, "temperature": 0.25, "top_p": 0.5, "max_output_tokens": 99,
        "parallel_tool_calls": false, "tool_choice": "auto", "truncation": "disabled",
        "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type": "json_object"}},
        "tools": [tool, {"type": "web_search"}]
    });
    for backend in [Api::Chat, Api::Ollama] {
        for stream in [true, false] {
            let request = question(Api::Responses, &said).to_string();
            for response in responses(&mut bench, backend, &request, stream).await {
                for (name, value) in said.as_object().unwrap() {
                    assert_eq!(&response[name], value, "{backend:?}, stream: {stream}: {name}");
                }
                assert_eq!(response["model"], backend.model());
            }
        }
    }
}

#[tokio::test]
async fn what_the_client_did_not_say_is_the_default() {
    let mut bench = Bench::start().await;
    let request = question(Api::Responses, &json!({"store": true, "metadata": null})).to_string();
    for response in responses(&mut bench, Api::Chat, &request, true).await {
        for (name, value) in [
            ("store", json!(true)),
            ("previous_response_id", json!(null)),
            ("background", json!(false)),
            ("tools", json!([])),
            ("tool_choice", json!("auto")),
            ("parallel_tool_calls", json!(true)),
            ("metadata", json!({})),
            ("text", json!({"format": {"type": "text"}})),
        ] {
            assert_eq!(response[name], value, "{name}");
        }
    }
}
