//! Images of the user and of tools, in every form that a client may send and a backend takes.

use serde_json::{Value, json};

use super::PNG;
use crate::support::{Api, Bench, told};

/// A question with an image, by URL (a data URL if it is base64), as a client of this API writes it.
fn shown(client: Api, url: &str) -> Value {
    match client {
        Api::Chat => {
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Look:"}, image]}]})
        }
        Api::Responses => {
            let image = json!({"type": "input_image", "image_url": url, "detail": "auto"});
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Look:"}, image]}]})
        }
        Api::Anthropic => {
            let source = match url.strip_prefix("data:").and_then(|data| data.split_once(";base64,")) {
                Some((media_type, data)) => json!({"type": "base64", "media_type": media_type, "data": data}),
                None => json!({"type": "url", "url": url}),
            };
            let content = json!([{"type": "text", "text": "Look:"}, {"type": "image", "source": source}]);
            json!({"max_tokens": 9, "messages": [{"role": "user", "content": content}]})
        }
        Api::Ollama => {
            let data = url.split_once(";base64,").expect("base64").1;
            json!({"messages": [{"role": "user", "content": "Look:", "images": [data]}]})
        }
    }
}

#[tokio::test]
async fn base64_reaches_every_backend_with_its_media_type() {
    let url = format!("data:image/png;base64,{PNG}");
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.ask(client, backend, &shown(client, &url)).await;
        let image = if backend == Api::Ollama { PNG } else { &url };
        assert_eq!(
            told(backend, &sent.json),
            ["user: Look:".to_owned(), format!("user shows {image}")],
            "{client:?} to {backend:?}"
        );
        assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn an_address_is_handed_on_to_backends_that_fetch() {
    let url = "https://example.org/river.png?a=b&c=d";
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        if client == Api::Ollama || backend == Api::Ollama {
            continue;
        }
        let sent = bench.sent(client, backend, &shown(client, url)).await;
        assert_eq!(told(backend, &sent)[1], format!("user shows {url}"), "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn an_address_is_refused_where_the_backend_takes_data_only() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        let refused = bench.refused(client, Api::Ollama, &shown(client, "http://127.0.0.1:9/a.png")).await;
        assert!(refused.message.contains("image"), "{client:?}: {}", refused.message);
    }
}

#[tokio::test]
async fn the_media_type_is_told_by_the_first_bytes_where_nobody_says_it() {
    let kinds = [
        (PNG, "image/png"),
        ("/9j/4AAQSkZJRgABAQ==", "image/jpeg"),
        ("R0lGODlhAQABAIAA", "image/gif"),
        ("UklGRiQAAABXRUJQ", "image/webp"),
    ];
    let mut bench = Bench::start().await;
    for (data, media_type) in kinds {
        for backend in Api::Ollama.others() {
            let sent =
                bench.sent(Api::Ollama, backend, &shown(Api::Ollama, &format!(";base64,{data}"))).await;
            let wanted = format!("user shows data:{media_type};base64,{data}");
            assert_eq!(told(backend, &sent)[1], wanted, "{backend:?}");
        }
    }
}

#[tokio::test]
async fn a_data_url_without_a_media_type_is_looked_into() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let sent = bench.sent(client, Api::Anthropic, &shown(client, &format!("data:;base64,{PNG}"))).await;
        let wanted = format!("user shows data:image/png;base64,{PNG}");
        assert_eq!(told(Api::Anthropic, &sent)[1], wanted, "{client:?}");
    }
}

#[tokio::test]
async fn the_usual_wrong_name_of_jpeg_is_corrected_for_anthropic() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let sent = bench.sent(client, Api::Anthropic, &shown(client, "data:image/jpg;base64,/9j/4AAQ")).await;
        assert_eq!(
            told(Api::Anthropic, &sent)[1],
            "user shows data:image/jpeg;base64,/9j/4AAQ",
            "{client:?}"
        );
    }
}

#[tokio::test]
async fn slashes_that_json_escapes_are_slashes() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        let request = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/jpeg;base64,\/9j\/4A"}}]}]}"#;
        let sent = bench.ask_text(Api::Chat, backend, request).await.json;
        let image = if backend == Api::Ollama { "/9j/4A" } else { "data:image/jpeg;base64,/9j/4A" };
        let lines = told(backend, &sent);
        assert_eq!(lines.last().unwrap(), &format!("user shows {image}"), "{backend:?}");
    }
    for backend in Api::Ollama.others() {
        let request = r#"{"messages":[{"role":"user","content":"","images":["iVBORw0KGgo\/AA=="]}]}"#;
        let sent = bench.ask_text(Api::Ollama, backend, request).await.json;
        let lines = told(backend, &sent);
        assert_eq!(lines.last().unwrap(), "user shows data:image/png;base64,iVBORw0KGgo/AA==", "{backend:?}");
    }
}

