//! How much the model should think, in the words of each API, and what thinking forbids.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Sent, question};

/// A question with this effort in OpenAI's words, and room for any budget.
fn asked(client: Api, effort: &str, more: &Value) -> Value {
    let own = match client {
        Api::Responses => json!({"reasoning": {"effort": effort}, "max_output_tokens": 32000}),
        Api::Chat | Api::Anthropic | Api::Ollama => {
            json!({"reasoning_effort": effort, "max_completion_tokens": 32000})
        }
    };
    let mut request = question(client, &own);
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

/// The level that a backend of OpenAI's was told.
fn level(backend: Api, sent: &Value) -> Value {
    if backend == Api::Chat { sent["reasoning_effort"].clone() } else { sent["reasoning"]["effort"].clone() }
}

/// OpenAI's efforts with Ollama's `think`, the budget and the level of Anthropic.
fn table() -> [(&'static str, Value, u64, &'static str); 7] {
    [
        ("minimal", json!("low"), 1024, "low"),
        ("low", json!("low"), 1024, "low"),
        ("medium", json!("medium"), 2048, "medium"),
        ("high", json!("high"), 4096, "high"),
        ("xhigh", json!("max"), 8192, "xhigh"),
        ("max", json!("max"), 16384, "max"),
        ("none", json!(false), 0, ""),
    ]
}

#[tokio::test]
async fn the_efforts_of_openai_are_ollamas_think() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        for (effort, think, _, _) in table() {
            let sent = bench.sent(client, Api::Ollama, &asked(client, effort, &json!({}))).await;
            assert_eq!(sent["think"], think, "{client:?}: {effort}");
        }
    }
}

#[tokio::test]
async fn the_efforts_of_openai_are_budgets_of_anthropic() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        for (effort, _, budget, _) in table() {
            let sent = bench.ask(client, Api::Anthropic, &asked(client, effort, &json!({}))).await;
            let wanted = match budget {
                0 => json!({"type": "disabled"}),
                budget => json!({"type": "enabled", "budget_tokens": budget}),
            };
            assert_eq!(sent.json["thinking"], wanted, "{client:?}: {effort}");
            assert!(sent.json.get("output_config").is_none(), "{client:?}: {}", sent.text);
            assert!(sent.dropped.is_empty(), "{client:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn the_efforts_of_openai_are_levels_of_anthropics_newest_models() {
    let mut bench = Bench::with(Api::Anthropic, "thinking = \"adaptive\"").await;
    for client in [Api::Chat, Api::Responses] {
        for (effort, _, _, level) in table() {
            let sent = bench.sent(client, Api::Anthropic, &asked(client, effort, &json!({}))).await;
            if level.is_empty() {
                assert_eq!(sent["thinking"], json!({"type": "disabled"}), "{client:?}: {effort}");
            } else {
                assert_eq!(sent["thinking"], json!({"type": "adaptive"}), "{client:?}: {effort}");
                assert_eq!(sent["output_config"], json!({"effort": level}), "{client:?}: {effort}");
            }
        }
    }
}

#[tokio::test]
async fn the_newest_word_for_the_most_effort_is_known() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let sent = bench.sent(client, Api::Ollama, &asked(client, "ultra", &json!({}))).await;
        assert_eq!(sent["think"], "max", "{client:?}");
    }
}

#[tokio::test]
async fn the_effort_is_the_same_in_both_apis_of_openai() {
    let mut bench = Bench::start().await;
    for (client, backend) in [(Api::Chat, Api::Responses), (Api::Responses, Api::Chat)] {
        for effort in ["none", "minimal", "low", "medium", "high", "xhigh"] {
            let sent = bench.sent(client, backend, &asked(client, effort, &json!({}))).await;
            assert_eq!(level(backend, &sent), effort, "{client:?}");
        }
    }
}

#[tokio::test]
async fn ollamas_think_is_an_effort() {
    for lines in ["thinking = \"budget\"", "thinking = \"adaptive\""] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for (think, effort, budget) in [
            (json!(true), "medium", 2048),
            (json!("low"), "low", 1024),
            (json!("medium"), "medium", 2048),
            (json!("high"), "high", 4096),
            (json!("max"), "max", 16384),
            (json!(false), "none", 0),
        ] {
            let request = question(Api::Ollama, &json!({"think": think, "options": {"num_predict": 32000}}));
            for backend in [Api::Chat, Api::Responses] {
                let sent = bench.sent(Api::Ollama, backend, &request).await;
                assert_eq!(level(backend, &sent), effort, "{think} to {backend:?}");
            }
            let sent = bench.sent(Api::Ollama, Api::Anthropic, &request).await;
            match (effort, lines.contains("adaptive")) {
                ("none", _) => assert_eq!(sent["thinking"], json!({"type": "disabled"})),
                (_, true) => assert_eq!(sent["output_config"]["effort"], effort, "{think}"),
                (_, false) => assert_eq!(sent["thinking"]["budget_tokens"], budget, "{think}"),
            }
        }
    }
}

