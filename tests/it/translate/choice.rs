//! Which tool the model is to call, and whether several at once.

use serde_json::{Value, json};

use crate::support::{Api, Bench, question};

/// A choice of the client, whatever the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    None,
    Required,
    Named,
}

const CHOICES: [Choice; 4] = [Choice::Auto, Choice::None, Choice::Required, Choice::Named];

/// The choice as this API writes it; Ollama has none.
fn written(api: Api, choice: Choice) -> Value {
    match (api, choice) {
        (Api::Anthropic, Choice::Auto) => json!({"type": "auto"}),
        (Api::Anthropic, Choice::None) => json!({"type": "none"}),
        (Api::Anthropic, Choice::Required) => json!({"type": "any"}),
        (Api::Anthropic, Choice::Named) => json!({"type": "tool", "name": "depth"}),
        (Api::Ollama, _) => json!(null),
        (_, Choice::Auto) => json!("auto"),
        (_, Choice::None) => json!("none"),
        (_, Choice::Required) => json!("required"),
        (Api::Chat, Choice::Named) => json!({"type": "function", "function": {"name": "depth"}}),
        (Api::Responses, Choice::Named) => json!({"type": "function", "name": "depth"}),
    }
}

fn tools(client: Api) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    match client {
        Api::Chat | Api::Ollama => {
            json!([{"type": "function", "function": {"name": "depth", "parameters": schema}}])
        }
        Api::Responses => json!([{"type": "function", "name": "depth", "parameters": schema}]),
        Api::Anthropic => json!([{"name": "depth", "input_schema": schema}]),
    }
}

#[tokio::test]
async fn every_choice_has_its_word_in_every_api() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        if client == Api::Ollama || backend == Api::Ollama {
            continue;
        }
        for choice in CHOICES {
            let more = json!({"tools": tools(client), "tool_choice": written(client, choice)});
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            let wanted = written(backend, choice);
            assert_eq!(sent.json["tool_choice"], wanted, "{client:?} to {backend:?}: {choice:?}");
            assert!(sent.json["tools"].is_array() && sent.dropped.is_empty(), "{}", sent.text);
        }
    }
}

#[tokio::test]
async fn ollama_is_sent_no_tools_where_none_may_be_called_and_what_it_ignores_is_named() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        for choice in CHOICES {
            let more = json!({"tools": tools(client), "tool_choice": written(client, choice)});
            let sent = bench.ask(client, Api::Ollama, &question(client, &more)).await;
            assert_eq!(sent.json.get("tools").is_none(), choice == Choice::None, "{client:?}: {choice:?}");
            let forced = matches!(choice, Choice::Required | Choice::Named);
            assert_eq!(sent.dropped.contains(&"tool_choice".to_owned()), forced, "{client:?}: {choice:?}");
        }
    }
}

#[tokio::test]
async fn no_choice_is_no_choice() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.sent(client, backend, &question(client, &json!({"tools": tools(client)}))).await;
        assert!(sent.get("tool_choice").is_none(), "{client:?} to {backend:?}: {sent}");
        assert!(sent.get("parallel_tool_calls").is_none(), "{client:?} to {backend:?}: {sent}");
    }
}

