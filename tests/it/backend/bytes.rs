//! The bytes decide what an answer is, not its label, and not what was asked for.

use serde_json::json;

use super::{assert_heard, request, whole};
use crate::support::pairs::{APIS, CHAT, DOORS, pairs};
use crate::support::script::{Part, Reason, script};
use crate::support::{Heard, Pairs, door_of, gateway_over, prompt};

const PARTS: [Part; 3] = [
    Part::Thought(&["When", "?"]),
    Part::Text(&["At ", "nine."]),
    Part::Call("call_a", "dive", &["{\"depth\":", "7.5}"]),
];

#[tokio::test]
async fn a_whole_answer_where_a_stream_was_asked_is_told_as_a_stream() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, same) in pairs() {
        let labels =
            ["application/json", "text/event-stream", "text/plain", "application/json; charset=utf-8"];
        for (label, pretty) in labels.into_iter().zip([false, true, false, true]) {
            for stream in [true, false] {
                if api == "ollama" && (pretty || same) || !stream && same {
                    continue; // one line is a stream there, and a whole answer was asked for here
                }
                let (asked, call) = all.ask(door, &request(door, api, stream)).await;
                let body = whole(api);
                let body =
                    if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
                call.answer_as(200, label, &body).await;
                let what = format!("{door} over {api}, {label}, stream {stream}");
                assert_heard(asked.answer().await, stream, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_a_whole_answer_is_lost_in_its_own_dialect() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut body = whole("openai");
    let second = json!({"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "Ten."},
                        "logprobs": {"content": []}});
    body["choices"].as_array_mut().unwrap().push(second);
    let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
    upstream.call().await.answer(200, &body).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    let events = json!(heard.events);
    let all = events.to_string();
    for part in [
        "\"timings\":{\"predicted_n\":2}",
        "\"Ten.\"",
        "\"logprobs\":{\"content\":[]}",
        "\"prompt_tokens\":5",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!all.contains("\"message\""), "{all}");

    let (gateway, mut upstream) = gateway_over("anthropic", &[]).await;
    let mut body = whole("anthropic");
    let search = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]});
    body["content"].as_array_mut().unwrap().insert(0, search.clone());
    let asked = gateway.ask_post(door_of("anthropic"), &request(door_of("anthropic"), "m", true)).await;
    upstream.call().await.answer(200, &body).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!(heard.events[1]["content_block"], search);
}

#[tokio::test]
async fn events_are_read_as_events_whatever_they_are_called() {
    let mut all = Pairs::start(&[]).await;
    for (api, door, _) in pairs() {
        for label in ["application/json", "text/plain", "application/octet-stream", "text/html"] {
            let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
            call.head(200, label).await;
            for frame in script(api, &PARTS, Reason::Calls) {
                call.chunk(frame).await;
            }
            call.finish().await;
            assert_heard(asked.answer().await, true, &format!("{door} over {api}, {label}")).await;
        }
    }
}

#[tokio::test]
async fn events_without_any_label_are_read_as_events() {
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        let (asked, mut call) = all.ask(door, &request(door, "openai", true)).await;
        call.send(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n").await;
        call.chunk("\n\n: hello\n").await;
        for frame in script("openai", &PARTS, Reason::Calls) {
            call.chunk(frame).await;
        }
        call.finish().await;
        assert_heard(asked.answer().await, true, door).await;
    }
}

#[tokio::test]
async fn a_byte_order_mark_may_come_in_pieces() {
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        for at in 0..=3 {
            let (asked, mut call) = all.ask(door, &request(door, "openai", true)).await;
            call.stream().await;
            let mark = "\u{feff}".as_bytes();
            let said = script("openai", &PARTS, Reason::Calls).concat();
            if at > 0 {
                call.chunk(&mark[..at]).await;
            }
            call.chunk([&mark[at..], said.as_bytes()].concat()).await;
            call.finish().await;
            assert_heard(asked.answer().await, true, &format!("{door}, cut at {at}")).await;
        }
    }
}

#[tokio::test]
async fn a_stream_where_a_whole_answer_was_asked_is_gathered() {
    let mut all = Pairs::start(&[]).await;
    for api in APIS {
        let door = door_of(api);
        for label in ["text/event-stream", "application/json"] {
            let (asked, mut call) = all.ask(door, &request(door, api, false)).await;
            call.head(200, label).await;
            for frame in script(api, &PARTS, Reason::Calls) {
                call.chunk(frame).await;
            }
            call.finish().await;
            assert_heard(asked.answer().await, false, &format!("{door}, {label}")).await;
        }
    }
}

#[tokio::test]
async fn a_whole_answer_that_failed_is_no_success() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (door, _) in DOORS {
        let (asked, call) = all.ask(door, &request(door, "responses", true)).await;
        let mut body = whole("responses");
        body["status"] = json!("failed");
        body["error"] = json!({"code": "server_error", "message": "the runner died"});
        call.answer(200, &body).await;
        let mut answer = asked.answer().await;
        let told = answer.json().await;
        assert_eq!(answer.status, 502, "{door}: {told}");
        assert!(super::words(&told).contains("the runner died"), "{door}: {told}");
    }
}

#[tokio::test]
async fn a_completion_where_a_stream_was_asked_is_one_event_of_it() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked =
        gateway.ask_post("/v1/completions", &json!({"model": "m", "prompt": "a", "stream": true})).await;
    let choice = json!({"index": 0, "text": "At nine.", "finish_reason": "stop"});
    upstream.call().await.answer(200, &json!({"object": "text_completion", "choices": [choice]})).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.events[0]["choices"][0]["text"], "At nine.");
}
