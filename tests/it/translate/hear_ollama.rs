//! Ollama clients over an OpenAI backend: what they hear.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Call, Client, Gateway, Heard, Upstream, chat, gateway_over, generate, openai, prompt};

/// What an Ollama client hears when its OpenAI backend sends these chunks.
async fn heard(chunks: &[Value]) -> Heard {
    let (_gateway, _upstream, asked, call) = asked("/api/chat", &chat()).await;
    play(call, chunks).await;
    Heard::of(&mut asked.answer().await).await
}

async fn asked(door: &str, request: &Value) -> (Gateway, Upstream, Client, Call) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(door, request).await;
    let call = upstream.call().await;
    (gateway, upstream, asked, call)
}

async fn play(mut call: Call, chunks: &[Value]) {
    call.stream().await;
    for chunk in chunks {
        call.sse(chunk).await;
    }
    call.done().await;
}

/// Names and arguments of the tool calls.
fn calls(heard: &Heard) -> Vec<(&str, &str)> {
    heard.tools.iter().map(|tool| (tool.name.as_str(), tool.arguments.as_str())).collect()
}

#[tokio::test]
async fn text_comes_as_lines_of_the_model_that_was_asked() {
    let chunks = [
        openai::role(),
        openai::text("Vis"),
        openai::text("tula"),
        openai::finish("stop"),
        openai::usage(9, 3),
    ];
    let heard = heard(&chunks).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!((heard.text.as_str(), heard.finish.as_slice()), ("Vistula", ["stop".to_owned()].as_slice()));
    for event in &heard.events {
        assert_eq!((&event["model"], &event["message"]["role"]), (&json!("m"), &json!("assistant")));
        assert!(event["created_at"].as_str().unwrap().contains('T'), "{event}");
        assert!(event["done"].is_boolean(), "{event}");
    }
}

#[tokio::test]
async fn the_done_line_carries_the_counts_and_durations() {
    let heard = heard(&[openai::text("Oder"), openai::finish("stop"), openai::usage(9, 3)]).await;
    let done = heard.usage.expect("a done line");
    assert_eq!((&done["prompt_eval_count"], &done["eval_count"]), (&json!(9), &json!(3)));
    assert!(done["total_duration"].as_u64().is_some_and(|nanoseconds| nanoseconds > 0), "{done}");
    assert_eq!(done["message"]["content"], "");
}

#[tokio::test]
async fn reasoning_content_is_thinking() {
    let heard = heard(&[
        openai::thought("In "),
        openai::thought("Poland."),
        openai::text("Oder"),
        openai::finish("stop"),
    ])
    .await;
    assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("In Poland.", "Oder"));
}

#[tokio::test]
async fn reasoning_under_its_other_name_is_thinking() {
    let thought = openai::delta(&json!({"reasoning": "In Poland."}));
    let heard = heard(&[thought, openai::text("Oder"), openai::finish("stop")]).await;
    assert_eq!(heard.thought, "In Poland.");
}

#[tokio::test]
async fn the_fragments_of_a_tool_call_are_one_whole_call() {
    let chunks = [
        openai::tool(0, "call_a", "depth", ""),
        openai::arguments(0, "{\"of\":"),
        openai::arguments(0, "\"Od"),
        openai::arguments(0, "er\"}"),
        openai::finish("tool_calls"),
    ];
    let heard = heard(&chunks).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(calls(&heard), [("depth", "{\"of\":\"Oder\"}")]);
    assert_eq!(heard.finish, ["stop"], "Ollama has no other word");
}

#[tokio::test]
async fn interleaved_tool_calls_come_apart() {
    let chunks = [
        openai::tool(0, "call_a", "depth", "{\"of\""),
        openai::tool(1, "call_b", "width", "{\"at\""),
        openai::arguments(0, ":\"Oder\"}"),
        openai::arguments(1, ":\"Szczecin\"}"),
        openai::finish("tool_calls"),
    ];
    let heard = heard(&chunks).await;
    assert_eq!(calls(&heard), [("depth", "{\"of\":\"Oder\"}"), ("width", "{\"at\":\"Szczecin\"}")]);
}

#[tokio::test]
async fn a_new_id_on_the_same_index_is_a_new_call() {
    let chunks = [
        openai::tool(0, "call_a", "depth", "{\"of\":\"Oder\"}"),
        openai::tool(0, "call_b", "depth", "{\"of\":\"Bug\"}"),
        openai::finish("tool_calls"),
    ];
    assert_eq!(calls(&heard(&chunks).await), [("depth", "{\"of\":\"Oder\"}"), ("depth", "{\"of\":\"Bug\"}")]);
}

#[tokio::test]
async fn a_tool_call_without_arguments_has_an_empty_object() {
    let heard = heard(&[openai::tool(0, "call_a", "now", ""), openai::finish("tool_calls")]).await;
    assert_eq!(calls(&heard), [("now", "{}")]);
}

