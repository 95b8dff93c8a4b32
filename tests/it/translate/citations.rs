//! Citations of pages: told by every backend that has a word for them, to every client that has one.

use serde_json::{Value, json};

use crate::support::pairs::{CHAT, MESSAGES, RESPONSES};
use crate::support::script::{chat, events};
use crate::support::{Heard, Pairs, anthropic, openai, responses};

const URL: &str = "https://rhine.example/";

/// `See: Gr\u{fc}\u{df}e`, of which the second word leans on a page.
fn cited(api: &str) -> Vec<String> {
    let annotation = json!({"url": URL, "title": "The \"Rhine\"", "start_index": 5, "end_index": 10});
    match api {
        "openai" => chat(&[
            openai::text("See: "),
            openai::text("Gr\u{fc}\u{df}e"),
            openai::delta(&json!({"annotations": [{"type": "url_citation", "url_citation": annotation}]})),
            openai::finish("stop"),
        ]),
        "responses" => {
            let mut flat = annotation;
            flat["type"] = json!("url_citation");
            let mut said = responses::spoken(0, "See: Gr\u{fc}\u{df}e");
            let at = said.iter().position(|event| event["type"] == "response.output_text.done").unwrap();
            said.insert(
                at,
                json!({
                    "type": "response.output_text.annotation.added", "item_id": "msg_it7", "output_index": 0,
                    "content_index": 0, "annotation_index": 0, "annotation": flat
                }),
            );
            events(&responses::stream(&said, responses::completed(&[])))
        }
        _ => {
            let citation = json!({
                "type": "web_search_result_location", "cited_text": "The Rhine is long.", "url": URL,
                "title": "The \"Rhine\"", "encrypted_index": "Eo8B"
            });
            let said = [
                anthropic::open_text(0),
                anthropic::text(0, "See: "),
                anthropic::close(0),
                anthropic::open_text(1),
                anthropic::delta(1, &json!({"type": "citations_delta", "citation": citation})),
                anthropic::text(1, "Gr\u{fc}\u{df}e"),
                anthropic::close(1),
            ];
            events(&anthropic::stream(&said, "end_turn"))
        }
    }
}

/// All objects that name the page, wherever they stand.
fn naming(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            if members.get("url").is_some_and(|url| url == URL) {
                found.push(value.clone());
            }
            members.values().for_each(|inner| naming(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| naming(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn a_page_that_a_text_leans_on_is_told_in_every_clients_words() {
    let mut pairs = Pairs::start(&[]).await;
    for (api, own) in [("openai", CHAT), ("responses", RESPONSES), ("anthropic", MESSAGES)] {
        for door in [CHAT, RESPONSES, MESSAGES].into_iter().filter(|door| *door != own) {
            for stream in [true, false] {
                let mut answer = pairs.answer(api, door, stream, &cited(api)).await;
                let said =
                    if stream { json!(Heard::of(&mut answer).await.events) } else { answer.json().await };
                let mut found = Vec::new();
                naming(&said, &mut found);
                let what = format!("{door} over {api}, stream {stream}: {said}");
                // Responses says it as it comes, at the end of its part, of its item, and of the whole.
                let times = if door == RESPONSES && stream { 4 } else { 1 };
                assert_eq!(found.len(), times, "{what}");
                for citation in found {
                    assert_eq!(citation["title"], "The \"Rhine\"", "{what}");
                    let wanted = match (door, api) {
                        (MESSAGES, _) => json!([null, null]),
                        // An item for each block.
                        (RESPONSES, "anthropic") => json!([0, 5]),
                        _ => json!([5, 10]),
                    };
                    assert_eq!(json!([citation["start_index"], citation["end_index"]]), wanted, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_events_of_a_citation_have_their_members() {
    let mut pairs = Pairs::start(&[]).await;
    let heard = pairs.hear("openai", RESPONSES, true, &cited("openai")).await;
    let told =
        heard.events.iter().find(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    assert_eq!((&told["annotation_index"], &told["content_index"]), (&json!(0), &json!(0)), "{told}");
    assert_eq!(told["annotation"]["type"], "url_citation");
    assert!(told["item_id"].is_string() && told["output_index"] == 0, "{told}");
    let heard = pairs.hear("openai", MESSAGES, true, &cited("openai")).await;
    let told = heard.events.iter().find(|event| event["delta"]["type"] == "citations_delta").unwrap();
    let citation = &told["delta"]["citation"];
    assert_eq!(citation["type"], "web_search_result_location", "{told}");
    assert!(citation["cited_text"].is_string() && citation["encrypted_index"].is_string(), "{told}");
}
