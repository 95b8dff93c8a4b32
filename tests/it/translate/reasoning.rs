//! Reasoning of earlier turns: told in words where a backend takes words, and with a seal only to the vendor that made it.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Sent, Setup, question, told};

/// A history in which the assistant thought before it spoke, as a client of this API has kept it; `seal` is the signature or
/// the encrypted text, where the API has a place for one.
fn thought(client: Api, seal: Option<&str>) -> Value {
    match client {
        Api::Chat => {
            let mut said =
                json!({"role": "assistant", "content": "Tisza.", "reasoning_content": "Long rivers?"});
            if let Some(seal) = seal {
                said["thinking_blocks"] =
                    json!([{"type": "thinking", "thinking": "Long rivers?", "signature": seal}]);
            }
            json!({"messages": [{"role": "user", "content": "A river."}, said, {"role": "user", "content": "More."}]})
        }
        Api::Responses => {
            let summary = json!([{"type": "summary_text", "text": "Long rivers?"}]);
            json!({"input": [
                {"role": "user", "content": "A river."},
                {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": seal},
                {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                 "content": [{"type": "output_text", "text": "Tisza.", "annotations": [], "logprobs": []}]},
                {"role": "user", "content": "More."}
            ]})
        }
        Api::Anthropic => {
            let thinking = json!({"type": "thinking", "thinking": "Long rivers?", "signature": seal.unwrap_or_default()});
            json!({"max_tokens": 9, "messages": [
                {"role": "user", "content": "A river."},
                {"role": "assistant", "content": [thinking, {"type": "text", "text": "Tisza."}]},
                {"role": "user", "content": "More."}
            ]})
        }
        Api::Ollama => json!({"messages": [
            {"role": "user", "content": "A river."},
            {"role": "assistant", "content": "Tisza.", "thinking": "Long rivers?"},
            {"role": "user", "content": "More."}
        ]}),
    }
}

/// The line about thinking that stands between the question and the answer.
fn thinks(backend: Api, sent: &Sent) -> Option<String> {
    let lines = told(backend, &sent.json);
    let (first, last) = (lines.first().unwrap(), &lines[lines.len() - 2..]);
    assert_eq!(
        (first.as_str(), last),
        ("user: A river.", &["assistant: Tisza.".to_owned(), "user: More.".to_owned()][..])
    );
    assert!(lines.len() <= 4, "{lines:?}");
    (lines.len() == 4).then(|| lines[1].clone())
}

#[tokio::test]
async fn words_are_told_where_words_are_taken() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(_, backend)| matches!(backend, Api::Chat | Api::Ollama)) {
        for seal in [None, Some("EqQBCkYIBRgC"), Some("sg1:openai:gAAAA"), Some("sg1:signature:EqQB")] {
            let sent = bench.ask(client, backend, &thought(client, seal)).await;
            assert_eq!(
                thinks(backend, &sent).as_deref(),
                Some("thinks: Long rivers?"),
                "{client:?} to {backend:?}"
            );
            assert!(!sent.text.contains("EqQB") && !sent.text.contains("gAAAA"), "a seal: {}", sent.text);
        }
    }
}

#[tokio::test]
async fn the_field_of_the_words_is_the_backends_choice() {
    let mut bench = Bench::over(Setup::new(), Api::Chat, "reasoning_field = \"reasoning\"").await;
    for client in Api::Chat.others() {
        let sent = bench.sent(client, Api::Chat, &thought(client, None)).await;
        assert_eq!(sent["messages"][1]["reasoning"], "Long rivers?", "{client:?}");
        assert!(sent["messages"][1].get("reasoning_content").is_none(), "{client:?}");
    }
}

#[tokio::test]
async fn anthropic_is_never_told_what_it_did_not_sign() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        for seal in [None, Some("sg1:openai:gAAAA"), Some("")] {
            let sent = bench.ask(client, Api::Anthropic, &thought(client, seal)).await;
            assert_eq!(thinks(Api::Anthropic, &sent), None, "{client:?}, {seal:?}");
            assert!(sent.dropped.contains(&"reasoning".to_owned()), "{client:?}: {:?}", sent.dropped);
        }
    }
    let sent = bench.ask(Api::Responses, Api::Anthropic, &thought(Api::Responses, Some("gAAAAABo"))).await;
    assert_eq!((thinks(Api::Anthropic, &sent), sent.text.contains("gAAAAABo")), (None, false));
}

