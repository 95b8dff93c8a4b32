//! OpenAI clients over an Ollama backend: what they hear.

use serde_json::{Value, json};

use crate::support::{Call, Heard, Setup, Upstream, chat, gateway_over, ollama, prompt};

/// What an OpenAI client hears when its Ollama backend sends these lines.
async fn heard(request: &Value, lines: &[Value]) -> Heard {
    heard_with(&[], request, lines).await
}

async fn heard_with(stream: &[&str], request: &Value, lines: &[Value]) -> Heard {
    let (gateway, mut upstream) = gateway_over("ollama", stream).await;
    let asked = gateway.ask_post("/v1/chat/completions", request).await;
    let call = upstream.call().await;
    assert_eq!(call.path, "/api/chat");
    play(call, lines).await;
    Heard::of(&mut asked.answer().await).await
}

async fn play(mut call: Call, lines: &[Value]) {
    call.lines().await;
    for line in lines {
        call.line(line).await;
    }
    call.finish().await;
}

fn asking_for_usage() -> Value {
    let mut request = chat();
    request["stream_options"] = json!({"include_usage": true});
    request
}

#[tokio::test]
async fn text_comes_as_deltas_of_one_chat() {
    let heard = heard(&chat(), &[ollama::text("Gua"), ollama::text("diana"), ollama::done("stop")]).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!((heard.text.as_str(), heard.finish.as_slice()), ("Guadiana", ["stop".to_owned()].as_slice()));
    assert_eq!(heard.events[0]["choices"][0]["delta"]["role"], "assistant");
    for key in ["id", "created", "model", "object"] {
        let first = &heard.events[0][key];
        assert!(
            !first.is_null() && heard.events.iter().all(|event| &event[key] == first),
            "{key}: {heard:?}"
        );
    }
    assert_eq!(heard.events[0]["object"], "chat.completion.chunk");
}

#[tokio::test]
async fn the_client_reads_the_model_name_that_it_sent() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "ollama", &upstream.url());
    let route = "model = \"smart\"\nbackends = [{ name = \"one\", model = \"river:2b\" }]";
    let gateway = setup.route(route).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("smart", true)).await;
    let call = upstream.call().await;
    assert_eq!(call.json()["model"], "river:2b");
    play(call, &[ollama::text("Ebro"), ollama::done("stop")]).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.events.iter().all(|event| event["model"] == "smart"), "{heard:?}");
}

#[tokio::test]
async fn thinking_is_reasoning_content() {
    let lines =
        [ollama::thought("It is "), ollama::thought("in Spain."), ollama::text("Ebro"), ollama::done("stop")];
    let heard = heard(&chat(), &lines).await;
    assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("It is in Spain.", "Ebro"));
    assert!(
        heard.events.iter().all(|event| event["choices"][0]["delta"]["reasoning"].is_null()),
        "only one field"
    );
}

#[tokio::test]
async fn the_field_of_reasoning_is_a_choice() {
    let lines = [ollama::thought("It is in Spain."), ollama::text("Ebro"), ollama::done("stop")];
    let heard = heard_with(&["reasoning_field = \"reasoning\""], &chat(), &lines).await;
    assert_eq!(heard.thought, "", "no reasoning_content");
    let said = heard.events.iter().find_map(|event| event["choices"][0]["delta"]["reasoning"].as_str());
    assert_eq!(said, Some("It is in Spain."));
}

