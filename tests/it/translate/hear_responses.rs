//! Clients of Responses over backends of other dialects: what they hear.

use serde_json::{Value, json};

use crate::support::pairs::{RESPONSES, request_with};
use crate::support::script::{Part, Reason, chat, script};
use crate::support::{Heard, Pairs, openai};

const ALL: [Part; 3] =
    [Part::Thought(&["Hm."]), Part::Text(&["Rhi", "ne"]), Part::Call("call_a", "depth", &["{\"of\"", ":1}"])];
const OTHERS: [&str; 3] = ["openai", "anthropic", "ollama"];

async fn heard(api: &str, more: &Value, frames: &[String]) -> Heard {
    Pairs::start(&[]).await.hear_as(RESPONSES, &request_with(RESPONSES, api, true, more), frames).await
}

#[tokio::test]
async fn events_are_numbered_from_0_without_gaps() {
    for api in OTHERS {
        let heard = heard(api, &json!({}), &script(api, &ALL, Reason::Calls)).await;
        assert!(heard.succeeded(), "{api}: {heard:?}");
        for (number, event) in heard.events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{api}: {event}");
        }
    }
}

#[tokio::test]
async fn items_come_with_all_their_events() {
    let kinds = |heard: &Heard| -> Vec<String> {
        let kind = |event: &Value| event["type"].as_str().unwrap().trim_start_matches("response.").to_owned();
        heard.events.iter().map(kind).collect()
    };
    let heard = heard("openai", &json!({}), &script("openai", &ALL, Reason::Calls)).await;
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&heard), wanted);
}

#[tokio::test]
async fn the_members_of_an_item_are_those_that_strict_clients_read() {
    for api in OTHERS {
        let heard = heard(api, &json!({}), &script(api, &ALL, Reason::Calls)).await;
        let output = heard.usage.unwrap()["output"].clone();
        let (reasoning, message, call) = (&output[0], &output[1], &output[2]);
        assert_eq!(reasoning["summary"], json!([{"type": "summary_text", "text": "Hm."}]), "{api}");
        assert_eq!(
            (&message["role"], &message["status"]),
            (&json!("assistant"), &json!("completed")),
            "{api}"
        );
        let part = json!({"type": "output_text", "text": "Rhine", "annotations": [], "logprobs": []});
        assert_eq!(message["content"], json!([part]), "{api}");
        assert_eq!((&call["name"], &call["status"]), (&json!("depth"), &json!("completed")), "{api}");
        assert_eq!((&call["call_id"], &call["arguments"]), (&json!("call_a"), &json!("{\"of\":1}")), "{api}");
        for (item, prefix) in [(reasoning, "rs_"), (message, "msg_"), (call, "fc_")] {
            assert!(item["id"].as_str().unwrap().starts_with(prefix), "{api}: {item}");
        }
    }
}

/// What a client may set that its answers must repeat.
fn wishes() -> Value {
    json!({
        "instructions": "Be short.", "max_output_tokens": 77, "metadata": {"trip": "north"}, "temperature": 0.5,
        "top_p": 0.25, "parallel_tool_calls": false, "tool_choice": "required", "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "safety_identifier": "u-7",
        "tools": [{"type": "function", "name": "depth", "parameters": {"type": "object"}, "strict": false}]
    })
}

