//! OpenAI clients over an Ollama backend: what the backend is asked, and what a client is told cannot be asked.

use serde_json::{Value, json};

use super::{PNG, answered, request, sent};
use crate::support::gateway_over;

/// What an Ollama backend is asked when an OpenAI client adds this to its chat.
async fn to_ollama(more: Value) -> Value {
    sent("ollama", "/v1/chat/completions", more).await
}

/// The words of the 400 that an OpenAI client of an Ollama backend gets for this.
async fn refused(more: Value) -> String {
    let (gateway, upstream) = gateway_over("ollama", &[]).await;
    let mut answer = gateway.post("/v1/chat/completions", &request(more)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(upstream.calls_seen(), 0);
    let error = answer.json().await["error"].clone();
    assert_eq!(error["code"], "invalid_request");
    error["message"].as_str().unwrap().to_owned()
}

fn part(kind: &str, value: &Value) -> Value {
    json!([{"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": kind, kind: value}]}])
}

#[tokio::test]
async fn messages_become_one_string_each_and_the_developer_a_system() {
    let messages = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Name "}, {"type": "text", "text": "a river."}]},
        {"role": "assistant", "content": "Tisza"},
        {"role": "user", "content": "Another."}
    ]);
    let sent = to_ollama(json!({"messages": messages})).await;
    let turns: Vec<(&str, &str)> = sent["messages"].as_array().unwrap().iter().map(turn).collect();
    assert_eq!(turns.iter().map(|turn| turn.0).collect::<Vec<_>>(), ["system", "user", "assistant", "user"]);
    assert_eq!((turns[0].1, turns[2].1, turns[3].1), ("Be brief.", "Tisza", "Another."));
    assert!(turns[1].1.contains("Name ") && turns[1].1.contains("a river."), "{:?}", turns[1]);
}

fn turn(message: &Value) -> (&str, &str) {
    (message["role"].as_str().unwrap(), message["content"].as_str().unwrap())
}

#[tokio::test]
async fn sampling_becomes_options() {
    let more = json!({
        "temperature": 0.25, "top_p": 0.5, "seed": 7, "stop": "END", "max_completion_tokens": 99,
        "presence_penalty": 0.5, "frequency_penalty": -0.5
    });
    let options = to_ollama(more).await["options"].clone();
    assert_eq!((&options["temperature"], &options["top_p"]), (&json!(0.25), &json!(0.5)));
    assert_eq!((&options["seed"], &options["num_predict"]), (&json!(7), &json!(99)));
    assert_eq!(options["stop"], json!(["END"]));
    assert_eq!((&options["presence_penalty"], &options["frequency_penalty"]), (&json!(0.5), &json!(-0.5)));
}

#[tokio::test]
async fn the_older_name_of_the_token_limit_is_known() {
    assert_eq!(to_ollama(json!({"max_tokens": 12})).await["options"]["num_predict"], 12);
}

#[tokio::test]
async fn effort_becomes_think() {
    for (effort, think) in [
        ("none", json!(false)),
        ("minimal", json!("low")),
        ("medium", json!("medium")),
        ("xhigh", json!("max")),
    ] {
        assert_eq!(to_ollama(json!({"reasoning_effort": effort})).await["think"], think, "{effort}");
    }
    assert!(to_ollama(json!({})).await.get("think").is_none());
}

#[tokio::test]
async fn structured_output_becomes_format() {
    let schema = json!({"type": "object", "properties": {"river": {"type": "string", "pattern": "^[A-Z]"}}, "additionalProperties": false});
    let wrapped =
        json!({"type": "json_schema", "json_schema": {"name": "river", "strict": true, "schema": schema}});
    assert_eq!(to_ollama(json!({"response_format": wrapped})).await["format"], schema);
    assert_eq!(to_ollama(json!({"response_format": {"type": "json_object"}})).await["format"], "json");
}

#[tokio::test]
async fn tools_keep_every_keyword_of_their_schema() {
    let parameters = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": false});
    let tool = json!({"type": "function", "function": {"name": "depth", "description": "in metres", "parameters": parameters}});
    let sent = to_ollama(json!({"tools": [tool]})).await;
    assert_eq!(sent["tools"][0]["function"]["parameters"], parameters);
    assert_eq!(sent["tools"][0]["function"]["name"], "depth");
}