#[tokio::test]
async fn a_tool_call_keeps_the_order_and_the_numbers_of_its_arguments() {
    let call =
        r#"{"function":{"name":"depth","arguments":{"z":1.0,"a":[9007199254740993,"ü"],"m":{"k":1e2}}}}"#;
    let line = format!(
        "{{\"model\":\"m\",\"created_at\":\"2026-10-01T08:30:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"\",\
         \"tool_calls\":[{call}]}},\"done\":false}}\n"
    );
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.chunk(line).await;
    call.line(&ollama::done("stop")).await;
    call.finish().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!(heard.tools.len(), 1);
    assert_eq!(heard.tools[0].name, "depth");
    assert_eq!(heard.tools[0].arguments, r#"{"z":1.0,"a":[9007199254740993,"ü"],"m":{"k":1e2}}"#);
    assert_eq!(heard.finish, ["tool_calls"], "Ollama says stop");
}

#[tokio::test]
async fn tool_calls_get_indexes_and_ids_of_their_own() {
    let lines = [
        ollama::tool("depth", &json!({"of": "Ebro"})),
        ollama::tool("depth", &json!({"of": "Duero"})),
        ollama::text("Both."),
        ollama::done("stop"),
    ];
    let heard = heard(&chat(), &lines).await;
    let arguments: Vec<&str> = heard.tools.iter().map(|tool| tool.arguments.as_str()).collect();
    assert_eq!(arguments, ["{\"of\":\"Ebro\"}", "{\"of\":\"Duero\"}"]);
    assert!(!heard.tools[0].id.is_empty() && !heard.tools[1].id.is_empty());
    assert_ne!(heard.tools[0].id, heard.tools[1].id);
    assert_eq!(heard.finish, ["tool_calls"]);
}

#[tokio::test]
async fn several_calls_in_one_line_are_several_calls() {
    let calls: Vec<Value> = ["Ebro", "Duero"]
        .iter()
        .map(|of| json!({"function": {"name": "depth", "arguments": {"of": of}}}))
        .collect();
    let message = json!({"role": "assistant", "content": "Look.", "thinking": "Hm.", "tool_calls": calls});
    let heard = heard(&chat(), &[ollama::message(&message), ollama::done("stop")]).await;
    assert_eq!((heard.thought.as_str(), heard.text.as_str(), heard.tools.len()), ("Hm.", "Look.", 2));
}

#[tokio::test]
async fn length_stays_length_also_after_a_tool_call() {
    let heard = heard(&chat(), &[ollama::tool("depth", &json!({})), ollama::done("length")]).await;
    assert_eq!(heard.finish, ["length"]);
}

#[tokio::test]
async fn a_done_line_without_reason_is_a_stop() {
    let mut done = ollama::done("stop");
    done.as_object_mut().unwrap().remove("done_reason");
    let heard = heard(&chat(), &[ollama::text("Ebro"), done]).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.finish, ["stop"]);
}

#[tokio::test]
async fn usage_is_shown_to_a_client_that_asks_in_a_chunk_of_its_own() {
    let heard = heard(&asking_for_usage(), &[ollama::text("Ebro"), ollama::done("stop")]).await;
    let usage = heard.usage.expect("a usage chunk");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["prompt_tokens"], 11);
    assert_eq!(usage["usage"]["completion_tokens"], 4);
    assert_eq!(usage["usage"]["total_tokens"], 15);
    assert_eq!(heard.events.last(), Some(&usage), "it is the last one before [DONE]");
}

#[tokio::test]
async fn usage_is_hidden_from_a_client_that_does_not_ask_but_counted() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    play(upstream.call().await, &[ollama::text("Ebro"), ollama::done("stop")]).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.usage.is_none() && heard.succeeded(), "{heard:?}");
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 11.0).await;
    gateway.metric_reaches("streamgate_tokens_total", &["kind=\"output\""], 4.0).await;
}

#[tokio::test]
async fn a_whole_answer_is_one_chat_completion() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let call = upstream.call().await;
    if call.json()["stream"] == false {
        let mut whole = ollama::done("stop");
        whole["message"]["content"] = json!("Ebro");
        call.answer(200, &whole).await;
    } else {
        play(call, &[ollama::text("Eb"), ollama::text("ro"), ollama::done("stop")]).await;
    }
    let mut answer = asked.answer().await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let whole = answer.json().await;
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("m")));
    let choice = &whole["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("Ebro"), &json!("stop")));
    assert_eq!(whole["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn embeddings_are_passed_on_to_ollamas_own_openai_door() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let request = json!({"model": "m", "input": ["a river", "a lake"], "encoding_format": "base64"});
    let asked = gateway.ask_post("/v1/embeddings", &request).await;
    let call = upstream.call().await;
    assert_eq!((call.path.as_str(), call.json()), ("/v1/embeddings", request));
    let list =
        json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL4="}]});
    call.answer(200, &list).await;
    assert_eq!(asked.answer().await.json().await, list);
}

#[tokio::test]
async fn an_error_at_the_end_of_a_whole_answer_is_told_also_without_its_newline() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    let mut call = upstream.call().await;
    call.say(&["Eb"]).await;
    call.chunk("{\"error\":\"CUDA out of memory\"}").await;
    call.finish().await;
    let mut answer = asked.answer().await;
    let error = answer.json().await["error"].clone();
    assert_eq!((answer.status, &error["code"]), (502, &json!("upstream_error")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("CUDA out of memory"), "{error}");
}