#[tokio::test]
async fn a_response_repeats_what_it_was_asked_from_its_first_event_to_its_last() {
    let heard = heard("openai", &wishes(), &script("openai", &ALL, Reason::Calls)).await;
    let responses: Vec<&Value> = heard.events.iter().filter_map(|event| event.get("response")).collect();
    assert_eq!(responses.len(), 3);
    for response in responses {
        for (name, value) in wishes().as_object().unwrap() {
            assert_eq!(&response[name], value, "{name}");
        }
        assert_eq!(response["store"], true, "it is kept unless the request says no");
        for name in ["previous_response_id", "truncation", "service_tier", "top_logprobs", "max_tool_calls"] {
            assert!(response.get(name).is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_whole_response_repeats_it_too_and_says_when() {
    let mut pairs = Pairs::start(&[]).await;
    for api in OTHERS {
        let request =
            request_with(RESPONSES, api, false, &json!({"instructions": "Be short.", "temperature": 1}));
        let mut answer = pairs.answer_to(RESPONSES, &request, &script(api, &ALL, Reason::Calls)).await;
        let whole = answer.json().await;
        assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")), "{api}");
        assert_eq!((&whole["instructions"], &whole["model"]), (&json!("Be short."), &json!(api)), "{api}");
        assert!(whole["completed_at"].as_u64() >= whole["created_at"].as_u64(), "{api}: {whole}");
        assert!(whole["created_at"].as_u64().unwrap() > 1_700_000_000, "{api}: {whole}");
        assert_eq!(whole["output"].as_array().unwrap().len(), 3, "{api}: {whole}");
    }
}

#[tokio::test]
async fn what_was_cut_is_incomplete_and_says_why() {
    for api in OTHERS {
        let heard = heard(api, &json!({}), &script(api, &[Part::Text(&["Rhi"])], Reason::Length)).await;
        let last = heard.events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete", "{api}");
        assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}), "{api}");
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Rhi", "{api}");
    }
}

/// A request with a tool that takes free text, and one that does not.
fn with_custom() -> Value {
    json!({"tools": [
        {"type": "custom", "name": "patch", "description": "Applies a patch."},
        {"type": "function", "name": "depth", "parameters": {"type": "object"}}
    ]})
}

/// A patch in the arguments of a function, as other models are told to write it.
const PATCH: &str = "*** Begin\n+ \"gr\u{fc}\u{df}\" \\ \u{1f30a}\n";

#[tokio::test]
async fn a_call_of_a_custom_tool_is_answered_as_one() {
    let mut pairs = Pairs::start(&[]).await;
    let arguments = json!({"input": PATCH}).to_string();
    let (left, right) = arguments.split_at(12);
    for stream in [true, false] {
        let said = [
            openai::tool(0, "call_a", "patch", left),
            openai::arguments(0, right),
            openai::tool(1, "call_b", "depth", "{\"input\":\"x\"}"),
            openai::finish("tool_calls"),
        ];
        let request = request_with(RESPONSES, "openai", stream, &with_custom());
        let heard = pairs.hear_as(RESPONSES, &request, &chat(&said)).await;
        assert!(heard.succeeded(), "{heard:?}");
        assert_eq!(heard.calls(), [("patch", PATCH), ("depth", "{\"input\":\"x\"}")], "stream {stream}");
        let last = heard.events.last().unwrap();
        let output = if stream { &last["response"]["output"] } else { &last["output"] };
        assert_eq!(
            (&output[0]["type"], &output[0]["call_id"]),
            (&json!("custom_tool_call"), &json!("call_a"))
        );
        assert_eq!((&output[0]["input"], &output[1]["type"]), (&json!(PATCH), &json!("function_call")));
    }
}

#[tokio::test]
async fn free_text_in_place_of_the_arguments_of_a_custom_tool_is_taken_as_it_is() {
    let said = [openai::tool(0, "call_a", "patch", PATCH), openai::finish("tool_calls")];
    let heard = heard("openai", &with_custom(), &chat(&said)).await;
    assert_eq!(heard.calls(), [("patch", PATCH)]);
}

#[tokio::test]
async fn a_failed_response_has_the_name_and_the_items_that_it_had() {
    let mut pairs = Pairs::start(&[]).await;
    for api in OTHERS {
        let (asked, mut call) =
            pairs.ask(RESPONSES, &crate::support::pairs::request(RESPONSES, api, true)).await;
        call.say(&["Rhine"]).await;
        call.cut().await;
        let heard = Heard::of(&mut asked.answer().await).await;
        assert!(heard.failed() && heard.code() == Some("upstream_truncated"), "{api}: {heard:?}");
        let last = heard.events.last().unwrap();
        assert_eq!(last["response"]["id"], heard.events[0]["response"]["id"], "{api}");
        assert_eq!(last["sequence_number"], heard.events.len() - 1, "{api}");
        // A code of OpenAI's own, at which its clients ask again.
        assert_eq!(last["response"]["error"]["code"], "server_error", "{api}");
    }
}
