//! The tools of a request: their schemas, what a vendor runs itself, and what a history needs of them.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Turn, question, talk};

/// A tool as a client of this API offers it.
fn tool(client: Api, name: &str, more: &Value) -> Value {
    let mut inner = json!({"name": name, "description": "in metres"});
    let schema = if client == Api::Anthropic { "input_schema" } else { "parameters" };
    inner[schema] = json!({"type": "object", "properties": {}});
    inner.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    match client {
        Api::Chat | Api::Ollama => json!({"type": "function", "function": inner}),
        Api::Anthropic => inner,
        Api::Responses => {
            inner["type"] = json!("function");
            inner
        }
    }
}

/// The tool as this backend is offered it, whatever stands around.
fn inner(backend: Api, tool: &Value) -> &Value {
    if matches!(backend, Api::Chat | Api::Ollama) { &tool["function"] } else { tool }
}

#[tokio::test]
async fn a_schema_reaches_every_backend_as_it_was_written() {
    let schema = r##"{"type":"object","$defs":{"n":{"minimum":1.0,"maximum":1e400}},"properties":{"z":{"$ref":"#/$defs/n"},"a":{"pattern":"^[A-Z]\\d$","const":9223372036854775808}},"additionalProperties":false,"required":["z"],"x-order":[]}"##;
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let placed = tool(client, "depth", &json!({}))
            .to_string()
            .replace(r#"{"properties":{},"type":"object"}"#, schema);
        let request =
            question(client, &json!({})).to_string().replacen('{', &format!("{{\"tools\":[{placed}],"), 1);
        let sent = bench.ask_text(client, backend, &request).await;
        assert!(sent.text.contains(schema), "{client:?} to {backend:?}: {}", sent.text);
        let offered = inner(backend, &sent.json["tools"][0]);
        assert_eq!((&offered["name"], &offered["description"]), (&json!("depth"), &json!("in metres")));
        assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn a_tool_without_description_and_schema_is_lawful_everywhere() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let mut bare = tool(client, "now", &json!({}));
        for member in ["description", "parameters", "input_schema"] {
            bare.as_object_mut().unwrap().remove(member);
            if let Some(function) = bare["function"].as_object_mut() {
                function.remove(member);
            }
        }
        let sent = bench.sent(client, backend, &question(client, &json!({"tools": [bare]}))).await;
        assert_eq!(inner(backend, &sent["tools"][0])["name"], "now", "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn a_schema_says_its_properties_where_openai_wants_them() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(_, backend)| *backend != Api::Anthropic) {
        for schema in [json!({"type": "object"}), json!({}), json!({"type": "object", "properties": null})] {
            let mut bare = tool(client, "now", &json!({}));
            let place = if bare["function"].is_object() { &mut bare["function"] } else { &mut bare };
            place[if client == Api::Anthropic { "input_schema" } else { "parameters" }] = schema.clone();
            let sent = bench.sent(client, backend, &question(client, &json!({"tools": [bare]}))).await;
            let told = &inner(backend, &sent["tools"][0])["parameters"];
            assert_eq!(
                told,
                &json!({"type": "object", "properties": {}}),
                "{schema}: {client:?} to {backend:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_tool_is_known_nested_or_flat_and_in_the_words_of_another_vendor() {
    let schema = json!({"type": "object", "properties": {"of": {"type": "string"}}});
    let forms = [
        json!({"type": "function", "name": "depth", "parameters": schema}),
        json!({"name": "depth", "parameters": schema}),
        json!({"name": "depth", "input_schema": schema}),
        json!({"type": "function", "function": {"name": "depth", "parameters": schema}}),
        json!({"function": {"name": "depth", "parameters": schema}}),
    ];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        for form in &forms {
            let sent = bench.ask(client, backend, &question(client, &json!({"tools": [form]}))).await;
            let offered = inner(backend, &sent.json["tools"][0]);
            let told = offered.get("input_schema").unwrap_or_else(|| &offered["parameters"]);
            assert_eq!(
                (&offered["name"], told),
                (&json!("depth"), &schema),
                "{form}: {client:?} to {backend:?}"
            );
            assert!(sent.dropped.is_empty(), "{form}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn strict_stays_strict_and_nothing_else_becomes_it() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs().filter(|(client, _)| *client != Api::Ollama) {
        for strict in [json!(true), json!(false), json!(null)] {
            let tools = json!([tool(client, "depth", &json!({"strict": strict}))]);
            let sent = bench.ask(client, backend, &question(client, &json!({"tools": tools}))).await;
            let told = inner(backend, &sent.json["tools"][0])["strict"] == true;
            if backend == Api::Ollama {
                let named = sent.dropped.iter().any(|name| name.ends_with("strict"));
                assert_eq!((told, named), (false, strict == true), "{client:?}: {:?}", sent.dropped);
            } else {
                assert_eq!(told, strict == true, "{client:?} to {backend:?}: {}", sent.text);
            }
        }
    }
}

#[tokio::test]
async fn tools_that_the_vendor_runs_are_dropped_and_named() {
    let mut bench = Bench::start().await;
    let anthropic = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 5});
    for (client, hosted, name) in [
        (Api::Anthropic, anthropic, "web_search_20250305"),
        (Api::Chat, json!({"type": "web_search"}), "web_search"),
        (Api::Responses, json!({"type": "web_search"}), "web_search"),
        (Api::Responses, json!({"type": "file_search", "vector_store_ids": ["vs_1"]}), "file_search"),
        (
            Api::Responses,
            json!({"type": "mcp", "server_label": "x", "server_url": "https://example.org"}),
            "mcp",
        ),
    ] {
        for backend in client.others() {
            let tools = json!([hosted, tool(client, "depth", &json!({}))]);
            let sent = bench.ask(client, backend, &question(client, &json!({"tools": tools}))).await;
            assert_eq!(sent.json["tools"].as_array().unwrap().len(), 1, "{client:?} to {backend:?}");
            assert!(sent.dropped.iter().any(|dropped| dropped.contains(name)), "{name}: {:?}", sent.dropped);
            // A model that has no tool left would make up what the tool was to find.
            let alone = question(client, &json!({"tools": [hosted], "tool_choice": "auto"}));
            let refused = bench.refused(client, backend, &alone).await.message;
            assert!(
                refused.contains("tools") && refused.contains(name),
                "{client:?} to {backend:?}: {refused}"
            );
            let unused = question(client, &json!({"tools": [hosted], "tool_choice": "none"}));
            let sent = bench.sent(client, backend, &unused).await;
            assert!(sent.get("tools").is_none(), "{client:?} to {backend:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_cannot_be_told_is_refused() {
    let mut bench = Bench::start().await;
    let custom = json!({"type": "custom", "custom": {"name": "patch", "description": "any text"}});
    for backend in Api::Chat.others() {
        let refused =
            bench.refused(Api::Chat, backend, &question(Api::Chat, &json!({"tools": [custom]}))).await;
        assert_eq!(refused.param.as_deref(), Some("tools"), "{backend:?}");
    }
    for (client, backend) in Api::pairs() {
        let nameless = tool(client, "", &json!({}));
        let words =
            bench.refused(client, backend, &question(client, &json!({"tools": [nameless]}))).await.message;
        assert!(words.contains("tool"), "{client:?}: {words}");
    }
}

#[tokio::test]
async fn a_history_with_calls_has_its_tools_for_anthropic() {
    let turns = [
        Turn::User("Q"),
        Turn::Calls(&[("c1", "depth", "{}"), ("c2", "depth", "{}"), ("c3", "width", "{}")]),
        Turn::Results(&[("c1", "9 m"), ("c2", "9 m"), ("c3", "80 m")]),
    ];
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let names: Vec<&Value> = sent["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["depth", "width"], "{client:?}");
        // The client offers none, so the model must not call one.
        assert_eq!(sent["tool_choice"], json!({"type": "none"}), "{client:?}");
    }
}

#[tokio::test]
async fn what_else_is_said_of_a_tool_is_named() {
    let mut bench = Bench::start().await;
    let examples = json!({"input_examples": [{"of": "Tisza"}], "defer_loading": true});
    for backend in Api::Anthropic.others() {
        let tools = json!([tool(Api::Anthropic, "depth", &examples)]);
        let dropped = bench
            .ask(Api::Anthropic, backend, &question(Api::Anthropic, &json!({"tools": tools})))
            .await
            .dropped;
        assert!(dropped.iter().any(|name| name.ends_with("input_examples")), "{backend:?}: {dropped:?}");
    }
    let grammar = json!({"type": "grammar", "syntax": "lark", "definition": "start: /.+/"});
    let patch = json!({"type": "custom", "name": "patch", "format": grammar});
    for backend in Api::Responses.others() {
        let dropped = bench
            .ask(Api::Responses, backend, &question(Api::Responses, &json!({"tools": [patch]})))
            .await
            .dropped;
        assert!(dropped.iter().any(|name| name.ends_with("format")), "{backend:?}: {dropped:?}");
    }
}

#[tokio::test]
async fn a_custom_tool_is_a_function_of_one_string() {
    let mut bench = Bench::start().await;
    let patch = json!({"type": "custom", "name": "patch", "description": "Apply a patch."});
    for backend in Api::Responses.others() {
        let sent =
            bench.sent(Api::Responses, backend, &question(Api::Responses, &json!({"tools": [patch]}))).await;
        let offered = inner(backend, &sent["tools"][0]);
        let schema = offered.get("input_schema").unwrap_or_else(|| &offered["parameters"]);
        assert_eq!((&offered["name"], &offered["description"]), (&json!("patch"), &json!("Apply a patch.")));
        assert_eq!(schema["properties"]["input"]["type"], "string", "{backend:?}: {offered}");
        assert_eq!(schema["required"], json!(["input"]), "{backend:?}: {offered}");
    }
}

#[tokio::test]
async fn a_custom_call_of_the_history_is_a_call_with_that_string() {
    let mut bench = Bench::start().await;
    let input = "*** Begin Patch\n+\"Tisza\" \\ \u{1f30a}\n*** End Patch";
    let items = json!([
        {"role": "user", "content": "Q"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "patch", "input": input},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done!"}
    ]);
    for backend in Api::Responses.others() {
        let sent = bench.sent(Api::Responses, backend, &json!({"input": items})).await;
        let (call, result) = (&sent["messages"][1], &sent["messages"][2]);
        let arguments = match backend {
            Api::Anthropic => call["content"][0]["input"].clone(),
            Api::Ollama => call["tool_calls"][0]["function"]["arguments"].clone(),
            Api::Chat | Api::Responses => {
                serde_json::from_str(call["tool_calls"][0]["function"]["arguments"].as_str().unwrap())
                    .unwrap()
            }
        };
        assert_eq!(arguments, json!({"input": input}), "{backend:?}");
        assert!(result.to_string().contains("Done!"), "{backend:?}: {result}");
    }
}
