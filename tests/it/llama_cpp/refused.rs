//! What would change the answer is carried where the server takes it, and refused by its name where it does not.

use serde_json::{Value, json};

use super::{KNOWN, asked, chat_with, gateway};

fn format() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}})
}

/// Members of a chat request that change the answer.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("stop", json!(["ny"])),
        ("grammar", json!("root ::= \"a\"")),
        ("logit_bias", json!([["The", -100]])),
        ("response_format", format()),
        ("response_format", json!({"type": "json_object"})),
        ("chat_template_kwargs", json!({"tone": "dry"})),
        ("samplers", json!(["top_k"])),
        ("lora", json!([{"id": 0, "scale": 0.50}])),
        ("ignore_eos", json!(true)),
    ]
}

#[tokio::test]
async fn a_responses_backend_of_llama_cpp_is_told_all_of_a_chat() {
    let (gateway, mut upstream) = gateway("responses", KNOWN, &[]).await;
    let others = [
        ("seed", json!(7)),
        ("top_k", json!(3)),
        ("typical_p", json!(0.5)),
        ("reasoning_format", json!("none")),
    ];
    for (name, value) in changes().into_iter().chain(others) {
        let (client, mut call) =
            asked(&gateway, &mut upstream, &chat_with(true, &json!({ name: value }))).await;
        assert_eq!(call.json()[name], value, "{name}");
        call.say(&["Elbe"]).await;
        call.end().await;
        assert_eq!(client.answer().await.header("x-dropped-fields"), None, "{name}");
    }
}

#[tokio::test]
async fn members_of_responses_are_not_taken_from_a_chat() {
    let (gateway, mut upstream) = gateway("responses", KNOWN, &[]).await;
    let more = json!({"input": "other", "store": true, "instructions": "x", "previous_response_id": "r"});
    let (_client, call) = asked(&gateway, &mut upstream, &chat_with(true, &more)).await;
    let sent = call.json();
    assert!(sent["input"].is_array() && sent["store"] == false, "{sent}");
    assert!(sent.get("instructions").is_none() && sent.get("previous_response_id").is_none(), "{sent}");
}

#[tokio::test]
async fn what_is_not_carried_is_refused_by_its_name() {
    for (api, more) in [
        ("responses", "llama_cpp = true"),
        ("responses", "sampling_extensions = true"),
        ("responses", ""),
        ("anthropic", "llama_cpp = true"),
        ("anthropic", ""),
    ] {
        let (gateway, mut upstream) = gateway(api, more, &[]).await;
        for (name, value) in changes() {
            // These have the same in words of their own.
            let own = match name {
                "stop" => api == "anthropic",
                "response_format" => {
                    !more.contains("llama_cpp") && (api == "responses" || value["type"] == "json_schema")
                }
                _ => false,
            };
            let request = chat_with(true, &json!({ name: value }));
            if own {
                drop(asked(&gateway, &mut upstream, &request).await);
                continue;
            }
            let seen = upstream.calls_seen();
            let mut answer = gateway.post("/v1/chat/completions", &request).await;
            assert_eq!(answer.status, 400, "{api} {more} {name}");
            assert_eq!(answer.json().await["error"]["param"], name, "{api} {more}");
            assert_eq!(upstream.calls_seen(), seen);
        }
    }
}

#[tokio::test]
async fn a_server_that_calls_tools_all_the_same_is_shown_none_where_none_may_be_called() {
    let tools = json!([{"type": "function", "function": {"name": "sail", "parameters": {"type": "object"}}}]);
    let called = json!({"id": "a", "type": "function", "function": {"name": "sail", "arguments": "{}"}});
    let history = json!([
        {"role": "user", "content": "Go"}, {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "a", "content": "gone"},
    ]);
    let none = json!({"tools": tools, "tool_choice": "none", "messages": history});
    for (more, request) in [("llama_cpp = true", &none), ("llama_cpp = true", &json!({"messages": history}))]
    {
        let (gateway, mut upstream) = gateway("anthropic", more, &[]).await;
        let (_client, call) = asked(&gateway, &mut upstream, &chat_with(true, request)).await;
        assert!(
            call.json().get("tools").is_none() && call.json().get("tool_choice").is_none(),
            "{}",
            call.json()
        );
    }
    let (gateway, mut upstream) = gateway("anthropic", "", &[]).await;
    let (_client, call) = asked(&gateway, &mut upstream, &chat_with(true, &none)).await;
    assert_eq!(call.json()["tool_choice"], json!({"type": "none"}));
}
