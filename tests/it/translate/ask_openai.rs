//! Ollama clients over an OpenAI backend: what the backend is asked.

use serde_json::{Value, json};

use super::{PNG, answered, request, sent};
use crate::support::{Setup, Upstream, gateway_over, openai};

/// What an OpenAI backend is asked when an Ollama client adds this to its chat.
async fn to_openai(more: Value) -> Value {
    sent("openai", "/api/chat", more).await
}

#[tokio::test]
async fn an_openai_backend_is_asked_for_a_stream_with_usage() {
    let sent = to_openai(json!({})).await;
    assert_eq!((&sent["stream"], &sent["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "Hi"}]));
}

#[tokio::test]
async fn a_chat_of_ollama_streams_unless_told_otherwise() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let asked = gateway.ask_post("/api/chat", &request).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json()["stream"], true);
    call.stream().await;
    call.sse(&openai::text("Tisza")).await;
    assert_eq!(asked.answer().await.header("content-type"), Some("application/x-ndjson"));
}

#[tokio::test]
async fn options_become_sampling() {
    let options = json!({"temperature": 0.25, "top_p": 0.5, "seed": 7, "stop": ["END"], "num_predict": 99});
    let sent = to_openai(json!({"options": options})).await;
    assert_eq!((&sent["temperature"], &sent["top_p"], &sent["seed"]), (&json!(0.25), &json!(0.5), &json!(7)));
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(
        sent["max_tokens"].as_u64().or_else(|| sent["max_completion_tokens"].as_u64()),
        Some(99),
        "{sent}"
    );
}

#[tokio::test]
async fn the_field_of_the_token_limit_is_the_backends_choice() {
    for field in ["max_tokens", "max_completion_tokens"] {
        let mut upstream = Upstream::start().await;
        let line = format!("max_tokens_field = \"{field}\"");
        let gateway = Setup::new().backend_with("one", "openai", &upstream.url(), &line).start().await;
        let _asked = gateway.ask_post("/api/chat", &request(json!({"options": {"num_predict": 99}}))).await;
        assert_eq!(upstream.call().await.json()[field], 99);
    }
}

#[tokio::test]
async fn no_limit_is_no_limit() {
    let sent = to_openai(json!({"options": {"num_predict": -1}})).await;
    assert!(sent.get("max_tokens").is_none() && sent.get("max_completion_tokens").is_none(), "{sent}");
}

#[tokio::test]
async fn format_becomes_structured_output() {
    assert_eq!(to_openai(json!({"format": "json"})).await["response_format"], json!({"type": "json_object"}));
    let schema = json!({"type": "object", "properties": {"river": {"type": "string"}}});
    let format = to_openai(json!({"format": schema})).await["response_format"].clone();
    assert_eq!((&format["type"], &format["json_schema"]["schema"]), (&json!("json_schema"), &schema));
    assert!(format["json_schema"]["name"].is_string());
}

#[tokio::test]
async fn think_becomes_effort() {
    for (think, effort) in
        [(json!(false), "none"), (json!("low"), "low"), (json!(true), "medium"), (json!("high"), "high")]
    {
        assert_eq!(to_openai(json!({"think": think})).await["reasoning_effort"], effort, "{think}");
    }
}

#[tokio::test]
async fn an_image_becomes_a_data_url_of_its_type() {
    let messages = json!([{"role": "user", "content": "Look:", "images": [PNG]}]);
    let content = to_openai(json!({"messages": messages})).await["messages"][0]["content"].clone();
    let image = content.as_array().unwrap().iter().find(|part| part["type"] == "image_url").unwrap();
    assert_eq!(image["image_url"]["url"], format!("data:image/png;base64,{PNG}"));
    assert!(content.as_array().unwrap().contains(&json!({"type": "text", "text": "Look:"})), "{content}");
}

#[tokio::test]
async fn a_history_of_tools_becomes_strings_and_ids() {
    let messages = json!([
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "depth", "arguments": {"of": "Tisza"}}}]},
        {"role": "tool", "tool_name": "depth", "content": "9 m"}
    ]);
    let sent = to_openai(json!({"messages": messages})).await;
    let call = &sent["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "depth", "arguments": "{\"of\":\"Tisza\"}"}));
    assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()) && call["type"] == "function", "{call}");
    assert_eq!(sent["messages"][2]["tool_call_id"], call["id"]);
}

#[tokio::test]
async fn what_only_ollama_has_is_dropped_and_named() {
    let more = json!({"keep_alive": "5m", "options": {"num_ctx": 8192}});
    let (answer, sent) = answered("openai", "/api/chat", more).await;
    let dropped = answer.header("x-dropped-fields").expect("the names of what was dropped");
    assert!(dropped.contains("keep_alive") && dropped.contains("num_ctx"), "{dropped}");
    assert!(sent.get("keep_alive").is_none() && sent.get("options").is_none(), "{sent}");
}

#[tokio::test]
async fn generate_becomes_a_prompt_of_the_user_after_the_system() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let request = json!({"model": "m", "system": "Be brief.", "prompt": "Name a river.", "options": {"temperature": 0.5}});
    let _asked = gateway.ask_post("/api/generate", &request).await;
    let sent = upstream.call().await.json();
    let turns =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a river."}]);
    assert_eq!((&sent["messages"], &sent["temperature"]), (&turns, &json!(0.5)));
}

#[tokio::test]
async fn an_image_in_a_tools_result_follows_it_as_the_users() {
    let messages = json!([
        {"role": "user", "content": "Show me."},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]},
        {"role": "tool", "tool_name": "look", "content": "Here.", "images": [PNG]},
        {"role": "tool", "tool_name": "look", "content": "There."}
    ]);
    let sent = to_openai(json!({"messages": messages})).await;
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    let url = format!("data:image/png;base64,{PNG}");
    assert_eq!(sent["messages"][4]["content"], json!([{"type": "image_url", "image_url": {"url": url}}]));
}
