//! The limit of tokens: its name in each API, and where there must be one.

use serde_json::{Value, json};

use crate::support::{Api, Bench, question};

/// A question with this limit.
fn limited(client: Api, limit: &Value) -> Value {
    let more = match client {
        Api::Chat => json!({"max_completion_tokens": limit}),
        Api::Responses => json!({"max_output_tokens": limit}),
        Api::Anthropic => json!({"max_tokens": limit}),
        Api::Ollama => json!({"options": {"num_predict": limit}}),
    };
    question(client, &more)
}

/// The limit that the backend was told.
fn told(backend: Api, sent: &Value) -> Value {
    match backend {
        Api::Chat | Api::Anthropic => sent["max_tokens"].clone(),
        Api::Responses => sent["max_output_tokens"].clone(),
        Api::Ollama => sent["options"]["num_predict"].clone(),
    }
}

#[tokio::test]
async fn the_limit_has_its_name_in_every_api() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.sent(client, backend, &limited(client, &json!(4321))).await;
        assert_eq!(told(backend, &sent), 4321, "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn the_older_name_of_openai_is_known_and_the_newer_one_wins() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        let sent = bench.sent(Api::Chat, backend, &question(Api::Chat, &json!({"max_tokens": 12}))).await;
        assert_eq!(told(backend, &sent), 12, "{backend:?}");
        for order in [
            r#"{"max_tokens":12,"max_completion_tokens":34,"#,
            r#"{"max_completion_tokens":34,"max_tokens":12,"#,
        ] {
            let request = question(Api::Chat, &json!({})).to_string().replacen('{', order, 1);
            let sent = bench.ask_text(Api::Chat, backend, &request).await.json;
            assert_eq!(told(backend, &sent), 34, "{backend:?}");
        }
    }
}

#[tokio::test]
async fn the_name_at_a_chat_backend_is_its_own_choice() {
    for (field, other) in [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")] {
        let mut bench = Bench::with(Api::Chat, &format!("max_tokens_field = \"{field}\"")).await;
        for client in Api::Chat.others() {
            let sent = bench.sent(client, Api::Chat, &limited(client, &json!(99))).await;
            assert_eq!((&sent[field], sent.get(other)), (&json!(99), None), "{client:?}");
        }
    }
}

#[tokio::test]
async fn no_limit_is_told_where_there_is_none() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        if client == Api::Anthropic || backend == Api::Anthropic {
            continue;
        }
        let sent = bench.sent(client, backend, &question(client, &json!({}))).await;
        assert_eq!(told(backend, &sent), Value::Null, "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn endless_is_no_limit() {
    let mut bench = Bench::start().await;
    for backend in Api::Ollama.others() {
        for endless in [-1, -2] {
            let sent = bench.sent(Api::Ollama, backend, &limited(Api::Ollama, &json!(endless))).await;
            let wanted = if backend == Api::Anthropic { json!(8192) } else { json!(null) };
            assert_eq!(told(backend, &sent), wanted, "{backend:?}, {endless}");
        }
    }
}

#[tokio::test]
async fn anthropic_is_always_told_a_limit() {
    for (lines, wanted) in [("", 8192), ("default_max_tokens = 4000", 4000)] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for client in Api::Anthropic.others() {
            let sent = bench.sent(client, Api::Anthropic, &question(client, &json!({}))).await;
            assert_eq!(sent["max_tokens"], wanted, "{client:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_for_anthropic_is_a_whole_number() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        for (limit, wanted) in [("64.0", 64), ("1e3", 1000), ("200", 200)] {
            let request = limited(client, &json!("LIMIT")).to_string().replace("\"LIMIT\"", limit);
            let sent = bench.ask_text(client, Api::Anthropic, &request).await;
            assert!(sent.text.contains(&format!("\"max_tokens\":{wanted},")), "{client:?}: {}", sent.text);
        }
    }
}

#[tokio::test]
async fn no_token_at_all_is_told_as_one() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        for none in [json!(0), json!(0.0)] {
            let sent = bench.sent(client, backend, &limited(client, &none)).await;
            assert_eq!(told(backend, &sent), 1, "{none} of {client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_no_number_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for client in Api::ALL {
        for backend in client.others() {
            let words = bench.refused(client, backend, &limited(client, &json!("many"))).await.message;
            let field = match client {
                Api::Chat => "max_completion_tokens",
                Api::Responses => "max_output_tokens",
                Api::Anthropic => "max_tokens",
                Api::Ollama => "num_predict",
            };
            assert!(words.contains(field), "{client:?}: {words}");
        }
    }
}
