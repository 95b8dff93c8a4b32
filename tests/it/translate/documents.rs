//! Documents: files of the user, as text where they are text, and refused where a backend cannot take them.

use serde_json::{Value, json};

use crate::support::{Api, Bench, told};

const PDF: &str = "JVBERi0xLjQK";

/// A question with a PDF, as a client of this API writes it.
fn given(client: Api) -> Value {
    let url = format!("data:application/pdf;base64,{PDF}");
    match client {
        Api::Responses => {
            let file = json!({"type": "input_file", "filename": "rivers.pdf", "file_data": url});
            json!({"input": [{"role": "user", "content": [file, {"type": "input_text", "text": "Sum it up."}]}]})
        }
        Api::Anthropic => {
            let source = json!({"type": "base64", "media_type": "application/pdf", "data": PDF});
            let file = json!({"type": "document", "title": "rivers.pdf", "source": source});
            let content = json!([file, {"type": "text", "text": "Sum it up."}]);
            json!({"max_tokens": 9, "messages": [{"role": "user", "content": content}]})
        }
        Api::Chat | Api::Ollama => {
            let file = json!({"type": "file", "file": {"filename": "rivers.pdf", "file_data": url}});
            json!({"messages": [{"role": "user", "content": [file, {"type": "text", "text": "Sum it up."}]}]})
        }
    }
}

#[tokio::test]
async fn a_pdf_reaches_every_backend_that_takes_one() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        if client == Api::Ollama || backend == Api::Ollama {
            continue;
        }
        let sent = bench.sent(client, backend, &given(client)).await;
        let wanted = format!("user gives rivers.pdf data:application/pdf;base64,{PDF}");
        assert_eq!(told(backend, &sent), [wanted.as_str(), "user: Sum it up."], "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn a_pdf_is_refused_where_the_backend_takes_none() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        let words = bench.refused(client, Api::Ollama, &given(client)).await.message;
        assert!(words.contains("document") || words.contains("file"), "{client:?}: {words}");
    }
}

/// The same by its address, where the API has a form for it.
fn named(client: Api, url: &str) -> Value {
    match client {
        Api::Responses => {
            let file = json!({"type": "input_file", "file_url": url});
            json!({"input": [{"role": "user", "content": [file, {"type": "input_text", "text": "Sum it up."}]}]})
        }
        Api::Anthropic => {
            let file =
                json!({"type": "document", "title": "rivers.pdf", "source": {"type": "url", "url": url}});
            let content = json!([file, {"type": "text", "text": "Sum it up."}]);
            json!({"max_tokens": 9, "messages": [{"role": "user", "content": content}]})
        }
        Api::Chat | Api::Ollama => {
            let file = json!({"type": "file", "file": {"filename": "rivers.pdf", "file_data": url}});
            json!({"messages": [{"role": "user", "content": [file, {"type": "text", "text": "Sum it up."}]}]})
        }
    }
}

#[tokio::test]
async fn a_document_by_url_reaches_the_backends_that_fetch_one() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(client, _)| *client != Api::Ollama) {
        for url in ["https://example.org/rivers.pdf", "http://example.org/r?a=\"b\""] {
            let request = named(client, url);
            if matches!(backend, Api::Chat | Api::Ollama) {
                let refused = bench.refused(client, backend, &request).await.message;
                assert!(refused.contains("document"), "{client:?} to {backend:?}: {refused}");
                continue;
            }
            let sent = bench.sent(client, backend, &request).await;
            let wanted = format!("user gives {url}");
            assert_eq!(
                told(backend, &sent),
                [wanted.as_str(), "user: Sum it up."],
                "{client:?} to {backend:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_document_that_a_tool_gives_by_url_is_refused_where_it_cannot_be_fetched() {
    let mut bench = Bench::start().await;
    let file =
        json!({"type": "document", "source": {"type": "url", "url": "https://example.org/rivers.pdf"}});
    let request = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "get", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [file]}]}
    ]});
    for backend in [Api::Chat, Api::Ollama] {
        let words = bench.refused(Api::Anthropic, backend, &request).await.message;
        assert!(words.contains("document"), "{backend:?}: {words}");
    }
    let sent = bench.sent(Api::Anthropic, Api::Responses, &request).await;
    assert!(sent.to_string().contains("https://example.org/rivers.pdf"), "{sent}");
}

#[tokio::test]
async fn a_document_that_is_text_is_text() {
    let texts = [
        json!({"type": "text", "media_type": "text/plain", "data": "Tisza: 966 km."}),
        json!({"type": "content", "content": "Tisza: 966 km."}),
        json!({"type": "content", "content": [{"type": "text", "text": "Tisza: 966 km."}]}),
    ];
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        for source in &texts {
            let content = json!([{"type": "document", "source": source}]);
            let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": content}]});
            let sent = bench.sent(Api::Anthropic, backend, &request).await;
            assert_eq!(told(backend, &sent), ["user: Tisza: 966 km."], "{backend:?}");
        }
    }
}

#[tokio::test]
async fn what_is_said_about_a_document_is_told_or_named() {
    let mut bench = Bench::start().await;
    for backend in [Api::Chat, Api::Responses] {
        let mut request = given(Api::Anthropic);
        request["messages"][0]["content"][0]["citations"] = json!({"enabled": true});
        request["messages"][0]["content"][0]["context"] = json!("A survey of 1910.");
        let sent = bench.ask(Api::Anthropic, backend, &request).await;
        for member in ["citations", "context"] {
            let named = sent.dropped.iter().any(|name| name.ends_with(member));
            let told = member == "context" && sent.text.contains("A survey of 1910.");
            assert!(named || told, "{member} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn what_a_search_of_the_client_found_is_text() {
    let found = json!({
        "type": "search_result", "source": "https://example.org/tisza", "title": "Tisza",
        "content": [{"type": "text", "text": "966 km long."}]
    });
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [found]}]});
        let said = told(backend, &bench.sent(Api::Anthropic, backend, &request).await).join(" ");
        for part in ["https://example.org/tisza", "Tisza", "966 km long."] {
            assert!(said.contains(part), "{part} to {backend:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_file_that_only_the_vendor_has_is_refused() {
    let mut bench = Bench::start().await;
    let chat =
        json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]});
    let responses =
        json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]});
    let document = json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}});
    let anthropic = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [document]}]});
    for (client, request) in [(Api::Chat, chat), (Api::Responses, responses), (Api::Anthropic, anthropic)] {
        for backend in client.others() {
            let words = bench.refused(client, backend, &request).await.message;
            assert!(words.contains("file"), "{client:?}: {words}");
        }
    }
}

#[tokio::test]
async fn audio_is_refused_by_name() {
    let mut bench = Bench::start().await;
    let sound = json!({"data": "AAAA", "format": "wav"});
    let chat =
        json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}]});
    let responses =
        json!({"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}]});
    for (client, request, param) in [(Api::Chat, chat, "messages"), (Api::Responses, responses, "input")] {
        for backend in client.others() {
            let refused = bench.refused(client, backend, &request).await;
            assert!(refused.message.contains("input_audio"), "{client:?}: {}", refused.message);
            assert_eq!(refused.param.as_deref(), Some(param));
        }
    }
}
