//! Names of tools that a backend cannot take: it is told others, and the client never hears of them.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Ending, Request, addressed};

/// Two names of 70 letters that begin alike, as servers of tools that are chained together have them.
const LONG: &str = "mcp__rivers_of_europe__measure_the_depth_at_the_gauge_of_the_town_of_a";
const LONGER: &str = "mcp__rivers_of_europe__measure_the_depth_at_the_gauge_of_the_town_of_b";

/// A request that offers both, has called the one before and must call the other.
fn request(client: Api, one: &str, other: &str) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    match client {
        Api::Responses => {
            let tool = |name: &str| json!({"type": "function", "name": name, "parameters": schema});
            json!({
                "tools": [tool(one), tool(other)], "tool_choice": {"type": "function", "name": other},
                "input": [
                    {"role": "user", "content": "Q"},
                    {"type": "function_call", "call_id": "c1", "name": one, "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "9 m"}
                ]
            })
        }
        Api::Anthropic => {
            let tool = |name: &str| json!({"name": name, "input_schema": schema});
            json!({
                "max_tokens": 9, "tools": [tool(one), tool(other)], "tool_choice": {"type": "tool", "name": other},
                "messages": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": one, "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "9 m"}]}
                ]
            })
        }
        Api::Chat | Api::Ollama => {
            let tool =
                |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
            let arguments = if client == Api::Chat { json!("{}") } else { json!({}) };
            let call =
                json!({"id": "c1", "type": "function", "function": {"name": one, "arguments": arguments}});
            let mut request = json!({
                "tools": [tool(one), tool(other)],
                "messages": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": "", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c1", "content": "9 m"}
                ]
            });
            if client == Api::Chat {
                request["tool_choice"] = json!({"type": "function", "function": {"name": other}});
            }
            request
        }
    }
}

/// The two names that the backend was offered, the one that was called and the one that must be.
fn names(backend: Api, sent: &Value) -> [Option<String>; 4] {
    let name = |value: &Value| {
        let inner = value.get("function").unwrap_or(value);
        inner["name"].as_str().map(str::to_owned)
    };
    let called = match backend {
        Api::Responses => &sent["input"][1],
        Api::Anthropic => &sent["messages"][1]["content"][0],
        Api::Chat | Api::Ollama => &sent["messages"][1]["tool_calls"][0],
    };
    [name(&sent["tools"][0]), name(&sent["tools"][1]), name(called), name(&sent["tool_choice"])]
}

/// A stream in which the backend calls the tool that it was told under this name.
fn calling(backend: Api, name: &str) -> String {
    let chunk = |delta: Value, finish: Value| json!({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let events = match backend {
        Api::Chat => vec![
            chunk(
                json!({"tool_calls": [{"index": 0, "id": "c2", "type": "function", "function": {"name": name, "arguments": "{}"}}]}),
                json!(null),
            ),
            chunk(json!({}), json!("tool_calls")),
        ],
        Api::Responses => {
            let item = |status: &str, arguments: &str| json!({"type": "function_call", "id": "fc_1", "call_id": "c2", "name": name, "arguments": arguments, "status": status});
            let response = |status: &str, output: Value| json!({"id": "resp_1", "object": "response", "status": status, "model": "m", "output": output, "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
            vec![
                json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([]))}),
                json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item("in_progress", "")}),
                json!({"type": "response.function_call_arguments.delta", "sequence_number": 2, "item_id": "fc_1", "output_index": 0, "delta": "{}"}),
                json!({"type": "response.function_call_arguments.done", "sequence_number": 3, "item_id": "fc_1", "output_index": 0, "arguments": "{}"}),
                json!({"type": "response.output_item.done", "sequence_number": 4, "output_index": 0, "item": item("completed", "{}")}),
                json!({"type": "response.completed", "sequence_number": 5, "response": response("completed", json!([item("completed", "{}")]))}),
            ]
        }
        Api::Anthropic | Api::Ollama => vec![
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c2", "name": name, "input": {}}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ],
    };
    let frame = |event: &Value| match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    };
    events.iter().map(frame).collect::<String>() + if backend == Api::Chat { "data: [DONE]\n\n" } else { "" }
}