#[tokio::test]
async fn an_image_stays_between_the_texts_around_it() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    let content = json!([text("Before."), image, text("After.")]);
    let mut bench = Bench::start().await;
    for backend in [Api::Anthropic, Api::Responses] {
        let request = json!({"messages": [{"role": "user", "content": content}]});
        let lines = told(backend, &bench.sent(Api::Chat, backend, &request).await);
        assert_eq!((lines[0].as_str(), lines[2].as_str()), ("user: Before.", "user: After."), "{backend:?}");
        assert!(lines[1].starts_with("user shows data:image/png"), "{lines:?}");
    }
}

#[tokio::test]
async fn the_detail_of_an_image_is_named_where_it_is_lost() {
    let url = format!("data:image/png;base64,{PNG}");
    let mut bench = Bench::start().await;
    for backend in [Api::Anthropic, Api::Ollama] {
        let mut request = shown(Api::Chat, &url);
        request["messages"][0]["content"][1]["image_url"]["detail"] = json!("high");
        let dropped = bench.ask(Api::Chat, backend, &request).await.dropped;
        assert!(dropped.iter().any(|name| name.ends_with("detail")), "{backend:?}: {dropped:?}");
        let mut request = shown(Api::Responses, &url);
        request["input"][0]["content"][1]["detail"] = json!("high");
        let dropped = bench.ask(Api::Responses, backend, &request).await.dropped;
        assert!(dropped.iter().any(|name| name.ends_with("detail")), "{backend:?}: {dropped:?}");
    }
}

#[tokio::test]
async fn an_image_that_only_the_vendor_has_is_refused() {
    let mut bench = Bench::start().await;
    let file = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    let of_anthropic = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [file]}]});
    let file = json!({"type": "input_image", "file_id": "file_1", "detail": "auto"});
    let of_responses = json!({"input": [{"role": "user", "content": [file]}]});
    for (client, request) in [(Api::Anthropic, of_anthropic), (Api::Responses, of_responses)] {
        for backend in client.others() {
            let words = bench.refused(client, backend, &request).await.message;
            assert!(words.contains("file") || words.contains("image"), "{client:?}: {words}");
        }
    }
}

/// A history in which a tool shows an image, with a text if there is one, and a second tool answers behind it.
fn shown_by_a_tool(client: Api) -> Value {
    let url = format!("data:image/png;base64,{PNG}");
    match client {
        Api::Responses => {
            let call =
                |id: &str| json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"});
            let parts =
                json!([{"type": "input_text", "text": "Here."}, {"type": "input_image", "image_url": url}]);
            json!({"input": [
                {"role": "user", "content": "Show me."}, call("a"), call("b"),
                {"type": "function_call_output", "call_id": "a", "output": parts},
                {"type": "function_call_output", "call_id": "b", "output": "There."},
                {"role": "user", "content": "Well?"}
            ]})
        }
        Api::Chat | Api::Anthropic | Api::Ollama => {
            let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
            let source = json!({"type": "base64", "media_type": "image/png", "data": PNG});
            let parts = json!([{"type": "text", "text": "Here."}, {"type": "image", "source": source}]);
            json!({"max_tokens": 9, "messages": [
                {"role": "user", "content": "Show me."},
                {"role": "assistant", "content": [call("a"), call("b")]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": parts},
                    {"type": "tool_result", "tool_use_id": "b", "content": "There."},
                    {"type": "text", "text": "Well?"}
                ]}
            ]})
        }
    }
}

#[tokio::test]
async fn what_a_tool_shows_follows_all_results_where_they_are_only_text() {
    let mut bench = Bench::start().await;
    for client in [Api::Anthropic, Api::Responses] {
        for backend in [Api::Chat, Api::Ollama] {
            let sent = bench.sent(client, backend, &shown_by_a_tool(client)).await;
            let lines = &told(backend, &sent)[3..];
            let image =
                if backend == Api::Ollama { PNG.to_owned() } else { format!("data:image/png;base64,{PNG}") };
            let shows = format!("user shows {image}");
            let wanted = ["result a: Here.", "result b: There.", &shows, "user: Well?"];
            assert_eq!(lines, wanted, "{client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn what_a_tool_shows_stays_in_its_result_where_it_may() {
    let mut bench = Bench::start().await;
    let sent = bench.sent(Api::Responses, Api::Anthropic, &shown_by_a_tool(Api::Responses)).await;
    let image = format!("data:image/png;base64,{PNG}");
    let wanted = format!("result a: has: Here., has shows {image}");
    assert_eq!(told(Api::Anthropic, &sent)[3], wanted);
    let sent = bench.sent(Api::Anthropic, Api::Responses, &shown_by_a_tool(Api::Anthropic)).await;
    let lines = told(Api::Responses, &sent);
    assert_eq!(lines[3..5], ["result a: Here.".to_owned(), format!("result a shows {image}")]);
}
