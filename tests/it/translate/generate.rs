//! Ollama's `/api/generate` before backends that know conversations only.

use serde_json::{Value, json};

use super::PNG;
use crate::support::{Api, Bench, Request, Sent, addressed, told};

const OTHERS: [Api; 3] = [Api::Chat, Api::Responses, Api::Anthropic];

fn request(backend: Api, more: &Value) -> Request {
    let mut request = json!({"prompt": "Name a river."});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Request::raw("/api/generate", addressed(backend, &request.to_string()).as_bytes())
}

async fn sent(bench: &mut Bench, backend: Api, more: &Value) -> Sent {
    bench.send(backend, &request(backend, more)).await
}

#[tokio::test]
async fn a_prompt_is_what_the_user_says() {
    let mut bench = Bench::start().await;
    for backend in OTHERS {
        let sent = sent(&mut bench, backend, &json!({"system": "Be brief."})).await;
        assert_eq!(sent.path, backend.door());
        assert_eq!(told(backend, &sent.json), ["system: Be brief.", "user: Name a river."], "{backend:?}");
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
}

#[tokio::test]
async fn its_images_are_the_users() {
    let mut bench = Bench::start().await;
    for backend in OTHERS {
        let sent = sent(&mut bench, backend, &json!({"images": [PNG]})).await;
        let shows = format!("user shows data:image/png;base64,{PNG}");
        assert_eq!(told(backend, &sent.json), ["user: Name a river.", shows.as_str()], "{backend:?}");
    }
}

#[tokio::test]
async fn its_options_thinking_and_format_are_told_too() {
    let mut bench = Bench::start().await;
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let more = json!({"think": true, "format": schema, "options": {"num_predict": 9000, "temperature": 1.0}});
    for backend in OTHERS {
        let sent = sent(&mut bench, backend, &more).await.json;
        let (limit, format, thinks) = match backend {
            Api::Chat => (
                &sent["max_tokens"],
                &sent["response_format"]["json_schema"]["schema"],
                sent["reasoning_effort"] == "medium",
            ),
            Api::Responses => (
                &sent["max_output_tokens"],
                &sent["text"]["format"]["schema"],
                sent["reasoning"]["effort"] == "medium",
            ),
            Api::Anthropic | Api::Ollama => {
                let budget = &sent["thinking"]["budget_tokens"];
                (&sent["max_tokens"], &sent["output_config"]["format"]["schema"], *budget == 2048)
            }
        };
        assert_eq!((limit, format, thinks), (&json!(9000), &schema, true), "{backend:?}: {sent}");
    }
}

#[tokio::test]
async fn what_only_ollama_can_do_with_a_prompt_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for backend in OTHERS {
        for (name, value) in [
            ("raw", json!(true)),
            ("suffix", json!("}")),
            ("template", json!("{{ .Prompt }}")),
            ("context", json!([1, 2])),
        ] {
            let refused =
                bench.refused_request(Api::Ollama, backend, &request(backend, &json!({name: value}))).await;
            assert!(refused.message.contains(name), "{backend:?}: {}", refused.message);
        }
        let sent = sent(&mut bench, backend, &json!({"raw": false, "suffix": "", "template": ""})).await;
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
}

#[tokio::test]
async fn without_a_prompt_nobody_is_asked() {
    let mut bench = Bench::start().await;
    for backend in OTHERS {
        for (door, keep_alive, reason) in [
            ("/api/generate", json!("5m"), "load"),
            ("/api/generate", json!(0), "unload"),
            ("/api/chat", json!(0), "unload"),
        ] {
            let request = json!({"model": backend.model(), "stream": false, "keep_alive": keep_alive});
            let said = bench.gateway.post(door, &request).await.json().await;
            assert_eq!((&said["done"], &said["done_reason"]), (&json!(true), &json!(reason)), "{backend:?}");
        }
        assert_eq!(bench.backend(backend).calls_seen(), 0, "{backend:?}");
    }
}
