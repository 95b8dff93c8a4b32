//! Blocks and items whose place, start or end a server leaves out, or tells twice.

use serde_json::{Value, json};

use crate::support::pairs::{DOORS, each};
use crate::support::script::events;
use crate::support::{Pairs, anthropic, responses};

fn without(member: &str, mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        event.as_object_mut().unwrap().remove(member);
    }
    events
}

#[tokio::test]
async fn anthropics_events_find_their_blocks_without_indexes_starts_or_ends() {
    let blocks = || {
        vec![
            anthropic::open_text(0),
            anthropic::text(0, "Rhine"),
            anthropic::close(0),
            anthropic::open_tool(1, "toolu_1", "depth"),
            anthropic::input(1, "{\"of\""),
            anthropic::input(1, ":1}"),
            anthropic::close(1),
        ]
    };
    let unnumbered = without("index", blocks());
    let mut deltas_only = blocks();
    for at in [1, 4, 5] {
        deltas_only[at].as_object_mut().unwrap().remove("index");
    }
    let no_start = blocks()[1..].to_vec();
    let mut no_ends = blocks();
    no_ends.retain(|event| event["type"] != "content_block_stop");
    let mut one_index = blocks();
    for event in &mut one_index {
        event["index"] = json!(0);
    }
    one_index.retain(|event| event["type"] != "content_block_stop");
    for said in [blocks(), unnumbered, deltas_only, no_start, no_ends, one_index] {
        each("anthropic", &events(&anthropic::stream(&said, "tool_use")), |what, heard| {
            assert_eq!(
                (heard.text.as_str(), heard.calls()),
                ("Rhine", vec![("depth", "{\"of\":1}")]),
                "{what}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn content_in_the_first_event_of_a_message_is_content() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "depth", "input": {"of": 1}});
    let text = json!({"type": "text", "text": "Rhine"});
    for (content, reason) in [(json!([call]), json!("tool_use")), (json!([text, call]), json!(null))] {
        let mut start = anthropic::start(&anthropic::counts());
        start["message"]["content"] = content.clone();
        start["message"]["stop_reason"] = reason;
        each("anthropic", &events(&[start, anthropic::stop()]), |what, heard| {
            assert_eq!(heard.calls(), [("depth", "{\"of\":1}")], "{what}");
            assert_eq!(heard.text.is_empty(), content[0]["type"] != "text", "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_whose_name_never_came_is_no_success() {
    let mut pairs = Pairs::start(&[]).await;
    let lost = [
        anthropic::open_text(0),
        anthropic::text(0, "Rhine"),
        anthropic::close(0),
        anthropic::input(1, "{}"),
    ];
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "anthropic") {
        let heard = pairs.hear("anthropic", door, true, &events(&anthropic::stream(&lost, "tool_use"))).await;
        assert!(heard.failed(), "{door}: {heard:?}");
    }
}

/// The beginning and the end of an item that has an id.
fn added(at: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": at, "item": item})
}

fn done(at: usize, item: &Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": at, "item": item})
}

/// An item with an id of its own.
fn with_id(id: &str, mut item: Value) -> Value {
    item["id"] = json!(id);
    item
}

fn of(item: &str, mut event: Value) -> Value {
    event["item_id"] = json!(item);
    event
}

#[tokio::test]
async fn items_without_places_are_told_apart_by_their_ids() {
    let thought = with_id("rs_1", responses::reasoning(&[]));
    let text = with_id("msg_1", responses::message(&[responses::text_part("Rhine")]));
    let (one, two) = (
        with_id("fc_1", responses::call("call_a", "depth", "{\"of\":1}")),
        with_id("fc_2", responses::call("call_b", "width", "{\"at\":2}")),
    );
    // As llama.cpp does it: no place, and all items end with the response.
    let said = without(
        "output_index",
        vec![
            added(0, &thought),
            of("rs_1", responses::thought(0, "Hm.")),
            added(0, &with_id("msg_1", responses::message(&[]))),
            of("msg_1", responses::text(0, "Rhi")),
            of("msg_1", responses::text(0, "ne")),
            added(0, &with_id("fc_1", responses::call("call_a", "depth", ""))),
            of("fc_1", responses::arguments(0, "{\"of\":1}")),
            added(0, &with_id("fc_2", responses::call("call_b", "width", ""))),
            of("fc_2", responses::arguments(0, "{\"at\":2}")),
            done(0, &text),
            done(0, &one),
            done(0, &two),
        ],
    );
    for output in [vec![thought.clone(), text, one, two], Vec::new()] {
        let frames = events(&responses::stream(&said, responses::completed(&output)));
        each("responses", &frames, |what, heard| {
            assert_eq!((heard.thought.as_str(), heard.text.as_str()), ("Hm.", "Rhine"), "{what}");
            assert_eq!(heard.calls(), [("depth", "{\"of\":1}"), ("width", "{\"at\":2}")], "{what}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_gap_in_the_places_of_items_says_nothing_twice() {
    let call = with_id("fc_1", responses::call("call_a", "depth", "{\"of\":1}"));
    let text = with_id("msg_1", responses::message(&[responses::text_part("Rhine")]));
    let told = |at: usize, item: &Value| [added(at, item), done(at, item)];
    let changed = with_id("msg_9", responses::message(&[responses::text_part("Rhine")]));
    for (said, output) in [
        ([told(3, &text), told(7, &call)].concat(), vec![text.clone(), call.clone()]),
        ([told(1, &call), told(2, &text)].concat(), vec![call.clone(), changed]),
        ([told(5, &text)].concat(), vec![text.clone(), call.clone()]),
    ] {
        let frames = events(&responses::stream(&said, responses::completed(&output)));
        each("responses", &frames, |what, heard| {
            assert_eq!(
                (heard.text.as_str(), heard.calls()),
                ("Rhine", vec![("depth", "{\"of\":1}")]),
                "{what}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn two_calls_at_one_place_are_two() {
    let (one, two) =
        (responses::call("call_a", "depth", "{\"of\":1}"), responses::call("call_b", "width", "{\"at\":2}"));
    let whole = vec![responses::done(0, &one), responses::done(0, &two)];
    let apart = vec![
        responses::added(0, &responses::call("call_a", "depth", "")),
        responses::arguments(0, "{\"of\":1}"),
        responses::done(0, &one),
        responses::added(0, &responses::call("call_b", "width", "")),
        responses::arguments(0, "{\"at\":2}"),
        responses::done(0, &two),
    ];
    for said in [whole, apart] {
        let frames = events(&responses::stream(&said, responses::completed(&[])));
        each("responses", &frames, |what, heard| {
            assert_eq!(heard.calls(), [("depth", "{\"of\":1}"), ("width", "{\"at\":2}")], "{what}");
        })
        .await;
    }
}
