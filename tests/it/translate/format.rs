//! Structured output.

use serde_json::{Value, json};

use crate::support::{Api, Bench, question};

const SCHEMA: &str = r#"{"type":"object","properties":{"z":{"type":"string","pattern":"^[A-Z]"},"a":{"type":"number","minimum":1.0}},"required":["z","a"],"additionalProperties":false}"#;

/// A question that wants its answer in this shape, which is put in place of `SCHEMA`.
fn shaped(client: Api) -> Value {
    match client {
        Api::Chat => {
            let named = json!({"name": "river", "strict": true, "schema": "SCHEMA"});
            question(client, &json!({"response_format": {"type": "json_schema", "json_schema": named}}))
        }
        Api::Responses => {
            let format = json!({"type": "json_schema", "name": "river", "strict": true, "schema": "SCHEMA"});
            question(client, &json!({"text": {"format": format}}))
        }
        Api::Anthropic => question(
            client,
            &json!({"output_config": {"format": {"type": "json_schema", "schema": "SCHEMA"}}}),
        ),
        Api::Ollama => question(client, &json!({"format": "SCHEMA"})),
    }
}

/// Where the backend is told the shape.
fn format(backend: Api, sent: &Value) -> &Value {
    match backend {
        Api::Chat => &sent["response_format"],
        Api::Responses => &sent["text"]["format"],
        Api::Anthropic => &sent["output_config"]["format"],
        Api::Ollama => &sent["format"],
    }
}

#[tokio::test]
async fn a_schema_reaches_every_backend_as_it_was_written() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let request = shaped(client).to_string().replace("\"SCHEMA\"", SCHEMA);
        let sent = bench.ask_text(client, backend, &request).await;
        assert!(sent.text.contains(SCHEMA), "{client:?} to {backend:?}: {}", sent.text);
        let told = format(backend, &sent.json);
        let (kind, named) = match backend {
            Api::Chat => (&told["type"], &told["json_schema"]),
            Api::Responses | Api::Anthropic => (&told["type"], told),
            Api::Ollama => continue,
        };
        assert_eq!(kind, "json_schema", "{client:?} to {backend:?}");
        if backend == Api::Anthropic {
            assert!(named.get("name").is_none() && named.get("strict").is_none(), "{told}");
        } else {
            assert!(named["name"].as_str().is_some_and(|name| !name.is_empty()), "{client:?}: {told}");
            let (name, strict) = (named["name"] == "river", named["strict"] == true);
            let own = matches!(client, Api::Chat | Api::Responses);
            assert_eq!((name, strict), (own, own), "{client:?} to {backend:?}: {told}");
        }
        assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn any_json_is_asked_for_where_that_can_be_said() {
    let mut bench = Bench::start().await;
    for (client, more) in [
        (Api::Chat, json!({"response_format": {"type": "json_object"}})),
        (Api::Responses, json!({"text": {"format": {"type": "json_object"}}})),
        (Api::Ollama, json!({"format": "json"})),
    ] {
        // Anthropic's models cannot promise it.
        for backend in client.others().filter(|backend| *backend != Api::Anthropic) {
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            match backend {
                Api::Chat | Api::Responses => {
                    assert_eq!(format(backend, &sent.json), &json!({"type": "json_object"}), "{client:?}");
                }
                Api::Ollama | Api::Anthropic => assert_eq!(sent.json["format"], "json", "{client:?}"),
            }
        }
    }
}

#[tokio::test]
async fn text_is_what_there_is_anyway() {
    let mut bench = Bench::start().await;
    for (client, more) in [
        (Api::Chat, json!({"response_format": {"type": "text"}})),
        (Api::Responses, json!({"text": {"format": {"type": "text"}}})),
        (Api::Ollama, json!({"format": ""})),
    ] {
        for backend in client.others() {
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            assert!(format(backend, &sent.json).is_null(), "{client:?} to {backend:?}: {}", sent.text);
            assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn the_older_place_of_the_schema_at_anthropics_is_known() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let more = json!({"output_format": {"type": "json_schema", "schema": {"type": "object"}}});
        let sent = bench.sent(Api::Anthropic, backend, &question(Api::Anthropic, &more)).await;
        assert!(format(backend, &sent).to_string().contains(r#"{"type":"object"}"#), "{backend:?}: {sent}");
    }
}

#[tokio::test]
async fn a_shape_that_nobody_knows_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for (client, more, field) in [
        (Api::Chat, json!({"response_format": {"type": "xml"}}), "response_format"),
        (Api::Chat, json!({"response_format": {"type": "json_schema"}}), "response_format"),
        (Api::Responses, json!({"text": {"format": {"type": "grammar"}}}), "text"),
        (Api::Anthropic, json!({"output_config": {"format": {"type": "json_schema"}}}), "output_config"),
        (Api::Ollama, json!({"format": "xml"}), "format"),
    ] {
        for backend in client.others() {
            let refused = bench.refused(client, backend, &question(client, &more)).await;
            assert!(refused.message.contains(field), "{client:?}: {}", refused.message);
        }
    }
}
