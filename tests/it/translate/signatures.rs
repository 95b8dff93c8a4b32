//! What vendors behind an API of chat completions sign of an answer, on its way to clients of other APIs and back.

use serde_json::{Value, json};

use crate::support::pairs::{MESSAGES, RESPONSES, request_with};
use crate::support::script::chat;
use crate::support::{Pairs, openai};

/// The next turn of a client that hands back all it was given.
async fn next_turn(pairs: &mut Pairs, door: &str, frames: &[String]) -> Value {
    let answer = pairs.answer("openai", door, false, frames).await.json().await;
    let user = json!({"role": "user", "content": "Q"});
    let history = if door == MESSAGES {
        let said = answer["content"].as_array().unwrap();
        let calls = said.iter().filter(|block| block["type"] == "tool_use");
        let results: Vec<Value> = calls
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "9 m"}))
            .collect();
        json!({"messages": [user, {"role": "assistant", "content": said}, {"role": "user", "content": results}]})
    } else {
        let mut input = vec![user];
        input.extend(answer["output"].as_array().unwrap().iter().cloned());
        let calls =
            answer["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call");
        input.extend(calls.map(
            |call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "9 m"}),
        ));
        json!({"input": input})
    };
    let (_asked, call) = pairs.ask(door, &request_with(door, "openai", true, &history)).await;
    call.json()["messages"][1].clone()
}

#[tokio::test]
async fn googles_signature_goes_back_with_its_own_call() {
    let mut pairs = Pairs::start(&[]).await;
    let call = |at: usize, id: &str, signature: &str| {
        let mut call = json!({"index": at, "id": id, "function": {"name": "depth", "arguments": "{}"}});
        if !signature.is_empty() {
            call["extra_content"] = json!({"google": {"thought_signature": signature}});
        }
        openai::delta(&json!({"tool_calls": [call]}))
    };
    let said = [
        openai::text("Look."),
        call(0, "a", "SIG/A+="),
        call(1, "b", ""),
        call(2, "c", "SIG_C"),
        openai::finish("tool_calls"),
    ];
    for door in [MESSAGES, RESPONSES] {
        let turn = next_turn(&mut pairs, door, &chat(&said)).await;
        let signatures: Vec<&Value> = turn["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| &call["extra_content"]["google"]["thought_signature"])
            .collect();
        assert_eq!(signatures, [&json!("SIG/A+="), &json!(null), &json!("SIG_C")], "{door}: {turn}");
    }
}

#[tokio::test]
async fn openrouters_details_go_back_as_they_were() {
    let mut pairs = Pairs::start(&[]).await;
    let detail =
        |detail: Value| openai::delta(&json!({"reasoning": detail["text"], "reasoning_details": [detail]}));
    let text = json!({"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1", "index": 0});
    let signed =
        json!({"type": "reasoning.text", "signature": "SIG\"1", "format": "anthropic-claude-v1", "index": 0});
    let closed = json!({"type": "reasoning.encrypted", "data": "ENC==", "id": "rs_1", "format": "openai-responses-v1", "index": 1});
    let call = openai::tool(0, "call_a", "depth", "{}");
    let said =
        [detail(text), detail(signed.clone()), detail(closed.clone()), call, openai::finish("tool_calls")];
    for door in [MESSAGES, RESPONSES] {
        let turn = next_turn(&mut pairs, door, &chat(&said)).await;
        let mut whole = signed.clone();
        whole["text"] = json!("Hm.");
        assert_eq!(turn["reasoning_details"], json!([whole, closed]), "{door}: {turn}");
    }
}

#[tokio::test]
async fn entries_of_several_chunks_are_numbered() {
    let mut pairs = Pairs::start(&[]).await;
    let frames = crate::support::script::events(&crate::support::anthropic::stream(
        &[
            crate::support::anthropic::open(0, &json!({"type": "redacted_thinking", "data": "A"})),
            crate::support::anthropic::close(0),
            crate::support::anthropic::open(1, &json!({"type": "redacted_thinking", "data": "B"})),
            crate::support::anthropic::close(1),
        ],
        "end_turn",
    ));
    let heard = pairs.hear("anthropic", crate::support::pairs::CHAT, true, &frames).await;
    let blocks =
        heard.events.iter().map(|event| &event["choices"][0]["delta"]["thinking_blocks"][0]["index"]);
    assert_eq!(blocks.filter(|index| !index.is_null()).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn pages_that_are_told_beside_a_text_are_what_it_leans_on() {
    let mut pairs = Pairs::start(&[]).await;
    let pages = json!([{"title": "Rivers", "url": "https://r.example"}, {"title": "Towns", "url": "https://t.example"}]);
    let mut said = [openai::text("Rhine [1]"), openai::text(", Main [2]."), openai::finish("stop")];
    for chunk in &mut said {
        chunk["search_results"] = pages.clone();
        chunk["citations"] = json!(["https://r.example", "https://t.example", "https://u.example"]);
    }
    let whole = pairs.answer("openai", RESPONSES, false, &chat(&said)).await.json().await;
    let cited = whole["output"][0]["content"][0]["annotations"].as_array().unwrap();
    let urls: Vec<&Value> = cited.iter().map(|cited| &cited["url"]).collect();
    assert_eq!(urls, ["https://r.example", "https://t.example", "https://u.example"], "{whole}");
    assert_eq!(cited[1]["title"], "Towns");
}
