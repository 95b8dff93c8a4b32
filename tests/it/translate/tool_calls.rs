//! Tool calls by every backend to every client: fragments, indexes, ids and names, in whatever way servers send them.

use serde_json::{Value, json};

use crate::support::pairs::{APIS, CHAT, MESSAGES, OLLAMA, RESPONSES, crossed, each, request, request_with};
use crate::support::script::{Part, Reason, chat, events, lines, script};
use crate::support::{Heard, Item, Pairs, anthropic, ollama, openai, responses};

async fn assert_calls(api: &str, frames: &[String], wanted: &[(&str, &str)]) {
    each(api, frames, |what, heard| assert_eq!(heard.calls(), wanted, "{what}")).await;
}

/// Chunks that end in a call.
fn calling(mut said: Vec<Value>) -> Vec<String> {
    said.push(openai::finish("tool_calls"));
    chat(&said)
}

fn fragment(call: &Value) -> Value {
    openai::delta(&json!({"tool_calls": [call]}))
}

#[tokio::test]
async fn interleaved_calls_come_one_after_the_other() {
    let said = vec![
        openai::tool(0, "call_a", "depth", "{\"of\""),
        openai::tool(1, "call_b", "width", "{\"at\""),
        openai::tool(2, "call_c", "now", ""),
        openai::arguments(1, ":\"Bonn\""),
        openai::arguments(0, ":\"Rhine\"}"),
        openai::arguments(2, "{}"),
        openai::arguments(1, "}"),
    ];
    let wanted = [("depth", "{\"of\":\"Rhine\"}"), ("width", "{\"at\":\"Bonn\"}"), ("now", "{}")];
    assert_calls("openai", &calling(said), &wanted).await;
}

#[tokio::test]
async fn a_call_is_shown_at_once_where_the_one_before_it_is_complete() {
    let mut pairs = Pairs::start(&[]).await;
    for door in [CHAT, RESPONSES, MESSAGES] {
        for api in
            ["openai", "responses", "anthropic"].into_iter().filter(|api| (door, *api) != (CHAT, "openai"))
        {
            let parts = [
                Part::Call("call_a", "depth", &["{\"of\": \"}{\"", "}"]),
                Part::Call("call_b", "width", &["{\"at\""]),
            ];
            let (asked, mut call) = pairs.ask(door, &request(door, api, true)).await;
            call.say(&[]).await;
            let frames = script(api, &parts, Reason::Calls);
            // All but the end of it, the second call among it.
            let upto =
                frames.iter().rposition(|frame| frame.contains("{\\\"at\\\"") && frame.contains("elta"));
            for frame in &frames[..=upto.unwrap()] {
                call.chunk(frame).await;
            }
            let mut answer = asked.answer().await;
            let mut seen = String::new();
            while !(seen.contains("call_b") && seen.contains("{\\\"at\\\"")) {
                seen.push_str(&answer.next_event().await.data);
            }
            drop(answer);
        }
    }
}

#[tokio::test]
async fn a_fragment_passes_before_the_next_one_comes() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in
        [("openai", MESSAGES), ("openai", RESPONSES), ("anthropic", CHAT), ("responses", MESSAGES)]
    {
        let (asked, mut call) = pairs.ask(door, &request(door, api, true)).await;
        call.say(&[]).await;
        let frames = script(
            api,
            &[Part::Call("call_a", "depth", &["{\"of\"", ":\"one", "two", "\"}"])],
            Reason::Calls,
        );
        let mut frames = frames.iter();
        for word in ["of", "one", "two"] {
            let frame = loop {
                let frame = frames.next().unwrap();
                call.chunk(frame).await;
                if frame.contains(word) {
                    break frame;
                }
            };
            assert!(!frame.contains("done"), "{frame}");
        }
        let mut answer = asked.answer().await;
        while !answer.next_event().await.data.contains("two") {}
    }
}

