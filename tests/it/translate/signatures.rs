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

/// A signature is long, and so is the id that holds it: whoever did not give it is told a short one.
#[tokio::test]
async fn a_call_that_is_signed_goes_to_other_vendors_under_a_short_id() {
    let mut pairs = Pairs::start(&[]).await;
    let signature = "Sig/A+=".repeat(300);
    let signed = |at: usize, id: &str| {
        let function = json!({"name": "depth", "arguments": "{}"});
        let extra = json!({"google": {"thought_signature": signature}});
        openai::delta(
            &json!({"tool_calls": [{"index": at, "id": id, "function": function, "extra_content": extra}]}),
        )
    };
    let frames =
        chat(&[signed(0, "function-call-1"), signed(1, "function-call-2"), openai::finish("tool_calls")]);
    let user = json!({"role": "user", "content": "Q"});
    for (door, others) in [(MESSAGES, ["anthropic", "responses"]), (RESPONSES, ["responses", "anthropic"])] {
        let answer = pairs.answer("openai", door, false, &frames).await.json().await;
        let history = if door == MESSAGES {
            let said = &answer["content"];
            let result =
                |at: usize| json!({"type": "tool_result", "tool_use_id": said[at]["id"], "content": "9 m"});
            json!({"messages": [user, {"role": "assistant", "content": said}, {"role": "user", "content": [result(1), result(0)]}]})
        } else {
            let said = &answer["output"];
            let result = |at: usize| json!({"type": "function_call_output", "call_id": said[at]["call_id"], "output": "9 m"});
            json!({"input": [user, said[0], said[1], result(1), result(0)]})
        };
        for api in others {
            let (_asked, call) = pairs.ask(door, &request_with(door, api, true, &history)).await;
            let told = call.json();
            let mut ids = Vec::new();
            call_ids(&told, &mut ids);
            assert_eq!(ids.len(), 4, "{door} to {api}: {told}");
            let lawful = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let short = ids.iter().all(|id| api == "anthropic" && door == RESPONSES || id.len() <= 64);
            assert!(short && ids.iter().all(|id| id.chars().all(lawful)), "{door} to {api}: {ids:?}");
            ids.sort();
            assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[1] != ids[2], "{door} to {api}: {ids:?}");
            assert!(!told.to_string().contains("sg1_"), "{door} to {api}: {told}");
        }
    }
}

/// The ids of calls and of results, wherever they stand.
fn call_ids(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let of_call = |name: &str| match name {
                "call_id" | "tool_use_id" => true,
                "id" => members.get("type").is_some_and(|kind| kind == "tool_use"),
                _ => false,
            };
            let ids = members.iter().filter(|(name, _)| of_call(name));
            found.extend(ids.filter_map(|(_, id)| id.as_str().map(str::to_owned)));
            members.values().for_each(|inner| call_ids(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| call_ids(inner, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
