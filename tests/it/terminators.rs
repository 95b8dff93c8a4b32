//! How streams of Anthropic and Responses end where both sides speak the same: with the backend's own last event, with one that
//! it left out, or with an error that clients see.

use serde_json::json;

use crate::support::pairs::{MESSAGES, RESPONSES, request};
use crate::support::{
    Answer, Call, Ending, Gateway, Heard, Upstream, anthropic, begun, gateway_over, responses,
};

/// What is heard of the rest of a stream that has begun.
async fn rest(answer: &mut Answer) -> (Vec<(Option<String>, serde_json::Value)>, Ending) {
    let (events, ending) = answer.events().await;
    (events.iter().map(|event| (event.name.clone(), event.json())).collect(), ending)
}

/// A stream with the text `Rhine` on its way, none of it read.
async fn on_its_way(api: &str, door: &str) -> (Gateway, Upstream, Answer, Call) {
    let (gateway, mut upstream) = gateway_over(api, &[]).await;
    let asked = gateway.ask_post(door, &request(door, "m", true)).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    (gateway, upstream, asked.answer().await, call)
}

#[tokio::test]
async fn a_normal_end_has_its_last_event_once() {
    for (api, door) in [("anthropic", MESSAGES), ("responses", RESPONSES)] {
        let (gateway, _upstream, mut answer, call) = on_its_way(api, door).await;
        call.end().await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.succeeded() && heard.text == "Rhine", "{door}: {heard:?}");
        gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
        answer.reuse();
    }
}

#[tokio::test]
async fn a_message_that_gave_its_reason_gets_its_message_stop() {
    let (_gateway, _upstream, mut answer, mut call) = on_its_way("anthropic", MESSAGES).await;
    call.event(&anthropic::close(0)).await;
    call.event(&anthropic::stopped("end_turn", &json!({"output_tokens": 4}))).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded() && heard.finish == ["end_turn"], "{heard:?}");
}

#[tokio::test]
async fn a_message_that_is_cut_behind_its_reason_is_broken_off() {
    let (_gateway, _upstream, mut answer, mut call) = on_its_way("anthropic", MESSAGES).await;
    call.event(&anthropic::close(0)).await;
    call.event(&anthropic::stopped("end_turn", &json!({"output_tokens": 4}))).await;
    call.cut().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
}

#[tokio::test]
async fn a_message_without_its_reason_is_an_error() {
    let (_gateway, _upstream, mut answer, call) = begun("anthropic", &[]).await;
    call.finish().await;
    let (events, ending) = rest(&mut answer).await;
    assert_eq!(ending, Ending::Aborted);
    let [(name, error)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((name.as_deref(), &error["type"]), (Some("error"), &json!("error")));
    assert_eq!(error["error"]["type"], "api_error");
}

#[tokio::test]
async fn a_response_without_its_last_event_is_an_error() {
    let (_gateway, _upstream, mut answer, call) = on_its_way("responses", RESPONSES).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.code() == Some("upstream_truncated"), "{heard:?}");
    let last = heard.events.last().unwrap();
    assert_eq!((&last["response"]["id"], &last["sequence_number"]), (&json!("resp_it7"), &json!(6)));
    assert_eq!(last["response"]["model"], "m-2026");
}

#[tokio::test]
async fn the_error_of_a_message_passes_as_it_is() {
    let (_gateway, _upstream, mut answer, mut call) = begun("anthropic", &[]).await;
    let frame = "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}, \"x\":1.0}\n\n";
    call.chunk(frame).await;
    let (events, ending) = answer.events().await;
    assert_eq!((events.len(), ending), (1, Ending::Aborted));
    assert_eq!(events[0].raw, frame);
}

#[tokio::test]
async fn an_error_without_a_name_is_given_one_for_anthropics_clients() {
    for data in [
        json!({"error": {"code": 500, "message": "the slot died", "type": "server_error"}}), // llama.cpp
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "the slot died"}}),
    ] {
        let (_gateway, _upstream, mut answer, mut call) = begun("anthropic", &[]).await;
        call.sse(&data).await;
        call.finish().await;
        let (events, ending) = rest(&mut answer).await;
        let [(name, error)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((name.as_deref(), &error["type"]), (Some("error"), &json!("error")), "{data}");
        assert_eq!(error["error"]["message"], "the slot died", "{data}");
        let kind = error["error"]["type"].as_str().unwrap();
        assert_eq!(kind, if data.get("type").is_some() { "overloaded_error" } else { "api_error" }, "{data}");
        assert_eq!(ending, Ending::Aborted);
    }
}

#[tokio::test]
async fn an_error_of_responses_and_its_failed_response_pass_as_they_are() {
    let (_gateway, _upstream, mut answer, mut call) = begun("responses", &[]).await;
    let mut both =
        [responses::error("the runner died"), responses::failed("server_error", "the runner died")];
    (both[0]["sequence_number"], both[1]["sequence_number"]) = (json!(5), json!(6));
    for event in &both {
        call.event(event).await;
    }
    let (events, ending) = rest(&mut answer).await;
    let told: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(told.as_slice(), both.as_slice());
    assert_ne!(ending, Ending::Aborted, "`response.failed` ends the stream");
}

#[tokio::test]
async fn a_failed_response_without_an_error_event_is_told_so_that_clients_see_it() {
    // Only a nested error makes all of OpenAI's clients raise.
    let (_gateway, _upstream, mut answer, mut call) = on_its_way("responses", RESPONSES).await;
    let mut failed = responses::failed("server_error", "the runner died");
    failed["sequence_number"] = json!(5);
    call.event(&failed).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed() && heard.message().contains("the runner died"), "{heard:?}");
    let nested = heard.events.iter().any(|event| event["error"]["message"] == "the runner died");
    assert!(nested, "{heard:?}");
}

#[tokio::test]
async fn a_flat_error_of_responses_is_told_so_that_clients_see_it() {
    let (_gateway, _upstream, mut answer, mut call) = on_its_way("responses", RESPONSES).await;
    call.event(&json!({
        "type": "error", "code": "server_error", "message": "the runner died", "param": null, "sequence_number": 5
    }))
    .await;
    let mut failed = responses::failed("server_error", "the runner died");
    failed["sequence_number"] = json!(6);
    call.event(&failed).await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.failed(), "{heard:?}");
    let nested = heard.events.iter().any(|event| event["error"]["message"] == "the runner died");
    assert!(nested, "{heard:?}");
}

#[tokio::test]
async fn nothing_behind_the_last_event_is_passed_on_but_a_done_behind_a_response() {
    for (api, door, dones) in [("anthropic", MESSAGES, 1), ("responses", RESPONSES, 2)] {
        let (_gateway, _upstream, mut answer, mut call) = on_its_way(api, door).await;
        let mut end = crate::support::script::ending(&call.path, &["Rhine".to_owned()]).concat();
        end.push_str("data: [DONE]\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nrubbish");
        call.chunk(end).await;
        call.finish().await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.error.is_none() && !heard.aborted && heard.done == dones, "{door}: {heard:?}");
        assert!(heard.events.iter().all(|event| event["type"] != "ping"), "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn an_event_over_the_limit_is_told_and_what_came_before_is_kept() {
    for (api, door) in [("anthropic", MESSAGES), ("responses", RESPONSES)] {
        let (gateway, mut upstream) = gateway_over(api, &["max_event_bytes = \"8KiB\""]).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.say(&["Rhine"]).await;
        call.event(&json!({"type": "vendor", "x": "x".repeat(16 * 1024)})).await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.text == "Rhine", "{door}: {heard:?}");
        call.closed().await;
    }
}