#[tokio::test]
async fn calls_are_told_apart_however_they_are_numbered() {
    let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    let by_id = vec![
        fragment(&json!({"id": "call_a", "type": "function", "function": function("depth", "{\"of\"")})),
        fragment(&json!({"id": "call_a", "function": function("", ":1}")})),
        fragment(&json!({"id": "call_b", "type": "function", "function": function("width", "{}")})),
    ];
    let one_index =
        vec![openai::tool(0, "call_a", "depth", "{\"of\":1}"), openai::tool(0, "call_b", "width", "{}")];
    let repeated = vec![
        openai::tool(0, "call_a", "depth", "{\"of\""),
        openai::tool(0, "call_a", "depth", ":1}"),
        openai::tool(1, "call_b", "width", "{}"),
    ];
    let from_one =
        vec![openai::tool(1, "call_a", "depth", "{\"of\":1}"), openai::tool(2, "call_b", "width", "{}")];
    let one_chunk = vec![openai::delta(&json!({"tool_calls": [
        {"index": 0, "id": "call_a", "type": "function", "function": function("depth", "{\"of\":1}")},
        {"index": 1, "id": "call_b", "type": "function", "function": function("width", "{}")}
    ]}))];
    for said in [by_id, one_index, repeated, from_one, one_chunk] {
        each("openai", &calling(said), |what, heard| {
            assert_eq!(heard.calls(), [("depth", "{\"of\":1}"), ("width", "{}")], "{what}");
            assert_eq!(
                (heard.tools[0].id.as_str(), heard.tools[1].id.as_str()),
                ("call_a", "call_b"),
                "{what}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn arguments_are_read_in_whatever_form_they_come() {
    let call = |index: u64, function: &Value| json!({"index": index, "id": "call_a", "function": function});
    let object = vec![fragment(&call(0, &json!({"name": "depth", "arguments": {"of": 1}})))];
    let null = vec![
        fragment(&call(0, &json!({"name": "depth", "arguments": null}))),
        openai::arguments(0, "{\"of\":1}"),
    ];
    let early = vec![
        fragment(&call(0, &json!({"arguments": "{\"of\""}))),
        fragment(&call(0, &json!({"name": "depth", "arguments": ":1}"}))),
    ];
    for said in [object, null, early] {
        assert_calls("openai", &calling(said), &[("depth", "{\"of\":1}")]).await;
    }
}

#[tokio::test]
async fn a_call_without_arguments_is_one_with_an_empty_object() {
    for api in APIS {
        let frames = script(api, &[Part::Call("call_a", "now", &[])], Reason::Calls);
        assert_calls(api, &frames, &[("now", "{}")]).await;
    }
}

#[tokio::test]
async fn an_input_that_stands_in_the_opening_of_a_block_is_read() {
    let block = json!({"type": "tool_use", "id": "toolu_1", "name": "depth", "input": {"of": 1.5}});
    let said = anthropic::stream(&[anthropic::open(0, &block), anthropic::close(0)], "tool_use");
    assert_calls("anthropic", &events(&said), &[("depth", "{\"of\":1.5}")]).await;
}

#[tokio::test]
async fn a_call_of_responses_may_come_whole_at_any_of_its_ends() {
    let (empty, whole) =
        (responses::call("call_a", "depth", ""), responses::call("call_a", "depth", "{\"of\":1}"));
    let opened = responses::added(0, &empty);
    let in_arguments =
        vec![opened.clone(), responses::arguments_done(0, "{\"of\":1}"), responses::done(0, &whole)];
    let in_item = vec![opened, responses::done(0, &whole)];
    let only_there = vec![responses::done(0, &whole)];
    for said in [in_arguments, in_item, only_there, Vec::new()] {
        let frames = events(&responses::stream(&said, responses::completed(std::slice::from_ref(&whole))));
        assert_calls("responses", &frames, &[("depth", "{\"of\":1}")]).await;
    }
}

#[tokio::test]
async fn calls_without_ids_are_given_ones_that_differ() {
    let call = json!({"function": {"name": "depth", "arguments": {}}});
    let said = [
        ollama::message(&json!({"role": "assistant", "content": "", "tool_calls": [call, call]})),
        ollama::tool("depth", &json!({})),
        ollama::done("stop"),
    ];
    each("ollama", &lines(&said), |what, heard| {
        assert_eq!(heard.calls(), [("depth", "{}"); 3], "{what}");
        let mut ids: Vec<&str> = heard.tools.iter().map(|tool| tool.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() == 3 && ids.iter().all(|id| !id.is_empty()), "{what}");
    })
    .await;
}

#[tokio::test]
async fn an_id_that_anthropic_would_refuse_is_made_lawful_for_its_clients() {
    let frames = calling(vec![openai::tool(0, "functions.depth:0", "depth", "{}")]);
    // The listener takes no other.
    assert_calls("openai", &frames, &[("depth", "{}")]).await;
}

/// Arguments written over several lines, in a string and bare.
const PRETTY: &str = "{\n  \"of\": \"Rhine\",\r\n\t\"at\": 1\n}";

#[tokio::test]
async fn arguments_over_several_lines_break_no_line_and_no_frame() {
    let in_string = calling(vec![openai::tool(0, "call_a", "depth", ""), openai::arguments(0, PRETTY)]);
    let input =
        [anthropic::open_tool(0, "toolu_1", "depth"), anthropic::input(0, PRETTY), anthropic::close(0)];
    let in_deltas = events(&anthropic::stream(&input, "tool_use"));
    let item = responses::call("call_a", "depth", PRETTY);
    let in_item = events(&responses::stream(
        &[responses::done(0, &item)],
        responses::completed(std::slice::from_ref(&item)),
    ));
    for (api, frames) in [("openai", in_string), ("anthropic", in_deltas), ("responses", in_item)] {
        each(api, &frames, assert_same).await;
    }
}

#[tokio::test]
async fn a_bare_object_over_several_lines_breaks_no_line_and_no_frame() {
    // A data field on several lines is one value, with the line ends in it.
    let bare = |event: &Value| {
        let text = event.to_string().replace("\"PRETTY\"", "{\n  \"of\": \"Rhine\",\n\t\"at\": 1\n}");
        text.lines().flat_map(|line| ["data: ", line, "\n"]).collect::<String>() + "\n"
    };
    let mut frames = calling(vec![fragment(&json!({"index": 0, "id": "call_a", "function": {
        "name": "depth", "arguments": "PRETTY"
    }}))]);
    frames[0] = bare(&serde_json::from_str(frames[0].trim().strip_prefix("data: ").unwrap()).unwrap());
    each("openai", &frames, assert_same).await;
    let block = json!({"type": "tool_use", "id": "toolu_1", "name": "depth", "input": "PRETTY"});
    let mut frames = events(&anthropic::stream(&[anthropic::close(0)], "tool_use"));
    frames.insert(2, format!("event: content_block_start\n{}", bare(&anthropic::open(0, &block))));
    each("anthropic", &frames, assert_same).await;
}

fn assert_same(what: &str, heard: &Heard) {
    let arguments: Value = serde_json::from_str(&heard.tools[0].arguments).unwrap();
    assert_eq!(arguments, json!({"of": "Rhine", "at": 1}), "{what}");
}

#[tokio::test]
async fn arguments_that_are_no_object_are_an_error_where_they_must_be_one() {
    let mut pairs = Pairs::start(&[]).await;
    for api in ["openai", "responses", "anthropic"] {
        let frames = script(
            api,
            &[Part::Text(&["I look."]), Part::Call("call_a", "depth", &["{\"of\""])],
            Reason::Calls,
        );
        let heard = Heard::of(&mut pairs.answer(api, OLLAMA, true, &frames).await).await;
        assert!(heard.failed() && heard.message().contains("depth"), "{api}: {heard:?}");
        for door in [OLLAMA, MESSAGES].into_iter().filter(|door| (*door, api) != (MESSAGES, "anthropic")) {
            let answer = pairs.answer(api, door, false, &frames).await;
            assert_eq!((answer.status, answer.header("x-should-retry")), (502, None), "{door} over {api}");
        }
    }
}

#[tokio::test]
async fn a_tool_with_a_long_name_is_heard_by_its_own() {
    let name = format!("mcp__{}", "x".repeat(100));
    let mut pairs = Pairs::start(&[]).await;
    for (door, tool) in [
        (MESSAGES, json!({"name": name, "input_schema": {"type": "object"}})),
        (OLLAMA, json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})),
    ] {
        for stream in [true, false] {
            let (asked, call) =
                pairs.ask(door, &request_with(door, "openai", stream, &json!({"tools": [tool]}))).await;
            let told = call.json()["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
            assert!(told.len() <= 64, "{told}");
            call.play(&calling(vec![openai::tool(0, "call_a", &told, "{}")])).await;
            let mut answer = asked.answer().await;
            let heard =
                if stream { Heard::of(&mut answer).await } else { Heard::of_whole(&answer.json().await) };
            assert_eq!(heard.calls(), [(name.as_str(), "{}")], "{door}, stream {stream}");
        }
    }
}

#[tokio::test]
async fn text_behind_a_call_is_a_block_of_its_own() {
    let parts = [Part::Text(&["a"]), Part::Call("call_a", "depth", &["{}"]), Part::Text(&["b"])];
    let mut pairs = Pairs::start(&[]).await;
    for (api, door) in crossed() {
        let heard = pairs.hear(api, door, true, &script(api, &parts, Reason::Calls)).await;
        assert_eq!(
            (heard.order.as_slice(), heard.text.as_str()),
            (["text", "call", "text"].as_slice(), "ab"),
            "{door}"
        );
    }
}

#[tokio::test]
async fn an_incomplete_call_is_not_shown_to_ollamas_clients_before_it_is_whole() {
    let mut pairs = Pairs::start(&[]).await;
    let (asked, mut call) = pairs.ask(OLLAMA, &request(OLLAMA, "openai", true)).await;
    call.say(&["I look."]).await;
    call.sse(&openai::tool(0, "call_a", "depth", "{\"of\":")).await;
    call.sse(&openai::arguments(0, "1}")).await;
    call.sse(&openai::text("Done.")).await;
    let mut answer = asked.answer().await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Item::Event(event) = answer.next_item().await {
            seen.push(event.json()["message"].clone());
        }
    }
    assert_eq!(seen[1]["tool_calls"][0]["function"], json!({"name": "depth", "arguments": {"of": 1}}));
    assert_eq!(seen[2]["content"], "Done.");
}

#[tokio::test]
async fn text_between_the_fragments_of_a_call_does_not_end_it() {
    let said =
        vec![openai::tool(0, "call_a", "depth", "{\"of\""), openai::text("\n"), openai::arguments(0, ":1}")];
    assert_calls("openai", &calling(said), &[("depth", "{\"of\":1}")]).await;
}
