//! What stands in an answer beside its content, and content of kinds that a client's API may lack: told, or named in the log and
//! counted, and never the end of an answer that is well.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, DOORS, MESSAGES, OLLAMA, RESPONSES};
use crate::support::script::{chat, events, lines};
use crate::support::{Heard, Pairs, anthropic, ollama, openai, responses};

const LEFT_OUT: &str = "streamgate_answer_parts_left_out_total";

/// The event with a member that nobody knows, at this place (RFC 6901).
fn with(mut event: Value, at: &str, name: &str) -> Value {
    event.pointer_mut(at).unwrap()[name] = json!({"secret": 1});
    event
}

/// An answer that says `Rhine`, with such members at every level, and how many names they have.
fn strange(api: &str) -> (Vec<String>, f64) {
    match api {
        "openai" => {
            let call = openai::tool(0, "a", "f", "{}");
            let call = with(call, "/choices/0/delta/tool_calls/0", "call_x");
            let said = [
                with(openai::text("Rhi"), "", "chunk_x"),
                with(openai::text("ne"), "", "chunk_x"),
                with(openai::text(""), "/choices/0", "choice_x"),
                with(call, "/choices/0/delta/tool_calls/0/function", "function_x"),
                openai::finish("tool_calls"),
            ];
            (chat(&said), 4.0)
        }
        "anthropic" => {
            let said = [
                with(anthropic::open_text(0), "/content_block", "block_x"),
                with(anthropic::text(0, "Rhi"), "/delta", "delta_x"),
                with(anthropic::text(0, "ne"), "/delta", "delta_x"),
                with(anthropic::close(0), "", "event_x"),
            ];
            let mut all = anthropic::stream(&said, "end_turn");
            all[0] = with(all[0].clone(), "/message", "message_x");
            (events(&all), 4.0)
        }
        "responses" => {
            let said = responses::spoken(0, "Rhine").into_iter().map(|event| match event["type"].as_str() {
                Some("response.output_text.delta") => with(event, "", "event_x"),
                Some("response.output_item.done") => with(event, "/item", "phase"),
                _ => event,
            });
            let said: Vec<Value> = said.collect();
            (events(&responses::stream(&said, responses::completed(&[]))), 2.0)
        }
        _ => {
            let said = [ollama::text("Rhi"), ollama::text("ne")].map(|line| with(line, "", "line_x"));
            (lines(&[&said[..], &[ollama::done("stop")]].concat()), 1.0)
        }
    }
}