#[tokio::test]
async fn tool_choice_none_sends_no_tools() {
    let tool = json!({"type": "function", "function": {"name": "depth", "parameters": {"type": "object"}}});
    let sent = to_ollama(json!({"tools": [tool], "tool_choice": "none"})).await;
    assert!(sent.get("tools").is_none_or(|tools| tools == &json!([])), "{sent}");
}

#[tokio::test]
async fn a_history_of_tools_becomes_objects_and_names() {
    let function = json!({"name": "depth", "arguments": "{\"of\":\"Tisza\"}"});
    let messages = json!([
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_9", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_9", "content": "9 m"}
    ]);
    let sent = to_ollama(json!({"messages": messages})).await;
    let call = &sent["messages"][1]["tool_calls"][0]["function"];
    assert_eq!((&call["name"], &call["arguments"]), (&json!("depth"), &json!({"of": "Tisza"})));
    let result = &sent["messages"][2];
    assert_eq!((&result["role"], &result["content"]), (&json!("tool"), &json!("9 m")));
    assert_eq!(result["tool_name"], "depth");
}

#[tokio::test]
async fn a_data_url_becomes_an_image() {
    let url = json!({"url": format!("data:image/png;base64,{PNG}")});
    let sent = to_ollama(json!({"messages": part("image_url", &url)})).await;
    assert_eq!(sent["messages"][0]["images"], json!([PNG]));
    assert_eq!(sent["messages"][0]["content"], "Look:");
}

#[tokio::test]
async fn an_image_by_http_is_refused_not_fetched() {
    let url = json!({"url": "http://127.0.0.1:9/river.png"});
    let words = refused(json!({"messages": part("image_url", &url)})).await;
    assert!(words.contains("image"), "{words}");
}

#[tokio::test]
async fn two_choices_are_refused_by_name() {
    let words = refused(json!({"n": 2})).await;
    assert!(words.contains("`n`") || words.contains("n:") || words.contains("\"n\""), "{words}");
}

#[tokio::test]
async fn audio_is_refused_by_name() {
    let words =
        refused(json!({"messages": part("input_audio", &json!({"data": "AAAA", "format": "wav"}))})).await;
    assert!(words.contains("audio"), "{words}");
}

#[tokio::test]
async fn what_makes_no_difference_is_dropped_and_named() {
    let more = json!({"user": "u-1", "metadata": {"k": "v"}, "n": 1});
    let (answer, sent) = answered("ollama", "/v1/chat/completions", more).await;
    let dropped = answer.header("x-dropped-fields").expect("the names of what was dropped");
    assert!(dropped.contains("user") && dropped.contains("metadata"), "{dropped}");
    assert!(sent.get("user").is_none() && sent.get("metadata").is_none(), "{sent}");
}

#[tokio::test]
async fn a_request_that_loses_nothing_names_nothing() {
    let (answer, _) = answered("ollama", "/v1/chat/completions", json!({"temperature": 0.5})).await;
    assert_eq!(answer.header("x-dropped-fields"), None);
}

#[tokio::test]
async fn a_result_has_the_name_of_the_latest_call_of_its_id() {
    let turn = |name: &str, result: &str| {
        let call = json!({"id": "call_0", "type": "function", "function": {"name": name, "arguments": "{}"}});
        [
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "call_0", "content": result}),
        ]
    };
    let question = [json!({"role": "user", "content": "How deep, how wide?"})];
    let messages: Vec<Value> =
        question.into_iter().chain(turn("depth", "9 m")).chain(turn("width", "80 m")).collect();
    let sent = to_ollama(json!({"messages": messages})).await;
    let names: Vec<&Value> = [2, 4].map(|at| &sent["messages"][at]["tool_name"]).into();
    assert_eq!(names, ["depth", "width"]);
}

#[tokio::test]
async fn the_detail_of_an_image_is_dropped_and_named() {
    let url = json!({"url": format!("data:image/png;base64,{PNG}"), "detail": "high"});
    let more = json!({"messages": part("image_url", &url)});
    let (answer, _) = answered("ollama", "/v1/chat/completions", more).await;
    let dropped = answer.header("x-dropped-fields").expect("the names of what was dropped");
    assert!(dropped.contains("image_url.detail"), "{dropped}");
}
