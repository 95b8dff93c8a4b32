//! Anthropic's events as servers send them, in front of clients of other dialects: what is new, what is missing, what is odd.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, RESPONSES};
use crate::support::script::events;
use crate::support::{Heard, Pairs, anthropic};

/// What every other client hears of these frames, streamed and whole.
async fn each(frames: &[String], check: impl Fn(&str, &str, &Heard)) {
    let mut pairs = Pairs::start(&[]).await;
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "anthropic") {
        for stream in [true, false] {
            let heard = pairs.hear("anthropic", door, stream, frames).await;
            let what = format!("{door}, stream {stream}: {heard:?}");
            assert!(heard.succeeded(), "{what}");
            check(door, &what, &heard);
        }
    }
}

async fn assert_text(frames: &[String], text: &str) {
    each(frames, |_, what, heard| assert_eq!(heard.text, text, "{what}")).await;
}

/// The events of a block with this text.
fn block(index: usize, text: &str) -> Vec<Value> {
    vec![anthropic::open_text(index), anthropic::text(index, text), anthropic::close(index)]
}

fn plain() -> Vec<Value> {
    anthropic::stream(&block(0, "Rhine"), "end_turn")
}

#[tokio::test]
async fn pings_may_stand_anywhere_and_are_shown_to_nobody() {
    let mut said = Vec::new();
    for event in plain() {
        said.extend([anthropic::ping(), event]);
    }
    each(&events(&said), |_, what, heard| {
        assert_eq!(heard.text, "Rhine", "{what}");
        assert!(heard.events.iter().all(|event| event["type"] != "ping"), "{what}");
    })
    .await;
}

#[tokio::test]
async fn events_blocks_and_deltas_that_are_new_are_read_over() {
    let server = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let mut said = vec![json!({"type": "vendor_event", "x": 1}), anthropic::open(0, &server)];
    said.extend([anthropic::input(0, "{\"query\":\"Rhine\"}"), anthropic::close(0)]);
    said.extend([anthropic::open(1, &result), anthropic::close(1), anthropic::open_text(2)]);
    said.push(anthropic::delta(2, &json!({"type": "vendor_delta", "x": 1})));
    said.extend([anthropic::text(2, "Rhine"), anthropic::close(2)]);
    each(&events(&anthropic::stream(&said, "end_turn")), |_, what, heard| {
        assert_eq!((heard.text.as_str(), heard.tools.len()), ("Rhine", 0), "{what}");
    })
    .await;
}

#[tokio::test]
async fn a_start_that_is_said_twice_is_one() {
    let mut said = plain();
    said.insert(1, said[0].clone());
    assert_text(&events(&said), "Rhine").await;
}

#[tokio::test]
async fn a_second_message_in_the_same_stream_is_an_error() {
    let mut pairs = Pairs::start(&[]).await;
    let mut said = plain();
    said.insert(4, anthropic::start_of("msg_other", &anthropic::counts()));
    for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != "anthropic") {
        let heard = pairs.hear("anthropic", door, true, &events(&said)).await;
        assert!(heard.failed() && heard.text == "Rhine", "{door}: {heard:?}");
        let answer = pairs.answer("anthropic", door, false, &events(&said)).await;
        assert_eq!(answer.status, 502, "{door}");
    }
}

#[tokio::test]
async fn an_end_behind_the_stop_reason_is_one_without_message_stop() {
    let mut said = plain();
    said.pop();
    assert_text(&events(&said), "Rhine").await;
}

#[tokio::test]
async fn message_stop_is_an_end_without_a_stop_reason() {
    let mut said = plain();
    said.remove(said.len() - 2);
    assert_text(&events(&said), "Rhine").await;
}

#[tokio::test]
async fn a_done_of_openai_behind_the_end_harms_nothing() {
    for at in [plain().len(), plain().len() - 1] {
        let mut frames = events(&plain());
        frames.insert(at, "data: [DONE]\n\n".to_owned());
        assert_text(&frames, "Rhine").await;
    }
}

#[tokio::test]
async fn events_are_read_without_their_names_their_spaces_and_with_other_line_ends() {
    let written = |write: fn(&Value) -> String| plain().iter().map(write).collect::<Vec<_>>();
    assert_text(&written(|event| format!("data: {event}\n\n")), "Rhine").await;
    assert_text(&written(|event| format!("data:{event}\n\n")), "Rhine").await;
    let crlf = |event: &Value| format!("event:{}\r\ndata:{event}\r\n\r\n", event["type"].as_str().unwrap());
    assert_text(&written(crlf), "Rhine").await;
    assert_text(&written(|event| format!("id: 7\nretry: 9\n: c\ndata: {event}\r\r")), "Rhine").await;
    let mut frames = events(&plain());
    let last = frames.last_mut().unwrap();
    *last = last.trim_end().to_owned();
    frames[0].insert(0, '\u{feff}');
    assert_text(&frames, "Rhine").await;
}

#[tokio::test]
async fn a_block_that_is_never_closed_is_closed_by_the_end() {
    let said = [anthropic::open_text(0), anthropic::text(0, "Rhine")];
    assert_text(&events(&anthropic::stream(&said, "end_turn")), "Rhine").await;
}

#[tokio::test]
async fn several_blocks_of_text_are_one_text() {
    let said = [block(0, "Rhi"), block(1, "ne")].concat();
    assert_text(&events(&anthropic::stream(&said, "end_turn")), "Rhine").await;
}

#[tokio::test]
async fn an_empty_block_makes_no_noise() {
    let said =
        [vec![anthropic::open_text(0), anthropic::text(0, ""), anthropic::close(0)], block(1, "Rhine")];
    each(&events(&anthropic::stream(&said.concat(), "end_turn")), |door, what, heard| {
        assert_eq!(heard.text, "Rhine", "{what}");
        let empty = |event: &&Value| event["choices"][0]["delta"]["content"] == "";
        let count = heard.events.iter().filter(empty).count();
        assert!(door != CHAT || count <= 1, "only the role has none: {what}");
    })
    .await;
}

/// A text with a citation of a page.
fn cited() -> Vec<String> {
    let citation = json!({
        "type": "web_search_result_location", "cited_text": "The Rhine is long.", "url": "https://rhine.example/",
        "title": "Rhine", "encrypted_index": "Eo8B"
    });
    let said = [
        anthropic::open_text(0),
        anthropic::delta(0, &json!({"type": "citations_delta", "citation": citation})),
        anthropic::text(0, "Rhine"),
        anthropic::close(0),
    ];
    events(&anthropic::stream(&said, "end_turn"))
}

#[tokio::test]
async fn a_citation_does_not_stand_in_the_way_of_its_text() {
    assert_text(&cited(), "Rhine").await;
}

#[tokio::test]
async fn a_citation_is_told_where_there_is_a_word_for_it() {
    let mut pairs = Pairs::start(&[]).await;
    for (door, wanted) in [(CHAT, "url_citation"), (RESPONSES, "response.output_text.annotation.added")] {
        let heard = pairs.hear("anthropic", door, true, &cited()).await;
        let all = json!(heard.events).to_string();
        assert!(all.contains(wanted) && all.contains("https://rhine.example/"), "{door}: {all}");
    }
}
