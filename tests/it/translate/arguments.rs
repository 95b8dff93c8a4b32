//! The arguments, names and ids of the calls of an answer: as a program can run them, whatever the backend sends, by every door,
//! streamed and whole.

use serde_json::{Value, json};

use crate::support::pairs::{DOORS, MESSAGES, RESPONSES, each, request_with};
use crate::support::script::{chat, events};
use crate::support::{Pairs, anthropic, openai, responses};

/// A call whose arguments come in these pieces, by a backend of each API that sends pieces.
fn calling(pieces: &[&str]) -> Vec<(&'static str, Vec<String>)> {
    let mut said = vec![openai::tool(0, "call_a", "depth", "")];
    said.extend(pieces.iter().map(|piece| openai::arguments(0, piece)));
    said.push(openai::finish("tool_calls"));
    let mut blocks = vec![anthropic::open_tool(0, "call_a", "depth")];
    blocks.extend(pieces.iter().map(|piece| anthropic::input(0, piece)));
    blocks.push(anthropic::close(0));
    let mut items = vec![responses::added(0, &responses::call("call_a", "depth", ""))];
    items.extend(pieces.iter().map(|piece| responses::arguments(0, piece)));
    vec![
        ("openai", chat(&said)),
        ("anthropic", events(&anthropic::stream(&blocks, "tool_use"))),
        ("responses", events(&responses::stream(&items, responses::completed(&[])))),
    ]
}

#[tokio::test]
async fn arguments_that_can_be_put_right_are() {
    for (pieces, wanted) in [
        (&["{}", "{\"of\":1}"][..], "{\"of\":1}"),
        (&["{", "}", "{\"of\"", ":1}"], "{\"of\":1}"),
        (&["{} {\"of\":1}"], "{\"of\":1}"),
        (&["\"{\\\"of\\\"", ":1}\""], "{\"of\":1}"),
        (&["null"], "{}"),
        (&["\"\""], "{}"),
        (&[" ", "\n"], "{}"),
        (&["{\"of\":1}", "{}"], "{\"of\":1}"),
        (&["{\"of\":1}", " {\"of\": 1}"], "{\"of\":1}"),
    ] {
        for (api, frames) in calling(pieces) {
            each(api, &frames, |what, heard| {
                let value: Value = serde_json::from_str(&heard.tools[0].arguments).unwrap();
                assert_eq!(
                    (heard.tools.len(), value),
                    (1, serde_json::from_str(wanted).unwrap()),
                    "{pieces:?}: {what}"
                );
            })
            .await;
        }
    }
}

#[tokio::test]
async fn arguments_that_cannot_are_an_error_by_every_door() {
    let mut pairs = Pairs::start(&[]).await;
    for pieces in
        [&["{\"of\":"][..], &["[1]"], &["{'of': 1}"], &["{\"of\":1}", "{\"of\":2}"], &["depth of Rhine"]]
    {
        for (api, frames) in calling(pieces) {
            for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
                let heard = pairs.hear(api, door, true, &frames).await;
                assert!(heard.failed() && heard.message().contains("depth"), "{door} over {api}: {heard:?}");
                let whole = pairs.answer(api, door, false, &frames).await;
                assert_eq!(whole.status, 502, "{door} over {api}: {pieces:?}");
            }
        }
    }
}

#[tokio::test]
async fn free_text_that_a_client_asked_for_need_not_be_json() {
    let mut pairs = Pairs::start(&[]).await;
    let tools = json!({"tools": [{"type": "custom", "name": "depth", "description": "d"}]});
    for (api, frames) in calling(&["ls", " -l"]).into_iter().filter(|(api, _)| *api != "responses") {
        let heard = pairs.hear_as(RESPONSES, &request_with(RESPONSES, api, true, &tools), &frames).await;
        assert!(heard.succeeded(), "{heard:?}");
        let item = &heard.events.last().unwrap()["response"]["output"][0];
        assert_eq!((&item["type"], &item["input"]), (&json!("custom_tool_call"), &json!("ls -l")));
    }
}

