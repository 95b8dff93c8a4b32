//! The events of Responses as servers send them, in front of clients of other dialects.

use serde_json::{Value, json};

use crate::support::pairs::{DOORS, MESSAGES};
use crate::support::script::events;
use crate::support::{Heard, Pairs, responses};

/// What every other client hears of these frames, streamed and whole.
async fn each(frames: &[String], check: impl Fn(&str, &str, &Heard)) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "responses") {
        for stream in [true, false] {
            let heard = pairs.hear("responses", door, stream, frames).await;
            let what = format!("{door}, stream {stream}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            check(door, &what, &heard);
        }
    }
}

async fn assert_text(frames: &[String], text: &str) {
    each(frames, |_, what, heard| assert_eq!(heard.text, text, "{what}")).await;
}

fn message(text: &str) -> Value {
    responses::message(&[responses::text_part(text)])
}

/// A whole stream around these events, whose response repeats these items.
fn around(said: &[Value], output: &[Value]) -> Vec<String> {
    events(&responses::stream(said, responses::completed(output)))
}

#[tokio::test]
async fn a_text_may_come_whole_at_any_of_its_ends() {
    let all = responses::spoken(0, "Rhine");
    let without = |kinds: &[&str]| -> Vec<Value> {
        let left = |event: &&Value| !kinds.iter().any(|kind| event["type"].as_str().unwrap().contains(kind));
        all.iter().filter(left).cloned().collect()
    };
    for said in [
        without(&["text.delta"]),
        without(&["output_text"]),
        without(&["output_text", "content_part"]),
        without(&["output_text", "content_part", "added"]),
        Vec::new(),
        without(&["text.done", "part.done"]),
        without(&["text.done", "part.done", "item.done"]),
        without(&["added"]),
        all.clone(),
    ] {
        assert_text(&around(&said, &[message("Rhine")]), "Rhine").await;
    }
}

#[tokio::test]
async fn an_output_that_is_not_repeated_at_the_end_was_heard_all_the_same() {
    assert_text(&around(&responses::spoken(0, "Rhine"), &[]), "Rhine").await;
}

#[tokio::test]
async fn items_are_known_by_their_place_when_their_ids_change() {
    let mut said = [responses::spoken(0, "Rhi"), vec![responses::text(0, "")]].concat();
    said = [said[..3].to_vec(), vec![responses::text(0, "ne")]].concat();
    said.push(responses::done(0, &message("Rhine")));
    let call = responses::call("call_a", "depth", "{\"of\":1}");
    said.push(responses::added(1, &responses::call("call_a", "depth", "")));
    said.extend([responses::arguments(1, "{\"of\""), responses::arguments(1, ":1}")]);
    said.extend([responses::arguments_done(1, "{\"of\":1}"), responses::done(1, &call)]);
    for (number, event) in said.iter_mut().enumerate() {
        let id = json!(format!("rotating{number}"));
        if event.get("item_id").is_some() {
            event["item_id"] = id;
        } else {
            event["item"]["id"] = id;
        }
    }
    each(&around(&said, &[message("Rhine"), call]), |_, what, heard| {
        assert_eq!((heard.text.as_str(), heard.calls()), ("Rhine", vec![("depth", "{\"of\":1}")]), "{what}");
    })
    .await;
}

#[tokio::test]
async fn several_messages_are_one_text_or_a_block_each() {
    let said = [responses::spoken(0, "Rhi"), responses::spoken(1, "ne")].concat();
    each(&around(&said, &[message("Rhi"), message("ne")]), |door, what, heard| {
        assert_eq!(heard.text, "Rhine", "{what}");
        assert!(door != MESSAGES || heard.order == ["text", "text"], "{what}");
    })
    .await;
}

#[tokio::test]
async fn several_parts_of_one_message_are_all_heard() {
    let mut second = responses::text(0, "ne");
    second["content_index"] = json!(1);
    let item = responses::message(&[responses::text_part("Rhi"), responses::text_part("ne")]);
    let said = [
        responses::added(0, &responses::message(&[])),
        responses::text(0, "Rhi"),
        second,
        responses::done(0, &item),
    ];
    assert_text(&around(&said, std::slice::from_ref(&item)), "Rhine").await;
    assert_text(&around(&[responses::done(0, &item)], std::slice::from_ref(&item)), "Rhine").await;
}