#[tokio::test]
async fn thinking_without_a_budget_is_as_much_as_the_model_likes() {
    let mut bench = Bench::start().await;
    for thinking in [
        json!({"type": "enabled"}),
        json!({"type": "enabled", "budget_tokens": null}),
        json!({"type": "adaptive"}),
        json!({"type": "between_tools"}),
    ] {
        for backend in [Api::Chat, Api::Responses] {
            let request = question(Api::Anthropic, &json!({"thinking": thinking}));
            let sent = bench.sent(Api::Anthropic, backend, &request).await;
            assert_eq!(level(backend, &sent), "high", "{thinking} to {backend:?}");
        }
    }
    let shown = json!({"thinking": {"type": "adaptive", "display": "omitted"}});
    let sent = bench.ask(Api::Anthropic, Api::Chat, &question(Api::Anthropic, &shown)).await;
    assert_eq!(sent.dropped, ["thinking.display"]);
}

#[tokio::test]
async fn the_effort_of_the_model_itself_is_not_told() {
    let mut bench = Bench::start().await;
    for (client, more) in [
        (Api::Chat, json!({"reasoning_effort": "default"})),
        (Api::Responses, json!({"reasoning": {"effort": "default"}})),
        (Api::Anthropic, json!({"output_config": {"effort": "default"}})),
    ] {
        for backend in client.others() {
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            for member in ["reasoning_effort", "reasoning", "think", "thinking"] {
                assert!(sent.json.get(member).is_none(), "{client:?} to {backend:?}: {}", sent.text);
            }
            assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn what_a_template_is_told_of_thinking_is_an_effort() {
    let mut bench = Bench::start().await;
    for (name, thinks, effort) in
        [("enable_thinking", false, "none"), ("thinking", false, "none"), ("enable_thinking", true, "medium")]
    {
        let more = json!({"chat_template_kwargs": {name: thinks}});
        let sent = bench.sent(Api::Chat, Api::Responses, &question(Api::Chat, &more)).await;
        assert_eq!(level(Api::Responses, &sent), effort, "{name}: {thinks}");
    }
}

#[tokio::test]
async fn anthropics_thinking_is_an_effort() {
    let mut bench = Bench::start().await;
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    for (more, effort, think) in [
        (json!({"thinking": budget(1023)}), "minimal", json!("low")),
        (json!({"thinking": budget(1024)}), "low", json!("low")),
        (json!({"thinking": budget(2047)}), "low", json!("low")),
        (json!({"thinking": budget(2048)}), "medium", json!("medium")),
        (json!({"thinking": budget(4096)}), "high", json!("high")),
        (json!({"thinking": budget(31999)}), "high", json!("high")),
        (json!({"thinking": {"type": "disabled"}}), "none", json!(false)),
        (json!({"thinking": {"type": "adaptive"}}), "high", json!("high")),
        (json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}), "low", json!("low")),
        (json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}), "max", json!("max")),
        (
            json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}),
            "none",
            json!(false),
        ),
        (json!({"output_config": {"effort": "medium"}}), "medium", json!("medium")),
    ] {
        let request = question(Api::Anthropic, &more);
        for backend in [Api::Chat, Api::Responses] {
            let sent = bench.sent(Api::Anthropic, backend, &request).await;
            assert_eq!(level(backend, &sent), effort, "{more} to {backend:?}");
        }
        assert_eq!(bench.sent(Api::Anthropic, Api::Ollama, &request).await["think"], think, "{more}");
    }
}

#[tokio::test]
async fn nobody_is_told_how_much_to_think_where_nobody_said_it() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.sent(client, backend, &question(client, &json!({}))).await;
        for name in ["think", "thinking", "reasoning", "reasoning_effort", "output_config", "include"] {
            assert!(sent.get(name).is_none(), "{client:?} to {backend:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn an_effort_that_nobody_knows_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for (client, more, field) in [
        (Api::Chat, json!({"reasoning_effort": "huge"}), "reasoning_effort"),
        (Api::Responses, json!({"reasoning": {"effort": "huge"}}), "reasoning.effort"),
        (Api::Anthropic, json!({"output_config": {"effort": "huge"}}), "output_config.effort"),
        (Api::Anthropic, json!({"thinking": {"type": "huge"}}), "thinking"),
        (Api::Anthropic, json!({"thinking": {"type": "enabled", "budget_tokens": "much"}}), "thinking"),
        (Api::Ollama, json!({"think": "huge"}), "think"),
    ] {
        for backend in client.others() {
            let words = bench.refused(client, backend, &question(client, &more)).await.message;
            assert!(words.contains(field), "{client:?}: {words}");
        }
    }
}