#[tokio::test]
async fn a_chunk_with_everything_at_once_loses_nothing() {
    let function = json!({"name": "depth", "arguments": "{}"});
    let call = json!({"index": 0, "id": "call_a", "type": "function", "function": function});
    let delta =
        json!({"role": "assistant", "reasoning_content": "Hm.", "content": "Look.", "tool_calls": [call]});
    let heard = heard(&[openai::chunk(&delta, &json!("tool_calls"))]).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!((heard.thought.as_str(), heard.text.as_str(), heard.tools.len()), ("Hm.", "Look.", 1));
}

#[tokio::test]
async fn a_tool_call_cut_by_length_stays_length() {
    let chunks = [openai::text("Oder"), openai::finish("length")];
    assert_eq!(heard(&chunks).await.finish, ["length"]);
}

/// A stream whose text ended with this finish reason, as servers give it when a request dies in them.
async fn assert_reason_is_an_error(reason: &str) {
    let (_gateway, _upstream, asked, mut call) = asked("/api/chat", &chat()).await;
    call.say(&["Oder"]).await;
    call.sse(&openai::finish(reason)).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().is_string(), "{heard:?}");
    assert_eq!(heard.text, "Oder");
}

#[tokio::test]
async fn a_finish_reason_of_error_is_an_error() {
    assert_reason_is_an_error("error").await;
}

#[tokio::test]
async fn a_finish_reason_of_abort_is_an_error() {
    assert_reason_is_an_error("abort").await;
}

#[tokio::test]
async fn a_whole_answer_that_was_aborted_is_an_error() {
    for reason in ["error", "abort"] {
        let (_gateway, _upstream, asked, mut call) = asked("/api/chat", &prompt("m", false)).await;
        call.say(&["Oder"]).await;
        call.sse(&openai::finish(reason)).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 502, "{reason}");
        assert!(answer.json().await["error"].is_string(), "{reason}");
    }
}

#[tokio::test]
async fn a_refusal_is_text() {
    let refusal = openai::delta(&json!({"refusal": "I would rather not."}));
    let heard = heard(&[refusal, openai::finish("stop")]).await;
    assert_eq!(heard.text, "I would rather not.");
}

#[tokio::test]
async fn usage_beside_the_finish_reason_is_read_as_well() {
    let mut finish = openai::finish("stop");
    finish["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12});
    let heard = heard(&[openai::text("Oder"), finish]).await;
    assert_eq!(heard.usage.expect("a done line")["eval_count"], 3);
}

#[tokio::test]
async fn generate_hears_responses() {
    let (_gateway, _upstream, asked, mut call) = asked("/api/generate", &generate()).await;
    call.say(&["Vis", "tula"]).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.text, "Vistula");
    assert!(
        heard.events.iter().all(|event| event["response"].is_string() && event["message"].is_null()),
        "{heard:?}"
    );
}

#[tokio::test]
async fn generate_hears_thinking() {
    let (_gateway, _upstream, asked, call) = asked("/api/generate", &generate()).await;
    assert_eq!(call.path, "/v1/chat/completions");
    play(call, &[openai::thought("In Poland."), openai::text("Oder"), openai::finish("stop")]).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("In Poland.", "Oder"));
}

#[tokio::test]
async fn a_whole_answer_is_one_line() {
    let (_gateway, _upstream, asked, call) = asked("/api/chat", &prompt("m", false)).await;
    if call.json()["stream"] == true {
        play(call, &[openai::text("Od"), openai::text("er"), openai::finish("stop"), openai::usage(5, 2)])
            .await;
    } else {
        call.answer(200, &openai::whole("Oder")).await;
    }
    let mut answer = asked.answer().await;
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let whole = answer.json().await;
    assert_eq!((&whole["message"]["content"], &whole["done"]), (&json!("Oder"), &json!(true)));
    assert_eq!((&whole["prompt_eval_count"], &whole["eval_count"]), (&json!(5), &json!(2)));
}

#[tokio::test]
async fn a_whole_answer_says_how_long_its_parts_took() {
    let (_gateway, _upstream, asked, mut call) = asked("/api/chat", &prompt("m", false)).await;
    call.stays(Duration::from_millis(100)).await;
    call.say(&["Od"]).await;
    call.stays(Duration::from_millis(100)).await;
    call.sse(&openai::text("er")).await;
    call.sse(&openai::finish("stop")).await;
    call.sse(&openai::usage(5, 2)).await;
    call.done().await;
    let whole = asked.answer().await.json().await;
    let took = |part: &str| whole[part].as_u64().unwrap_or_else(|| panic!("{part} in {whole}"));
    assert!(took("eval_duration") > 0, "{whole}");
    assert!(took("load_duration") < took("total_duration"), "{whole}");
}

#[tokio::test]
async fn embed_of_a_backend_that_does_not_speak_it_is_a_400() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let request = json!({"model": "m", "input": ["a river", "a lake"]});
    let mut answer = gateway.post("/api/embed", &request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json().await["error"].as_str().unwrap().contains("/api/embed"));
}
