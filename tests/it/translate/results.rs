//! Results of tools: that they failed, that they are empty, and lists of parts.

use serde_json::{Value, json};

use super::PNG;
use crate::support::{Api, Bench, told};

/// A history of Anthropic's in which the tool gave this back.
fn answered(result: &Value) -> Value {
    let mut block = json!({"type": "tool_result", "tool_use_id": "c1"});
    block.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
    json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "depth", "input": {}}]},
        {"role": "user", "content": [block]}
    ]})
}

#[tokio::test]
async fn that_a_tool_failed_stands_before_its_words() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        for content in [json!("no such river"), json!([{"type": "text", "text": "no such river"}])] {
            let request = answered(&json!({"content": content, "is_error": true}));
            let lines = told(backend, &bench.sent(Api::Anthropic, backend, &request).await);
            assert_eq!(lines[2], "result c1: Error: no such river", "{backend:?}");
            let request = answered(&json!({"content": content, "is_error": false}));
            let lines = told(backend, &bench.sent(Api::Anthropic, backend, &request).await);
            assert_eq!(lines[2], "result c1: no such river", "{backend:?}");
        }
    }
}

#[tokio::test]
async fn that_a_tool_failed_is_told_also_where_it_shows_something() {
    let mut bench = Bench::start().await;
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    for backend in Api::Anthropic.others() {
        let content = json!([{"type": "text", "text": "no such river"}, image]);
        let request = answered(&json!({"content": content, "is_error": true}));
        let sent = bench.ask(Api::Anthropic, backend, &request).await;
        assert!(sent.text.contains("Error: "), "{backend:?}: {}", sent.text);
    }
}

#[tokio::test]
async fn a_result_without_content_is_an_empty_one() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        for result in [json!({}), json!({"content": ""}), json!({"content": []}), json!({"content": null})] {
            let lines = told(backend, &bench.sent(Api::Anthropic, backend, &answered(&result)).await);
            assert_eq!(lines[2], "result c1: ", "{backend:?}, {result}");
        }
    }
}

#[tokio::test]
async fn an_empty_result_is_lawful_for_anthropic() {
    let mut bench = Bench::start().await;
    for content in [json!(""), json!(" "), json!([])] {
        let call = json!({"id": "c1", "type": "function", "function": {"name": "depth", "arguments": "{}"}});
        let messages = json!([
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": content}
        ]);
        let sent = bench.sent(Api::Chat, Api::Anthropic, &json!({"messages": messages})).await;
        assert_eq!(told(Api::Anthropic, &sent)[2].trim(), "result c1:", "{content}");
        let input = json!([
            {"role": "user", "content": "Q"},
            {"type": "function_call", "call_id": "c1", "name": "depth", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": content}
        ]);
        let sent = bench.sent(Api::Responses, Api::Anthropic, &json!({"input": input})).await;
        assert_eq!(told(Api::Anthropic, &sent)[2].trim(), "result c1:", "{content}");
    }
}

#[tokio::test]
async fn the_texts_of_a_result_all_arrive() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let content = json!([{"type": "text", "text": "9 m"}, {"type": "text", "text": "(in May)"}]);
        let lines = told(
            backend,
            &bench.sent(Api::Anthropic, backend, &answered(&json!({"content": content}))).await,
        );
        assert!(lines[2].contains("9 m") && lines[2].contains("(in May)"), "{backend:?}: {lines:?}");
    }
}

#[tokio::test]
async fn what_a_search_of_the_clients_found_may_be_a_result() {
    let found = json!({
        "type": "search_result", "source": "https://example.org", "title": "Tisza",
        "content": [{"type": "text", "text": "966 km long."}], "citations": {"enabled": false}
    });
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let lines = told(
            backend,
            &bench.sent(Api::Anthropic, backend, &answered(&json!({"content": [found]}))).await,
        );
        assert!(
            lines[2].starts_with("result c1: ") && lines[2].contains("966 km long."),
            "{backend:?}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn a_document_of_a_tool_follows_its_result_in_a_chat() {
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"});
    let content =
        json!([{"type": "text", "text": "Here."}, {"type": "document", "title": "r.pdf", "source": source}]);
    let mut bench = Bench::start().await;
    let sent = bench.sent(Api::Anthropic, Api::Chat, &answered(&json!({"content": content}))).await;
    let wanted = ["result c1: Here.", "user gives r.pdf data:application/pdf;base64,JVBERi0xLjQK"];
    assert_eq!(told(Api::Chat, &sent)[2..], wanted);
    let words =
        bench.refused(Api::Anthropic, Api::Ollama, &answered(&json!({"content": content}))).await.message;
    assert!(words.contains("document"), "{words}");
}
