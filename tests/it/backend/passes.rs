//! What a backend says beside the answer reaches a client of its own API.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES, request};
use crate::support::script::{Part, Reason, script};
use crate::support::{Ending, Heard, Pairs, chat, door_of, gateway_over, openai};

#[tokio::test]
async fn what_stands_beside_the_usage_reaches_a_client_that_did_not_ask_for_usage() {
    for (beside, value) in [
        ("timings", json!({"predicted_n": 1, "predicted_ms": 1.5})),
        ("cost", json!(0.25)),
        ("time_info", json!({"queue_time": 0.1})),
    ] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask_post(CHAT, &chat()).await;
        let mut call = upstream.call().await;
        call.say(&["Neva"]).await;
        call.sse(&openai::finish("stop")).await;
        let mut usage = openai::usage(13, 1);
        usage[beside] = value.clone();
        call.sse(&usage).await;
        call.done().await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.succeeded() && heard.text == "Neva", "{heard:?}");
        let last = heard.events.last().unwrap();
        assert_eq!((&last[beside], last.get("usage")), (&value, None), "{last}");
        // Naive clients look at the first choice of every chunk.
        assert!(heard.events.iter().all(|event| event["choices"][0]["delta"].is_object()), "{heard:?}");
        gateway.metric_reaches("streamgate_tokens_total", &["kind=\"input\""], 13.0).await;
    }
}

#[tokio::test]
async fn a_chunk_of_usage_alone_is_hidden_whole() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Neva"]).await;
    call.sse(&openai::finish("stop")).await;
    let mut usage = openai::usage(13, 1);
    (usage["system_fingerprint"], usage["service_tier"]) = (json!("b11549"), Value::Null);
    call.sse(&usage).await;
    call.done().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert_eq!(heard.events.last(), Some(&openai::finish("stop")));
}

#[tokio::test]
async fn the_parameters_of_an_event_streams_label_are_kept() {
    for (api, label) in [
        ("openai", "text/event-stream; charset=utf-8"),
        ("anthropic", "text/event-stream; charset=utf-8"),
        ("responses", "Text/Event-Stream;charset=UTF-8"),
        ("openai", "text/event-stream; charset=utf-8; v=2"),
    ] {
        let (gateway, mut upstream) = gateway_over(api, &["commit_after = \"30s\""]).await;
        let door = door_of(api);
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.head(200, label).await;
        for frame in script(api, &[Part::Text(&["Neva"])], Reason::Stop) {
            call.chunk(frame).await;
        }
        call.finish().await;
        let answer = asked.answer().await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(label)), "{api}");
    }
}

#[tokio::test]
async fn a_charset_is_told_to_clients_of_other_apis_and_no_other_parameter() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (label, wanted) in [
        ("text/event-stream; charset=utf-8", "text/event-stream; charset=utf-8"),
        ("text/event-stream; charset=\"UTF-8\"", "text/event-stream; charset=utf-8"),
        ("text/event-stream; v=2", "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
    ] {
        for door in [MESSAGES, RESPONSES, OLLAMA] {
            let (asked, mut call) = all.ask(door, &request(door, "openai", true)).await;
            call.head(200, label).await;
            for frame in script("openai", &[Part::Text(&["Neva"])], Reason::Stop) {
                call.chunk(frame).await;
            }
            call.finish().await;
            let wanted = if door == OLLAMA { "application/x-ndjson" } else { wanted };
            assert_eq!(asked.answer().await.header("content-type"), Some(wanted), "{door}, {label}");
        }
    }
}

#[tokio::test]
async fn a_done_behind_the_end_of_a_response_passes() {
    for together in [true, false] {
        let (gateway, mut upstream) = gateway_over("responses", &[]).await;
        let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
        let mut call = upstream.call().await;
        call.stream().await;
        let frames = script("responses", &[Part::Text(&["Neva"])], Reason::Stop);
        let sent = frames.concat() + "data: [DONE]\n\n";
        if together {
            call.chunk(&sent).await;
        } else {
            call.chunk(frames.concat()).await;
            call.chunk("data: [DONE]\n\n").await;
        }
        call.finish().await;
        let (body, ending) = asked.answer().await.rest().await;
        let body = String::from_utf8_lossy(&body);
        assert!(body.ends_with("data: [DONE]\n\n"), "{together}: {body}");
        assert_eq!((body.as_ref(), ending), (sent.as_str(), Ending::Clean));
    }
}

#[tokio::test]
async fn a_response_with_a_done_behind_it_can_be_read_again() {
    let (gateway, mut upstream) = gateway_over("responses", &[]).await;
    let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.chunk(script("responses", &[Part::Text(&["Neva"])], Reason::Stop).concat() + "data: [DONE]\n\n")
        .await;
    call.finish().await;
    let (events, _) = asked.answer().await.events().await;
    let id = events[0].json()["response"]["id"].as_str().unwrap().to_owned();
    let again = gateway.get(&format!("/v1/responses/{id}")).await.json().await;
    assert_eq!((&again["status"], &again["id"]), (&json!("completed"), &json!(id)), "{again}");
}

/// OpenAI's own streams have none.
#[tokio::test]
async fn a_done_is_added_once_for_a_client_that_waits_for_it() {
    for (api, own) in [("openai", ""), ("ollama", ""), ("responses", ""), ("responses", "data: [DONE]\n\n")] {
        for (wanted, lines) in [(true, &["responses_done = true"][..]), (false, &[])] {
            let (gateway, mut upstream) = gateway_over(api, lines).await;
            let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
            let mut call = upstream.call().await;
            call.stream().await;
            call.chunk(script(api, &[Part::Text(&["Neva"])], Reason::Stop).concat() + own).await;
            call.finish().await;
            let (body, ending) = asked.answer().await.rest().await;
            let body = String::from_utf8_lossy(&body);
            let expected = usize::from(wanted || !own.is_empty());
            assert_eq!(body.matches("data: [DONE]\n\n").count(), expected, "{api}, {lines:?}: {body}");
            assert_eq!(
                (body.ends_with("[DONE]\n\n"), ending),
                (expected == 1, Ending::Clean),
                "{api}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_done_behind_the_end_of_a_response_is_nothing_to_other_clients() {
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        let mut frames = script("responses", &[Part::Text(&["Neva"])], Reason::Stop);
        frames.push("data: [DONE]\n\n".to_owned());
        let heard = all.hear("responses", door, true, &frames).await;
        assert_eq!(heard.text, "Neva", "{door}");
        assert!(heard.error.is_none() && !heard.aborted, "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn a_picture_of_six_megabytes_passes_as_one_event() {
    let picture = format!("data:image/png;base64,{}", "A".repeat(6 << 20));
    let image = json!({"type": "image_url", "image_url": {"url": picture}});
    let chunk = openai::delta(&json!({"role": "assistant", "content": "Here.", "images": [image]}));
    let frames = [
        format!("data: {chunk}\n\n"),
        format!("data: {}\n\n", openai::finish("stop")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let mut all = Pairs::start(&[]).await;
    for (door, _) in DOORS {
        let heard = all.hear("openai", door, true, &frames).await;
        assert!(heard.error.is_none() && heard.text == "Here.", "{door}: {:?}", heard.error);
        if door == CHAT {
            assert_eq!(heard.events[0], chunk);
        }
    }
}
