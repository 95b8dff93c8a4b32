//! What surrounds a question: who asks, hints for caches, and what a vendor adds of its own.

use serde_json::{Value, json};

use crate::support::{Api, Bench, question};

#[tokio::test]
async fn who_asks_is_told_in_the_words_of_each_api() {
    let mut bench = Bench::start().await;
    for (client, more, word) in [
        (Api::Chat, json!({"user": "u-1"}), "user"),
        (Api::Chat, json!({"safety_identifier": "u-1"}), "safety_identifier"),
        (Api::Responses, json!({"user": "u-1"}), "user"),
        (Api::Responses, json!({"safety_identifier": "u-1"}), "safety_identifier"),
        (Api::Anthropic, json!({"metadata": {"user_id": "u-1"}}), "metadata.user_id"),
    ] {
        for backend in client.others() {
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            let told = match backend {
                Api::Chat | Api::Responses => {
                    &sent.json[if client == Api::Anthropic { "user" } else { word }]
                }
                Api::Anthropic => &sent.json["metadata"]["user_id"],
                Api::Ollama => {
                    assert_eq!(sent.dropped, [word], "{client:?}");
                    continue;
                }
            };
            assert_eq!(told, "u-1", "{client:?} to {backend:?}");
            assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn of_two_names_for_who_asks_anthropic_is_told_one() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let more = json!({"user": "u-1", "safety_identifier": "s-1"});
        let sent = bench.ask(client, Api::Anthropic, &question(client, &more)).await;
        assert_eq!(sent.json["metadata"], json!({"user_id": "u-1"}), "{client:?}");
        assert_eq!(sent.dropped, ["safety_identifier"], "{client:?}");
    }
}

#[tokio::test]
async fn what_both_apis_of_openai_have_passes_between_them_and_is_named_elsewhere() {
    let mut bench = Bench::start().await;
    let of_chat = json!({"prompt_cache_key": "k", "service_tier": "flex", "verbosity": "low"});
    let of_responses = json!({"prompt_cache_key": "k", "service_tier": "flex", "text": {"verbosity": "low"}});
    for (client, backend, said, wanted) in [
        (Api::Chat, Api::Responses, &of_chat, &of_responses),
        (Api::Responses, Api::Chat, &of_responses, &of_chat),
    ] {
        let sent = bench.ask(client, backend, &question(client, said)).await;
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&sent.json[name], value, "{client:?}");
        }
        assert!(sent.dropped.is_empty(), "{client:?}: {:?}", sent.dropped);
        for backend in [Api::Anthropic, Api::Ollama] {
            let sent = bench.ask(client, backend, &question(client, said)).await;
            let verbosity = if client == Api::Chat { "verbosity" } else { "text.verbosity" };
            let mut dropped = sent.dropped;
            dropped.sort();
            // Anthropic's API has no such key, but marks for what is repeated.
            let key = (backend != Api::Anthropic).then_some("prompt_cache_key");
            let wanted: Vec<&str> = key.into_iter().chain(["service_tier", verbosity]).collect();
            assert_eq!(dropped, wanted, "{client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn the_verbosity_of_a_chat_stands_beside_its_format() {
    let mut bench = Bench::start().await;
    let more = json!({"verbosity": "high", "response_format": {"type": "json_object"}});
    let sent = bench.sent(Api::Chat, Api::Responses, &question(Api::Chat, &more)).await;
    assert_eq!(sent["text"], json!({"verbosity": "high", "format": {"type": "json_object"}}));
}

#[tokio::test]
async fn notes_are_told_to_responses_and_named_elsewhere() {
    // OpenAI takes those of a chat only with what it stores.
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        for backend in client.others() {
            let sent = bench.ask(client, backend, &question(client, &json!({"metadata": {"k": "v"}}))).await;
            if backend == Api::Responses {
                assert_eq!(sent.json["metadata"], json!({"k": "v"}));
                assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
            } else {
                assert_eq!(sent.json.get("metadata"), None, "{client:?} to {backend:?}");
                assert_eq!(sent.dropped, ["metadata"], "{client:?} to {backend:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_wish_to_store_is_named_where_it_is_none_of_the_api_anyway() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        for (store, wanted) in [(true, &["store".to_owned()][..]), (false, &[])] {
            let sent = bench.ask(Api::Chat, backend, &question(Api::Chat, &json!({"store": store}))).await;
            assert_eq!(sent.dropped, wanted, "{store} to {backend:?}");
        }
    }
    for backend in Api::Responses.others() {
        for store in [true, false] {
            let request = question(Api::Responses, &json!({"store": store}));
            let sent = bench.ask(Api::Responses, backend, &request).await;
            assert_eq!((sent.json.get("store"), sent.dropped.len()), (None, 0), "{store} to {backend:?}");
        }
    }
}

/// Every place where Anthropic's clients put a hint for the cache, one at a time.
fn hinted() -> Vec<Value> {
    let hint = json!({"type": "ephemeral", "ttl": "1h"});
    let text = json!({"type": "text", "text": "Hi", "cache_control": hint});
    let history = |block: Value, result: Value| {
        json!([
            {"role": "user", "content": "Q"}, {"role": "assistant", "content": [block]},
            {"role": "user", "content": [result]}
        ])
    };
    let call = json!({"type": "tool_use", "id": "c1", "name": "depth", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "c1", "content": "9 m"});
    let with = |mut block: Value| {
        block["cache_control"] = hint.clone();
        block
    };
    let inside = json!({"type": "tool_result", "tool_use_id": "c1", "content": [text]});
    vec![
        json!({"cache_control": hint}),
        json!({"system": [text]}),
        json!({"messages": [{"role": "user", "content": [text]}]}),
        json!({"messages": history(with(call.clone()), result.clone())}),
        json!({"messages": history(call.clone(), with(result))}),
        json!({"messages": history(call, inside)}),
        json!({"tools": [{"name": "depth", "input_schema": {"type": "object"}, "cache_control": hint}]}),
    ]
}

#[tokio::test]
async fn hints_for_the_cache_are_taken_out_and_named() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        for more in hinted() {
            let sent = bench.ask(Api::Anthropic, backend, &question(Api::Anthropic, &more)).await;
            assert!(!sent.text.contains("cache_control"), "{backend:?}: {}", sent.text);
            assert!(
                sent.dropped.contains(&"cache_control".to_owned()),
                "{more} to {backend:?}: {:?}",
                sent.dropped
            );
        }
    }
}

#[tokio::test]
async fn what_only_anthropic_has_is_dropped_and_named() {
    let mut bench = Bench::start().await;
    let more = json!({
        "service_tier": "auto", "speed": "fast", "context_management": {"edits": []},
        "mcp_servers": [{"type": "url", "url": "https://example.org", "name": "x"}]
    });
    for backend in Api::Anthropic.others() {
        let sent = bench.ask(Api::Anthropic, backend, &question(Api::Anthropic, &more)).await;
        for name in more.as_object().unwrap().keys() {
            assert!(sent.dropped.contains(name), "{name} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn a_history_that_is_left_to_anthropic_is_refused() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let request = question(Api::Anthropic, &json!({"container": "c_1"}));
        let words = bench.refused(Api::Anthropic, backend, &request).await.message;
        assert!(words.contains("container"), "{backend:?}: {words}");
    }
}

#[tokio::test]
async fn what_only_responses_has_is_dropped_and_named() {
    let mut bench = Bench::start().await;
    let more = json!({"max_tool_calls": 3, "truncation": "auto", "include": ["file_search_call.results"]});
    for backend in Api::Responses.others() {
        let sent = bench.ask(Api::Responses, backend, &question(Api::Responses, &more)).await;
        for name in ["max_tool_calls", "truncation", "include.file_search_call.results"] {
            assert!(sent.dropped.contains(&name.to_owned()), "{name} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn what_makes_no_difference_is_not_named() {
    let mut bench = Bench::start().await;
    for (client, more) in [
        (
            Api::Chat,
            json!({"n": 1, "logprobs": false, "modalities": ["text"], "stream_options": {"include_usage": true}}),
        ),
        (
            Api::Chat,
            json!({"logit_bias": {}, "grammar": "", "samplers": [], "ignore_eos": false, "min_tokens": 0, "reasoning_effort": "default"}),
        ),
        (Api::Responses, json!({"reasoning": {"effort": "default"}})),
        (Api::Chat, json!({"logit_bias": null, "user": null, "response_format": {"type": "text"}})),
        (
            Api::Responses,
            json!({
                "background": false, "previous_response_id": null, "conversation": null, "truncation": "disabled",
                "top_logprobs": 0, "include": ["reasoning.encrypted_content"], "store": false, "prompt": null
            }),
        ),
        (Api::Ollama, json!({"logprobs": false, "options": {}})),
    ] {
        for backend in client.others() {
            let sent = bench.ask(client, backend, &question(client, &more)).await;
            assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn nothing_is_stored_with_the_vendor_that_the_client_did_not_ask_for() {
    let mut bench = Bench::start().await;
    for client in Api::Responses.others() {
        let sent = bench.sent(client, Api::Responses, &question(client, &json!({}))).await;
        assert_eq!(sent["store"], false, "{client:?}");
    }
}

#[tokio::test]
async fn usage_is_asked_of_every_chat_that_can_tell() {
    for (lines, wanted) in [("", json!({"include_usage": true})), ("stream_options = false", json!(null))] {
        let mut bench = Bench::with(Api::Chat, lines).await;
        for client in Api::Chat.others() {
            let sent = bench.sent(client, Api::Chat, &question(client, &json!({}))).await;
            assert_eq!(sent["stream_options"], wanted, "{client:?}");
        }
    }
}

#[tokio::test]
async fn a_hint_for_the_cache_on_a_part_of_a_chat_is_named() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        for name in ["cache_control", "prompt_cache_breakpoint"] {
            let part = json!({"type": "text", "text": "Hi", name: {"type": "ephemeral"}});
            let request = json!({"messages": [{"role": "user", "content": [part]}]});
            let sent = bench.ask(Api::Chat, backend, &request).await;
            let named = sent.dropped.iter().any(|dropped| dropped.ends_with(name));
            assert!(named || sent.text.contains(name), "{name} to {backend:?}: {:?}", sent.dropped);
        }
        let hint = json!({"type": "ephemeral"});
        let message = json!({"role": "user", "content": "Hi", "cache_control": hint});
        let function = json!({"name": "depth"});
        for more in [
            json!({"messages": [message]}),
            json!({"tools": [{"type": "function", "function": function, "cache_control": hint}]}),
        ] {
            let sent = bench.ask(Api::Chat, backend, &question(Api::Chat, &more)).await;
            assert_eq!(sent.dropped, ["cache_control"], "{more} to {backend:?}");
        }
    }
}