#[tokio::test]
async fn members_that_nobody_knows_are_counted_once_an_answer_and_change_nothing() {
    for api in ["openai", "anthropic", "responses", "ollama"] {
        let mut pairs = Pairs::start(&[]).await;
        let (frames, names) = strange(api);
        let mut wanted = 0.0;
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            for stream in [true, false] {
                let heard = pairs.hear(api, door, stream, &frames).await;
                let what = format!("{door} over {api}, stream {stream}: {heard:?}");
                assert!(heard.succeeded() && heard.text == "Rhine", "{what}");
                wanted += names;
                pairs.gateway.metric_reaches(LEFT_OUT, &[], wanted).await;
                let found = pairs.gateway.metric(LEFT_OUT, &[]).await;
                assert!((found - wanted).abs() < 0.1, "{found}, not {wanted}: {what}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_empty_but_for_such_members_is_what_it_was() {
    let mut pairs = Pairs::start(&[]).await;
    let mut end = openai::finish("stop");
    end["provider"] = json!("Somebody");
    for door in [MESSAGES, RESPONSES, OLLAMA] {
        let heard = pairs.hear("openai", door, true, &chat(&[end.clone()])).await;
        assert!(heard.succeeded(), "{door}: {heard:?}");
    }
}

/// One pixel.
const PIXEL: &str = super::PNG;

fn pictured(api: &str) -> Vec<String> {
    let url = format!("data:image/png;base64,{PIXEL}");
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    match api {
        "openai" => chat(&[
            openai::text("Look: "),
            openai::delta(&json!({"images": [image]})),
            openai::text("nice."),
            openai::finish("stop"),
        ]),
        "parts" => chat(&[
            openai::delta(
                &json!({"content": [{"type": "text", "text": "Look: "}, image, {"type": "text", "text": "nice."}]}),
            ),
            openai::finish("stop"),
        ]),
        "responses" => {
            let item = |status: &str, result: Value| json!({"type": "image_generation_call", "id": "ig_1", "status": status, "result": result});
            let mut said = responses::spoken(0, "Look: ");
            said.push(json!({"type": "response.output_item.added", "output_index": 1, "item": item("in_progress", json!(null))}));
            said.push(json!({"type": "response.image_generation_call.generating", "output_index": 1, "item_id": "ig_1"}));
            said.push(json!({"type": "response.output_item.done", "output_index": 1, "item": item("completed", json!(PIXEL))}));
            said.extend(responses::spoken(2, "nice."));
            events(&responses::stream(&said, responses::completed(&[])))
        }
        _ => {
            let mut picture = ollama::text("");
            picture["message"]["images"] = json!([PIXEL]);
            let said = [ollama::text("Look: "), picture, ollama::text("nice."), ollama::done("stop")];
            lines(&said)
        }
    }
}

/// All strings in it that hold the picture.
fn pictures(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains(PIXEL) => found.push(text.clone()),
        Value::Object(members) => members.values().for_each(|inner| pictures(inner, found)),
        Value::Array(items) => items.iter().for_each(|inner| pictures(inner, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn a_picture_reaches_every_client_that_has_a_place_for_it() {
    let mut pairs = Pairs::start(&[]).await;
    for (form, api) in
        [("openai", "openai"), ("parts", "openai"), ("responses", "responses"), ("ollama", "ollama")]
    {
        for (door, _) in DOORS.into_iter().filter(|(_, own)| *own != api) {
            for stream in [true, false] {
                let mut answer = pairs.answer(api, door, stream, &pictured(form)).await;
                let (said, text) = if stream {
                    let heard = Heard::of(&mut answer).await;
                    assert!(heard.succeeded(), "{door} over {form}: {heard:?}");
                    (json!(heard.events), heard.text)
                } else {
                    let said = answer.json().await;
                    let text = Heard::of_whole(&said).text;
                    (said, text)
                };
                let what = format!("{door} over {form}, stream {stream}: {said}");
                assert_eq!(text, "Look: nice.", "{what}");
                let mut found = Vec::new();
                pictures(&said, &mut found);
                match door {
                    MESSAGES => assert!(found.is_empty(), "{what}"),
                    CHAT => assert_eq!(found, [format!("data:image/png;base64,{PIXEL}")], "{what}"),
                    // An item is told at its end, and again with the response.
                    RESPONSES => assert_eq!(found, vec![PIXEL; if stream { 2 } else { 1 }], "{what}"),
                    _ => assert_eq!(found, [PIXEL], "{what}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_nothing_but_a_picture_is_no_success_where_there_is_no_place_for_it() {
    let mut pairs = Pairs::start(&[]).await;
    let image = json!({"image_url": {"url": format!("data:image/png;base64,{PIXEL}")}});
    let alone = chat(&[openai::delta(&json!({"images": [image]})), openai::finish("stop")]);
    let heard = pairs.hear("openai", MESSAGES, true, &alone).await;
    assert!(heard.failed() && heard.error.as_ref().unwrap().to_string().contains("image"), "{heard:?}");
    for door in [RESPONSES, OLLAMA] {
        let heard = pairs.hear("openai", door, true, &alone).await;
        assert!(heard.succeeded(), "{door}: {heard:?}");
    }
}

#[tokio::test]
async fn a_stop_reason_that_is_new_is_named_and_no_success_of_nothing() {
    let mut pairs = Pairs::start(&[]).await;
    let text = [anthropic::open_text(0), anthropic::text(0, "Rhine"), anthropic::close(0)];
    let heard = pairs.hear("anthropic", CHAT, true, &events(&anthropic::stream(&text, "brand_new"))).await;
    assert!(heard.succeeded() && heard.finish == ["stop"], "{heard:?}");
    pairs.gateway.metric_reaches(LEFT_OUT, &[], 1.0).await;
    let heard = pairs.hear("anthropic", CHAT, true, &events(&anthropic::stream(&[], "brand_new"))).await;
    assert!(heard.failed() && heard.error.unwrap().to_string().contains("brand_new"));
}

#[tokio::test]
async fn what_a_model_took_to_sum_up_is_counted() {
    let mut pairs = Pairs::start(&[]).await;
    let mut all = anthropic::stream(
        &[anthropic::open_text(0), anthropic::text(0, "Rhine"), anthropic::close(0)],
        "end_turn",
    );
    let at = all.iter().position(|event| event["type"] == "message_delta").unwrap();
    all[at]["usage"] = json!({
        "input_tokens": 10, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 5},
        "iterations": [
            {"type": "compaction", "input_tokens": 1000, "output_tokens": 100},
            {"type": "message", "input_tokens": 10, "output_tokens": 20}
        ]
    });
    let heard = pairs.hear("anthropic", CHAT, true, &events(&all)).await;
    let usage = &heard.usage.as_ref().unwrap()["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(1010), &json!(120)),
        "{usage}"
    );
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 5);
}

#[tokio::test]
async fn what_was_thought_is_counted_for_clients_of_anthropic() {
    let mut pairs = Pairs::start(&[]).await;
    let mut end = openai::finish("stop");
    end["usage"] = json!({
        "prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}
    });
    let heard = pairs.hear("openai", MESSAGES, true, &chat(&[openai::text("Rhine"), end])).await;
    let usage = &heard.usage.as_ref().unwrap()["usage"];
    assert_eq!(usage["output_tokens_details"]["thinking_tokens"], 4, "{usage}");
}

#[tokio::test]
async fn pages_that_a_search_of_openais_found_are_citations() {
    let mut pairs = Pairs::start(&[]).await;
    let action = json!({"type": "search", "query": "Rhine", "sources": [
        {"type": "url", "url": "https://a.example/"}, {"type": "url", "url": "https://b.example/"}
    ]});
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action});
    let mut said = vec![json!({"type": "response.output_item.done", "output_index": 0, "item": search})];
    let mut spoken = responses::spoken(1, "Rhine");
    let at = spoken.iter().position(|event| event["type"] == "response.output_text.done").unwrap();
    let cited = json!({"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 5});
    spoken.insert(at, json!({
        "type": "response.output_text.annotation.added", "item_id": "msg_it7", "output_index": 1, "content_index": 0,
        "annotation_index": 0, "annotation": cited
    }));
    said.extend(spoken);
    for (door, kind) in [(CHAT, "url_citation"), (MESSAGES, "web_search_result_location")] {
        let frames = events(&responses::stream(&said, responses::completed(&[])));
        let heard = pairs.hear("responses", door, true, &frames).await;
        let told = json!(heard.events).to_string();
        assert!(heard.succeeded() && heard.text == "Rhine", "{door}: {told}");
        for url in ["https://a.example/", "https://b.example/"] {
            assert_eq!(told.matches(url).count(), 1, "{door}, {url}: {told}");
        }
        assert!(told.contains(kind), "{door}: {told}");
    }
}

#[tokio::test]
async fn citations_of_a_message_that_comes_whole_are_told() {
    let mut pairs = Pairs::start(&[]).await;
    let cited = json!({"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 5});
    let part = json!({"type": "output_text", "text": "Rhine", "annotations": [cited]});
    let message = responses::message(&[part]);
    let frames = events(&responses::stream(&[], responses::completed(&[message])));
    let heard = pairs.hear("responses", CHAT, true, &frames).await;
    assert!(
        heard.text == "Rhine" && json!(heard.events).to_string().contains("https://a.example/"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_picture_of_megabytes_is_one_event() {
    let mut pairs = Pairs::start(&[]).await;
    let large = "A".repeat(6 << 20);
    let image = json!({"image_url": {"url": format!("data:image/png;base64,{large}")}});
    let frames = chat(&[openai::delta(&json!({"images": [image]})), openai::finish("stop")]);
    for (door, times) in [(CHAT, 1), (RESPONSES, 2), (OLLAMA, 1)] {
        let mut answer = pairs.answer("openai", door, true, &frames).await;
        assert_eq!(answer.status, 200, "{door}");
        assert_eq!(answer.text().await.matches(&large).count(), times, "{door}");
    }
}