/// What Anthropic is asked when a chat wants this effort with this limit; a limit of 0 is none.
async fn budgeted(bench: &mut Bench, effort: &str, limit: u64) -> Sent {
    let mut request = question(Api::Chat, &json!({"reasoning_effort": effort}));
    if limit > 0 {
        request["max_tokens"] = json!(limit);
    }
    bench.ask(Api::Chat, Api::Anthropic, &request).await
}

#[tokio::test]
async fn a_budget_is_at_least_1024_and_smaller_than_the_limit() {
    let mut bench = Bench::start().await;
    for (effort, limit, budget) in [
        ("high", 4097, 4096),
        ("high", 4096, 4095),
        ("high", 2000, 1999),
        ("max", 1025, 1024),
        ("low", 1025, 1024),
    ] {
        let sent = budgeted(&mut bench, effort, limit).await;
        assert_eq!(sent.json["thinking"]["budget_tokens"], budget, "{effort} of {limit}");
        assert_eq!(sent.json["max_tokens"], limit);
    }
}

#[tokio::test]
async fn a_limit_without_room_for_thinking_means_none_and_that_is_named() {
    let mut bench = Bench::start().await;
    for limit in [1, 500, 1024] {
        let sent = budgeted(&mut bench, "high", limit).await;
        assert!(sent.json.get("thinking").is_none(), "{}", sent.text);
        assert_eq!(sent.json["max_tokens"], limit);
        assert_eq!(sent.dropped, ["reasoning_effort"], "{limit}");
    }
}

#[tokio::test]
async fn a_limit_that_the_gateway_sets_leaves_room_for_the_answer() {
    for (lines, least) in [("", 8192), ("default_max_tokens = 600", 600)] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for effort in ["low", "high", "max"] {
            let sent = budgeted(&mut bench, effort, 0).await;
            let (limit, budget) = (&sent.json["max_tokens"], &sent.json["thinking"]["budget_tokens"]);
            assert!(limit.as_u64().unwrap() >= budget.as_u64().unwrap() + least, "{effort}: {}", sent.text);
        }
    }
}

#[tokio::test]
async fn what_thinking_forbids_is_dropped_and_named() {
    for lines in ["thinking = \"budget\"", "thinking = \"adaptive\""] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for (more, name) in [
            (json!({"temperature": 0.2}), "temperature"),
            (json!({"temperature": 0}), "temperature"),
            (json!({"top_p": 0.5}), "top_p"),
            (json!({"top_k": 5}), "top_k"),
        ] {
            let sent = bench.ask(Api::Chat, Api::Anthropic, &asked(Api::Chat, "high", &more)).await;
            assert_eq!((sent.json.get(name), &sent.dropped[..]), (None, &[name.to_owned()][..]), "{lines}");
        }
        for more in [json!({"temperature": 1}), json!({"top_p": 0.97})] {
            let sent = bench.ask(Api::Chat, Api::Anthropic, &asked(Api::Chat, "high", &more)).await;
            assert!(sent.dropped.is_empty(), "{lines}, {more}: {:?}", sent.dropped);
        }
        // Nothing is forbidden to a model that does not think.
        let more = json!({"temperature": 0.2, "top_k": 5});
        let sent = bench.ask(Api::Chat, Api::Anthropic, &asked(Api::Chat, "none", &more)).await;
        assert_eq!((&sent.json["temperature"], &sent.json["top_k"]), (&json!(0.2), &json!(5)));
        assert!(sent.dropped.is_empty(), "{lines}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn a_tool_that_must_be_called_may_be_called_where_the_model_thinks() {
    let tools =
        json!([{"type": "function", "function": {"name": "depth", "parameters": {"type": "object"}}}]);
    let named = json!({"type": "function", "function": {"name": "depth"}});
    for lines in ["thinking = \"budget\"", "thinking = \"adaptive\""] {
        let mut bench = Bench::with(Api::Anthropic, lines).await;
        for choice in [json!("required"), named.clone()] {
            let more = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false});
            let sent = bench.ask(Api::Chat, Api::Anthropic, &asked(Api::Chat, "high", &more)).await;
            let wanted = json!({"type": "auto", "disable_parallel_tool_use": true});
            assert_eq!(
                (&sent.json["tool_choice"], &sent.dropped[..]),
                (&wanted, &["tool_choice".to_owned()][..])
            );
        }
    }
}
