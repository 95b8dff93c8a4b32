//! Anthropic's clients over backends of other dialects: what they hear.

use serde_json::{Value, json};

use crate::support::pairs::{MESSAGES, request};
use crate::support::script::{Part, Reason, chat, script};
use crate::support::{Heard, Pairs, openai};

const ALL: [Part; 3] =
    [Part::Thought(&["Hm."]), Part::Text(&["Rhi", "ne"]), Part::Call("call_a", "depth", &["{\"of\"", ":1}"])];
const OTHERS: [&str; 3] = ["openai", "responses", "ollama"];

async fn heard(api: &str, frames: &[String]) -> Heard {
    Pairs::start(&[]).await.hear(api, MESSAGES, true, frames).await
}

#[tokio::test]
async fn a_message_comes_with_all_its_events() {
    let heard = heard("openai", &script("openai", &ALL, Reason::Calls)).await;
    let kinds: Vec<&str> = heard.events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let (start, delta, stop) = ("content_block_start", "content_block_delta", "content_block_stop");
    let wanted = [
        ["message_start"].as_slice(),
        &[start, delta, stop],
        &[start, delta, delta, stop],
        &[start, delta, delta, stop],
        &["message_delta", "message_stop"],
    ];
    assert_eq!(kinds, wanted.concat());
}

#[tokio::test]
async fn blocks_are_opened_with_every_member_that_sdks_read() {
    for api in OTHERS {
        let heard = heard(api, &script(api, &ALL, Reason::Calls)).await;
        let blocks: Vec<&Value> =
            heard.events.iter().filter_map(|event| event.get("content_block")).collect();
        assert_eq!(blocks[0], &json!({"type": "thinking", "thinking": "", "signature": ""}), "{api}");
        assert_eq!(blocks[1], &json!({"type": "text", "text": ""}), "{api}");
        assert_eq!(
            blocks[2],
            &json!({"type": "tool_use", "id": "call_a", "name": "depth", "input": {}}),
            "{api}"
        );
    }
}

#[tokio::test]
async fn a_whole_message_is_one_object() {
    let mut pairs = Pairs::start(&[]).await;
    for api in OTHERS {
        let whole = pairs.answer(api, MESSAGES, false, &script(api, &ALL, Reason::Calls)).await.json().await;
        assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")), "{api}");
        assert_eq!((&whole["model"], &whole["stop_sequence"]), (&json!(api), &Value::Null), "{api}");
        let content = json!([
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "Rhine"},
            {"type": "tool_use", "id": "call_a", "name": "depth", "input": {"of": 1}}
        ]);
        assert_eq!(whole["content"], content, "{api}");
        assert_eq!(
            (&whole["usage"]["input_tokens"], &whole["usage"]["output_tokens"]),
            (&json!(11), &json!(4))
        );
    }
}

#[tokio::test]
async fn the_first_event_waits_for_content() {
    let mut pairs = Pairs::start(&["commit_after = \"20ms\""]).await;
    let (asked, mut call) = pairs.ask(MESSAGES, &request(MESSAGES, "openai", true)).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.next_event().await.name.as_deref(), Some("ping"), "the early head comes with a ping");
    call.say(&["Rhine"]).await;
    assert_eq!(answer.next_event().await.name.as_deref(), Some("message_start"));
}

#[tokio::test]
async fn empty_deltas_are_not_passed_on() {
    let said = [
        openai::role(),
        openai::text(""),
        openai::thought(""),
        openai::text("Rhine"),
        openai::text(""),
        openai::finish("stop"),
    ];
    let heard = heard("openai", &chat(&said)).await;
    let deltas = heard.events.iter().filter(|event| event["type"] == "content_block_delta");
    assert_eq!(deltas.count(), 1, "{heard:?}");
    assert_eq!(heard.order, ["text"]);
}

#[tokio::test]
async fn an_empty_answer_is_a_message_without_blocks() {
    for api in OTHERS {
        let heard = heard(api, &script(api, &[], Reason::Stop)).await;
        assert!(heard.succeeded() && heard.order.is_empty(), "{api}: {heard:?}");
    }
}

#[tokio::test]
async fn an_error_has_the_type_that_belongs_to_its_cause() {
    let mut pairs = Pairs::start(&["first_token_timeout = \"100ms\"", "commit_after = \"20ms\""]).await;
    let (asked, _call) = pairs.ask(MESSAGES, &request(MESSAGES, "openai", true)).await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed(), "{heard:?}");
    assert_eq!(heard.error.unwrap()["type"], "timeout_error");
}