#[tokio::test]
async fn anthropic_gets_its_signature_back_with_the_words() {
    let mut bench = Bench::start().await;
    for (client, seal) in [
        (Api::Chat, "EqQBCkYIBRgC"),
        (Api::Chat, "sg1:signature:EqQBCkYIBRgC"),
        (Api::Responses, "sg1:signature:EqQBCkYIBRgC"),
    ] {
        let sent = bench.ask(client, Api::Anthropic, &thought(client, Some(seal))).await;
        let wanted = "thinks: Long rivers? [EqQBCkYIBRgC]";
        assert_eq!(thinks(Api::Anthropic, &sent).as_deref(), Some(wanted), "{client:?}, {seal}");
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
}

#[tokio::test]
async fn openai_gets_what_it_encrypted_back_and_nothing_else() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Anthropic] {
        let sent = bench.ask(client, Api::Responses, &thought(client, Some("sg1:openai:gAAAAABo"))).await;
        let wanted = "thinks: Long rivers? [gAAAAABo]";
        assert_eq!(thinks(Api::Responses, &sent).as_deref(), Some(wanted), "{client:?}");
        for seal in [None, Some("EqQBCkYIBRgC")] {
            let sent = bench.ask(client, Api::Responses, &thought(client, seal)).await;
            assert_eq!(thinks(Api::Responses, &sent), None, "{client:?}, {seal:?}");
            assert!(sent.dropped.contains(&"reasoning".to_owned()), "{client:?}: {:?}", sent.dropped);
        }
    }
}

/// The same history where the reasoning can be read by its vendor only.
fn redacted(client: Api, data: &str) -> Value {
    let mut request = thought(client, Some(data));
    match client {
        Api::Chat => {
            request["messages"][1]["thinking_blocks"] = json!([{"type": "redacted_thinking", "data": data}]);
            request["messages"][1]["reasoning_content"] = json!(null);
        }
        Api::Responses => request["input"][1]["summary"] = json!([]),
        Api::Anthropic => {
            request["messages"][1]["content"][0] = json!({"type": "redacted_thinking", "data": data});
        }
        Api::Ollama => panic!("Ollama has no such thing"),
    }
    request
}

#[tokio::test]
async fn what_only_a_vendor_can_read_goes_back_to_it() {
    let mut bench = Bench::start().await;
    for (client, backend, data, wanted) in [
        (Api::Chat, Api::Anthropic, "EmwKAhgB", "thinks: [EmwKAhgB]"),
        (Api::Responses, Api::Anthropic, "sg1:redacted:EmwKAhgB", "thinks: [EmwKAhgB]"),
        (Api::Responses, Api::Anthropic, "sg1:signature:EqQB", "thinks:  [EqQB]"),
        (Api::Anthropic, Api::Responses, "sg1:openai:gAAAA", "thinks:  [gAAAA]"),
        (Api::Chat, Api::Responses, "sg1:openai:gAAAA", "thinks:  [gAAAA]"),
    ] {
        let sent = bench.ask(client, backend, &redacted(client, data)).await;
        assert_eq!(thinks(backend, &sent).as_deref(), Some(wanted), "{client:?} to {backend:?}: {data}");
    }
}

#[tokio::test]
async fn what_only_another_vendor_can_read_is_left_out_and_named() {
    let mut bench = Bench::start().await;
    for (client, data) in [
        (Api::Chat, "EmwKAhgB"),
        (Api::Responses, "gAAAAABo"),
        (Api::Anthropic, "EmwKAhgB"),
        (Api::Responses, "sg1:redacted:Em"),
    ] {
        for backend in client.others() {
            if backend == Api::Anthropic && data.contains("Em") {
                continue; // its own
            }
            let sent = bench.ask(client, backend, &redacted(client, data)).await;
            assert_eq!(thinks(backend, &sent), None, "{client:?} to {backend:?}");
            assert!(
                sent.dropped.contains(&"reasoning".to_owned()),
                "{client:?} to {backend:?}: {:?}",
                sent.dropped
            );
        }
    }
}

