//! Codex over models of other APIs: its namespaces of tools, and what the token limit cut.

use serde_json::{Value, json};

use crate::support::{Heard, gateway_over, openai};

const RESPONSES: &str = "/v1/responses";

fn request(stream: bool) -> Value {
    let inner = json!({"type": "function", "name": "depth", "parameters": {"type": "object"}});
    let history = json!([
        {"role": "user", "content": "How deep?"},
        {"type": "function_call", "call_id": "c1", "namespace": "mcp__sea__", "name": "depth", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "9 m"}
    ]);
    let tools = json!([
        {"type": "function", "name": "now", "parameters": {"type": "object"}},
        {"type": "namespace", "name": "mcp__sea__", "description": "The sea.", "tools": [inner]}
    ]);
    json!({"model": "m", "stream": stream, "input": history, "tools": tools})
}

/// Items of this type in a whole response.
fn items<'r>(response: &'r Value, kind: &str) -> Vec<&'r Value> {
    response["output"].as_array().unwrap().iter().filter(|item| item["type"] == kind).collect()
}

/// The last response that a client sees when its OpenAI backend says this, and what that was asked.
async fn answered(stream: bool, said: &[Value]) -> (Value, Value, Vec<Value>) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(RESPONSES, &request(stream)).await;
    let mut call = upstream.call().await;
    let sent = call.json();
    call.stream().await;
    for chunk in said {
        call.sse(chunk).await;
    }
    call.done().await;
    let mut answer = asked.answer().await;
    if !stream {
        return (answer.json().await, sent, Vec::new());
    }
    let events = Heard::of(&mut answer).await.events;
    (events.last().unwrap()["response"].clone(), sent, events)
}

#[tokio::test]
async fn tools_in_a_namespace_are_told_by_one_name_and_called_by_two() {
    let said = [openai::tool(0, "call_a", "mcp__sea__depth", "{}"), openai::finish("tool_calls")];
    for stream in [true, false] {
        let (response, sent, events) = answered(stream, &said).await;
        let told: Vec<&Value> =
            sent["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
        assert_eq!(told, ["now", "mcp__sea__depth"]);
        assert_eq!(sent["messages"][1]["tool_calls"][0]["function"]["name"], "mcp__sea__depth");
        let calls = items(&response, "function_call");
        assert_eq!((&calls[0]["namespace"], &calls[0]["name"]), (&json!("mcp__sea__"), &json!("depth")));
        assert_eq!(response["tools"][1]["type"], "namespace", "as it was asked");
        for event in events.iter().filter(|event| event["item"]["type"] == "function_call") {
            assert_eq!(event["item"]["namespace"], "mcp__sea__", "{event}");
        }
    }
}

#[tokio::test]
async fn what_the_token_limit_cut_is_incomplete_and_nothing_else() {
    for stream in [true, false] {
        let said =
            [openai::text("Deep"), openai::tool(0, "call_a", "now", "{\"a\""), openai::finish("length")];
        let (response, ..) = answered(stream, &said).await;
        assert_eq!(response["status"], "incomplete");
        assert_eq!(items(&response, "function_call")[0]["status"], "incomplete", "{response}");
        assert_eq!(items(&response, "message")[0]["status"], "completed", "{response}");
        let said = [openai::tool(0, "call_a", "now", "{}"), openai::text("Deep"), openai::finish("length")];
        let (response, ..) = answered(stream, &said).await;
        assert_eq!(items(&response, "function_call")[0]["status"], "completed", "{response}");
        assert_eq!(items(&response, "message")[0]["status"], "incomplete", "{response}");
        let (response, ..) = answered(stream, &[openai::text("Deep"), openai::finish("stop")]).await;
        assert_eq!(items(&response, "message")[0]["status"], "completed", "{response}");
    }
}