#[tokio::test]
async fn a_choice_without_tools_is_not_told() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        for backend in client.others() {
            let mut more = json!({"tool_choice": written(client, Choice::Auto)});
            if client != Api::Anthropic {
                more["parallel_tool_calls"] = json!(false);
            }
            let sent = bench.sent(client, backend, &question(client, &more)).await;
            assert!(sent.get("tool_choice").is_none(), "{client:?} to {backend:?}: {sent}");
            assert!(sent.get("parallel_tool_calls").is_none(), "{client:?} to {backend:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn one_call_at_a_time_is_told_to_every_backend_that_can_hear_it() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        for backend in client.others() {
            for choice in [Choice::Auto, Choice::Required, Choice::Named] {
                let mut more = json!({"tools": tools(client), "tool_choice": written(client, choice)});
                if client == Api::Anthropic {
                    more["tool_choice"]["disable_parallel_tool_use"] = json!(true);
                } else {
                    more["parallel_tool_calls"] = json!(false);
                }
                let sent = bench.ask(client, backend, &question(client, &more)).await;
                let case = format!("{client:?} to {backend:?}: {choice:?}");
                match backend {
                    Api::Chat | Api::Responses => {
                        assert_eq!(sent.json["parallel_tool_calls"], false, "{case}");
                        assert_eq!(sent.json["tool_choice"], written(backend, choice), "{case}");
                    }
                    Api::Anthropic => {
                        let mut wanted = written(backend, choice);
                        wanted["disable_parallel_tool_use"] = json!(true);
                        assert_eq!(sent.json["tool_choice"], wanted, "{case}");
                    }
                    Api::Ollama => {
                        assert!(sent.dropped.contains(&"parallel_tool_calls".to_owned()), "{case}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn one_call_at_a_time_makes_a_choice_for_anthropic_where_there_is_none() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let more = json!({"tools": tools(client), "parallel_tool_calls": false});
        let sent = bench.sent(client, Api::Anthropic, &question(client, &more)).await;
        let wanted = json!({"type": "auto", "disable_parallel_tool_use": true});
        assert_eq!(sent["tool_choice"], wanted, "{client:?}");
        let more = json!({"tools": tools(client), "tool_choice": "none", "parallel_tool_calls": false});
        let sent = bench.sent(client, Api::Anthropic, &question(client, &more)).await;
        assert_eq!(sent["tool_choice"], json!({"type": "none"}), "{client:?}");
        let more = json!({"tools": tools(client), "parallel_tool_calls": true});
        let sent = bench.sent(client, Api::Anthropic, &question(client, &more)).await;
        assert!(sent.get("tool_choice").is_none(), "{client:?}: {sent}");
    }
}

/// Two tools, and the choice that allows the second alone.
fn allowing(client: Api, mode: &str) -> Value {
    let mut both = tools(client);
    let mut other = both[0].clone();
    let place = if client == Api::Chat { &mut other["function"] } else { &mut other };
    place["name"] = json!("width");
    both.as_array_mut().unwrap().push(other);
    let choice = match client {
        Api::Chat => {
            let allowed = json!([{"type": "function", "function": {"name": "width"}}]);
            json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}})
        }
        Api::Responses | Api::Anthropic | Api::Ollama => {
            json!({"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "width"}]})
        }
    };
    json!({"tools": both, "tool_choice": choice})
}

#[tokio::test]
async fn allowed_tools_are_the_only_ones_that_are_told() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        for backend in client.others() {
            for (mode, choice) in [("auto", Choice::Auto), ("required", Choice::Required)] {
                let sent = bench.sent(client, backend, &question(client, &allowing(client, mode))).await;
                let names = sent["tools"].to_string();
                assert!(
                    names.contains("width") && !names.contains("depth"),
                    "{client:?} to {backend:?}: {names}"
                );
                if backend != Api::Ollama {
                    assert_eq!(
                        sent["tool_choice"],
                        written(backend, choice),
                        "{client:?} to {backend:?}: {mode}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_choice_is_understood_in_the_words_of_every_vendor() {
    let mut bench = Bench::start().await;
    for client in Api::Ollama.others() {
        for backend in client.others().filter(|backend| *backend != Api::Ollama) {
            for (choice, meant) in [
                (json!("any"), Choice::Required),
                (json!("required"), Choice::Required),
                (json!("auto"), Choice::Auto),
                (json!("none"), Choice::None),
                (json!({"type": "auto"}), Choice::Auto),
                (json!({"type": "any"}), Choice::Required),
                (json!({"type": "required"}), Choice::Required),
                (json!({"type": "none"}), Choice::None),
                (json!({"type": "tool", "name": "depth"}), Choice::Named),
                (json!({"type": "function", "name": "depth"}), Choice::Named),
                (json!({"type": "function", "function": {"name": "depth"}}), Choice::Named),
                (json!({"function": {"name": "depth"}}), Choice::Named),
            ] {
                let more = json!({"tools": tools(client), "tool_choice": choice});
                let sent = bench.sent(client, backend, &question(client, &more)).await;
                assert_eq!(
                    sent["tool_choice"],
                    written(backend, meant),
                    "{choice}: {client:?} to {backend:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_choice_of_a_tool_that_is_not_told_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for (client, hosted, choice) in [
        (
            Api::Anthropic,
            json!({"type": "web_search_20250305", "name": "web_search"}),
            json!({"type": "tool", "name": "web_search"}),
        ),
        (Api::Responses, json!({"type": "web_search"}), json!({"type": "web_search"})),
        (Api::Responses, json!({"type": "web_search"}), json!({"type": "function", "name": "width"})),
        (
            Api::Chat,
            json!({"type": "web_search"}),
            json!({"type": "function", "function": {"name": "width"}}),
        ),
        (
            Api::Responses,
            json!({"type": "web_search"}),
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}),
        ),
    ] {
        let mut offered = tools(client);
        offered.as_array_mut().unwrap().push(hosted);
        for backend in client.others() {
            let more = json!({"tools": offered, "tool_choice": choice});
            let refused = bench.refused(client, backend, &question(client, &more)).await.message;
            assert!(refused.contains("tool_choice"), "{choice}: {client:?} to {backend:?}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_choice_that_nobody_knows_is_refused_by_name() {
    let mut bench = Bench::start().await;
    let allowed = json!({"type": "allowed_tools", "mode": "auto", "tools": []});
    for (client, choice) in [
        (Api::Chat, json!("sometimes")),
        (Api::Chat, json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}})),
        (Api::Responses, json!("sometimes")),
        (Api::Responses, allowed),
        (Api::Anthropic, json!({"type": "sometimes"})),
        (Api::Anthropic, json!({"type": "tool"})),
    ] {
        for backend in client.others() {
            let more = json!({"tools": tools(client), "tool_choice": choice});
            let refused = bench.refused(client, backend, &question(client, &more)).await;
            assert!(refused.message.contains("tool_choice"), "{client:?}: {}", refused.message);
        }
    }
}