/// What the client hears, streamed or whole, when the backend calls the second tool.
async fn heard(bench: &mut Bench, (client, backend): (Api, Api), request: &Value, stream: bool) -> String {
    let body = addressed(backend, &request.to_string());
    let body = if stream { body } else { body.replacen("\"stream\":true", "\"stream\":false", 1) };
    let (mut call, mut asked) = bench.call(backend, &Request::raw(client.door(), body.as_bytes())).await;
    let told = names(backend, &call.json())[1].clone().unwrap();
    call.stream().await;
    call.chunk(calling(backend, &told)).await;
    call.finish().await;
    let answer = asked.head().await;
    let (body, ending) = answer.rest().await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!((answer.status, ending), (200, Ending::Clean), "{body}");
    body
}

/// The other's own rule: at most so many of these letters.
fn limit(backend: Api) -> usize {
    if backend == Api::Anthropic { 128 } else { 64 }
}

#[tokio::test]
async fn a_name_that_is_too_long_is_shorter_to_the_backend_and_the_same_everywhere() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let (one, other) = match backend {
            Api::Anthropic => (format!("{LONG}{LONG}"), format!("{LONG}{LONGER}")),
            Api::Chat | Api::Responses | Api::Ollama => (LONG.to_owned(), LONGER.to_owned()),
        };
        let sent = bench.sent(client, backend, &request(client, &one, &other)).await;
        let [first, second, called, choice] = names(backend, &sent);
        let (first, second) = (first.unwrap(), second.unwrap());
        if backend == Api::Ollama {
            assert_eq!((first, second), (one, other), "{client:?}: Ollama takes any name");
            continue;
        }
        assert!(
            first.len() <= limit(backend) && second.len() <= limit(backend) && first != second,
            "{first} {second}"
        );
        assert_eq!(called.as_ref(), Some(&first), "{client:?} to {backend:?}");
        if client != Api::Ollama {
            assert_eq!(choice.as_ref(), Some(&second), "{client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn the_client_hears_its_own_name_streamed_and_whole() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(_, backend)| *backend != Api::Ollama) {
        let (one, other) = match backend {
            Api::Anthropic => (format!("{LONG}{LONG}"), format!("{LONG}{LONGER}")),
            Api::Chat | Api::Responses | Api::Ollama => (LONG.to_owned(), LONGER.to_owned()),
        };
        for stream in [true, false] {
            let body = heard(&mut bench, (client, backend), &request(client, &one, &other), stream).await;
            let wanted = format!("\"name\":\"{other}\"");
            assert!(body.contains(&wanted), "{client:?} of {backend:?}, stream: {stream}: {body}");
        }
    }
}

#[tokio::test]
async fn a_name_with_letters_that_the_backend_refuses_comes_back_too() {
    let mut bench = Bench::start().await;
    for client in [Api::Ollama, Api::Responses] {
        for backend in client.others().filter(|backend| *backend != Api::Ollama) {
            let request = request(client, "river.depth", "río/ancho \"x\"");
            for stream in [true, false] {
                let body = heard(&mut bench, (client, backend), &request, stream).await;
                let wanted = format!("\"name\":{}", Value::from("río/ancho \"x\""));
                assert!(body.contains(&wanted), "{client:?} of {backend:?}, stream: {stream}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_custom_tool_with_a_long_name_is_called_as_one() {
    let mut bench = Bench::start().await;
    for backend in [Api::Chat, Api::Anthropic] {
        let name = format!("{LONG}{LONG}");
        let mut request = request(Api::Responses, LONG, &name);
        request["tools"][1] = json!({"type": "custom", "name": name, "description": "any text"});
        request["tool_choice"] = json!({"type": "custom", "name": name});
        for stream in [true, false] {
            let body = heard(&mut bench, (Api::Responses, backend), &request, stream).await;
            assert!(body.contains("\"custom_tool_call\"") && body.contains(&name), "{backend:?}: {body}");
        }
    }
}