#[tokio::test]
async fn raw_reasoning_of_open_models_is_told_before_its_summary() {
    let mut bench = Bench::start().await;
    for backend in [Api::Chat, Api::Ollama] {
        let mut request = thought(Api::Responses, None);
        request["input"][1]["content"] =
            json!([{"type": "reasoning_text", "text": "The long ones: Volga, Tisza."}]);
        let sent = bench.ask(Api::Responses, backend, &request).await;
        assert_eq!(
            thinks(backend, &sent).as_deref(),
            Some("thinks: The long ones: Volga, Tisza."),
            "{backend:?}"
        );
    }
}

/// A history that ends with the result of a call before which the assistant thought.
fn in_a_tool_turn(client: Api, seal: Option<&str>) -> Value {
    let mut request = thought(client, seal);
    match client {
        Api::Chat => {
            let call =
                json!({"id": "c1", "type": "function", "function": {"name": "length", "arguments": "{}"}});
            request["messages"][1]["tool_calls"] = json!([call]);
            request["messages"][2] = json!({"role": "tool", "tool_call_id": "c1", "content": "966 km"});
        }
        Api::Responses => {
            request["input"][2] =
                json!({"type": "function_call", "call_id": "c1", "name": "length", "arguments": "{}"});
            request["input"][3] =
                json!({"type": "function_call_output", "call_id": "c1", "output": "966 km"});
        }
        Api::Ollama | Api::Anthropic => {
            request["messages"][1]["tool_calls"] = json!([{"function": {"name": "length", "arguments": {}}}]);
            request["messages"][2] = json!({"role": "tool", "tool_name": "length", "content": "966 km"});
        }
    }
    match client {
        Api::Chat => request["reasoning_effort"] = json!("high"),
        Api::Responses => request["reasoning"] = json!({"effort": "high"}),
        Api::Ollama | Api::Anthropic => request["think"] = json!("high"),
    }
    request
}

#[tokio::test]
async fn anthropic_does_not_think_in_the_middle_of_a_turn_that_it_did_not_sign() {
    for lines in ["thinking = \"budget\"", "thinking = \"adaptive\""] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for client in Api::Anthropic.others() {
            let sent = bench.ask(client, Api::Anthropic, &in_a_tool_turn(client, None)).await;
            assert!(sent.json.get("thinking").is_none(), "{client:?}: {}", sent.text);
            assert!(sent.dropped.contains(&"reasoning_effort".to_owned()), "{client:?}: {:?}", sent.dropped);
        }
        for client in [Api::Chat, Api::Responses] {
            let sent =
                bench.ask(client, Api::Anthropic, &in_a_tool_turn(client, Some("sg1:signature:EqQB"))).await;
            assert!(sent.json["thinking"].is_object(), "{client:?}: {}", sent.text);
            assert!(sent.dropped.is_empty(), "{client:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn an_assistant_that_only_thought_is_no_turn_of_anthropic() {
    let mut bench = Bench::start().await;
    let messages = json!([
        {"role": "user", "content": "One."},
        {"role": "assistant", "content": "", "thinking": "Hm."},
        {"role": "user", "content": "Two."}
    ]);
    let sent = bench.sent(Api::Ollama, Api::Anthropic, &json!({"messages": messages})).await;
    assert_eq!(told(Api::Anthropic, &sent), ["user: One.", "user: Two."]);
}

#[tokio::test]
async fn reasoning_and_its_seal_are_asked_of_responses_when_the_model_shall_think() {
    let mut bench = Bench::start().await;
    let sent = bench
        .sent(Api::Chat, Api::Responses, &question(Api::Chat, &json!({"reasoning_effort": "low"})))
        .await;
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    assert!(sent["reasoning"]["summary"].is_string(), "{sent}");
}

#[tokio::test]
async fn anthropic_does_not_think_where_its_answer_is_begun_already() {
    let mut bench = Bench::start().await;
    let messages =
        json!([{"role": "user", "content": "A river."}, {"role": "assistant", "content": "The longest is"}]);
    let request = json!({"messages": messages, "reasoning_effort": "high"});
    let sent = bench.ask(Api::Chat, Api::Anthropic, &request).await;
    assert!(sent.json.get("thinking").is_none(), "{}", sent.text);
    assert_eq!(sent.dropped, ["reasoning_effort"]);
}