#[tokio::test]
async fn an_input_that_is_told_twice_counts_once() {
    for deltas in [&["{\"of\":1.5}"][..], &["{\"of\"", ":1.5}"], &[]] {
        let block = json!({"type": "tool_use", "id": "toolu_1", "name": "depth", "input": {"of": 1.5}});
        let mut said = vec![anthropic::open(0, &block)];
        said.extend(deltas.iter().map(|piece| anthropic::input(0, piece)));
        said.push(anthropic::close(0));
        each("anthropic", &events(&anthropic::stream(&said, "tool_use")), |what, heard| {
            assert_eq!(heard.calls(), [("depth", "{\"of\":1.5}")], "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_in_free_text_is_one_of_a_function_with_one_string() {
    let item = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_a", "name": "sh", "input": "say \"hi\"\n"});
    let begun =
        json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_a", "name": "sh", "input": ""});
    let piece = |text: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "item_id": "ctc_1", "delta": text});
    let whole = vec![responses::done(0, &item)];
    let pieces =
        vec![responses::added(0, &begun), piece("say \"h"), piece("i\"\n"), responses::done(0, &item)];
    for said in [whole, pieces, Vec::new()] {
        let frames = events(&responses::stream(&said, responses::completed(std::slice::from_ref(&item))));
        each("responses", &frames, |what, heard| {
            let value: Value = serde_json::from_str(&heard.tools[0].arguments).unwrap();
            assert_eq!((heard.tools.len(), value), (1, json!({"input": "say \"hi\"\n"})), "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn calls_with_one_id_are_told_apart_and_go_back_as_they_were() {
    let mut pairs = Pairs::start(&[]).await;
    let ids = ["functions.depth:0", "functions.depth:0", "é/1"];
    let mut said: Vec<Value> = (0..).zip(ids).map(|(at, id)| openai::tool(at, id, "depth", "{}")).collect();
    said.push(openai::finish("tool_calls"));
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "openai") {
        let heard = pairs.hear("openai", door, true, &chat(&said)).await;
        let mut told: Vec<String> = heard.tools.iter().map(|tool| tool.id.clone()).collect();
        let history = history(door, &told);
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 3, "{door}: {heard:?}");
        let (_asked, call) = pairs.ask(door, &request_with(door, "openai", true, &history)).await;
        let messages = call.json()["messages"].clone();
        let calls: Vec<&Value> =
            messages[1]["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
        assert_eq!(calls, ids, "{door}");
        let answered: Vec<&Value> = (2..5).map(|at| &messages[at]["tool_call_id"]).collect();
        assert_eq!(answered, ids, "{door}");
    }
}

/// A history in which these calls were made and answered.
fn history(door: &str, ids: &[String]) -> Value {
    let user = json!({"role": "user", "content": "Q"});
    if door == RESPONSES {
        let mut input = vec![user];
        input.extend(
            ids.iter().map(
                |id| json!({"type": "function_call", "call_id": id, "name": "depth", "arguments": "{}"}),
            ),
        );
        input.extend(
            ids.iter().map(|id| json!({"type": "function_call_output", "call_id": id, "output": "9 m"})),
        );
        return json!({"input": input});
    }
    if door == MESSAGES {
        let calls: Vec<Value> = ids
            .iter()
            .map(|id| json!({"type": "tool_use", "id": id, "name": "depth", "input": {}}))
            .collect();
        let results: Vec<Value> = ids
            .iter()
            .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "9 m"}))
            .collect();
        return json!({"messages": [user, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]});
    }
    let calls: Vec<Value> =
        ids.iter().map(|id| json!({"id": id, "function": {"name": "depth", "arguments": {}}})).collect();
    let mut messages = vec![user, json!({"role": "assistant", "content": "", "tool_calls": calls})];
    messages.extend(ids.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": "9 m"})));
    json!({"messages": messages})
}