#[tokio::test]
async fn items_and_events_that_are_new_are_read_over() {
    let search = json!({"type": "web_search_call", "status": "completed", "action": {"type": "search"}});
    let step = |how: &str| json!({"type": format!("response.web_search_call.{how}"), "item_id": "fc_0", "output_index": 0});
    let mut said = vec![json!({"type": "response.vendor", "x": 1}), responses::added(0, &search)];
    said.extend([step("in_progress"), step("searching"), step("completed"), responses::done(0, &search)]);
    said.extend(responses::spoken(1, "Rhine"));
    each(&around(&said, &[search, message("Rhine")]), |_, what, heard| {
        assert_eq!((heard.text.as_str(), heard.tools.len()), ("Rhine", 0), "{what}");
    })
    .await;
}

#[tokio::test]
async fn events_are_read_without_their_names_and_their_numbers() {
    let mut said =
        responses::stream(&responses::spoken(0, "Rhine"), responses::completed(&[message("Rhine")]));
    for event in &mut said {
        event.as_object_mut().unwrap().remove("sequence_number");
    }
    let frames: Vec<String> = said.iter().map(|event| format!("data:{event}\r\n\r\n")).collect();
    assert_text(&frames, "Rhine").await;
    assert_text(&frames[1..], "Rhine").await;
    assert_text(&frames[2..], "Rhine").await;
}

#[tokio::test]
async fn a_done_of_openais_chat_behind_the_end_harms_nothing() {
    let mut frames = around(&responses::spoken(0, "Rhine"), &[message("Rhine")]);
    frames.push("data: [DONE]\n\n".to_owned());
    assert_text(&frames, "Rhine").await;
    let at = frames.len() - 2;
    frames.swap(at, at + 1);
    assert_text(&frames, "Rhine").await;
}

#[tokio::test]
async fn an_end_without_a_last_event_is_an_error() {
    let mut pairs = Pairs::start(&[]).await;
    let mut frames = around(&responses::spoken(0, "Rhine"), &[message("Rhine")]);
    frames.pop();
    for (door, _) in DOORS {
        let heard = pairs.hear("responses", door, true, &frames).await;
        assert!(heard.failed() && heard.text == "Rhine", "{door}: {heard:?}");
    }
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "responses") {
        let mut answer = pairs.answer("responses", door, false, &frames).await;
        assert_eq!(answer.status, 502, "{door}");
        assert!(answer.json().await["error"].to_string().contains("broke off"), "{door}");
    }
}

#[tokio::test]
async fn a_text_in_the_incomplete_response_is_not_lost() {
    let said = [responses::added(0, &responses::message(&[])), responses::text(0, "Rhi")];
    let end = responses::incomplete(&[message("Rhi")], "max_output_tokens");
    assert_text(&events(&responses::stream(&said, end.clone())), "Rhi").await;
    assert_text(&events(&responses::stream(&[], end)), "Rhi").await;
}

#[tokio::test]
async fn what_is_closed_is_not_said_again() {
    let mut said = responses::spoken(0, "Rhine");
    said.push(responses::done(0, &message("Rhine")));
    said.push(responses::text_done(0, "Rhine"));
    assert_text(&around(&said, &[message("Rhine")]), "Rhine").await;
}

#[tokio::test]
async fn the_number_of_an_error_that_is_told_anew_is_used_again() {
    let mut pairs = Pairs::start(&[]).await;
    let (asked, mut call) =
        pairs.ask("/v1/responses", &crate::support::pairs::request("/v1/responses", "responses", true)).await;
    call.say(&["Rhine"]).await;
    let mut error = responses::error("the runner died");
    error["sequence_number"] = json!(5);
    call.event(&error).await;
    call.finish().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed(), "{heard:?}");
    let numbers: Vec<_> =
        heard.events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
}
