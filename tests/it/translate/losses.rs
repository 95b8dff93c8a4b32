//! Requests that would be answered otherwise than they were meant: a 400 that names the field, in the client's own API.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Request, Setup, Upstream, addressed, question};

/// Fields that no other API has and that change the answer, with the name that the refusal must have.
fn losses() -> Vec<(Api, Value, &'static str)> {
    vec![
        (Api::Chat, json!({"n": 3}), "n"),
        (Api::Chat, json!({"logprobs": true, "top_logprobs": 2}), "logprobs"),
        (
            Api::Chat,
            json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
            "audio",
        ),
        (Api::Chat, json!({"modalities": ["audio", "text"]}), "modalities"),
        (Api::Chat, json!({"functions": [{"name": "depth"}]}), "functions"),
        (Api::Chat, json!({"function_call": "auto"}), "function_call"),
        (Api::Chat, json!({"web_search_options": {}}), "web_search_options"),
        (Api::Chat, json!({"logit_bias": {"50256": -100}}), "logit_bias"),
        (Api::Chat, json!({"grammar": "root ::= \"yes\""}), "grammar"),
        (Api::Chat, json!({"guided_choice": ["yes", "no"]}), "guided_choice"),
        (Api::Chat, json!({"structured_outputs": {"regex": "[a-z]+"}}), "structured_outputs"),
        (Api::Chat, json!({"samplers": ["top_k"]}), "samplers"),
        (Api::Chat, json!({"lora": [{"id": 0, "scale": 0.5}]}), "lora"),
        (Api::Chat, json!({"ignore_eos": true}), "ignore_eos"),
        (Api::Chat, json!({"chat_template_kwargs": {"language": "hu"}}), "chat_template_kwargs"),
        (
            Api::Responses,
            json!({"moderation": {"model": "m", "policy": {"output": {"mode": "block"}}}}),
            "moderation",
        ),
        (Api::Responses, json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (Api::Responses, json!({"conversation": "conv_1"}), "conversation"),
        (Api::Responses, json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (Api::Responses, json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (Api::Responses, json!({"top_logprobs": 3}), "top_logprobs"),
        (Api::Responses, json!({"include": ["message.output_text.logprobs"]}), "include"),
        (Api::Ollama, json!({"logprobs": true}), "logprobs"),
    ]
}

#[tokio::test]
async fn a_field_whose_loss_changes_the_answer_is_refused_by_name() {
    let mut bench = Bench::start().await;
    for (client, more, name) in losses() {
        for backend in client.others() {
            let refused = bench.refused(client, backend, &question(client, &more)).await;
            assert!(refused.message.contains(name), "{client:?} to {backend:?}: {}", refused.message);
            if client != Api::Ollama {
                let param = refused.param.as_deref();
                let one_of_them = more.as_object().unwrap().keys().any(|key| Some(key.as_str()) == param);
                assert!(one_of_them, "{client:?} to {backend:?}: {param:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_item_that_only_the_vendor_has_is_refused() {
    let mut bench = Bench::start().await;
    for item in [json!({"type": "item_reference", "id": "rs_1"})] {
        let kind = item["type"].as_str().unwrap();
        for backend in Api::Responses.others() {
            let request = json!({"input": [{"role": "user", "content": "Q"}, item]});
            let refused = bench.refused(Api::Responses, backend, &request).await;
            assert!(refused.message.contains(kind), "{backend:?}: {}", refused.message);
            assert_eq!(refused.param.as_deref(), Some("input"), "{backend:?}");
        }
    }
}

#[tokio::test]
async fn a_block_that_nobody_knows_is_refused_and_so_is_a_question_of_which_nothing_is_left() {
    let mut bench = Bench::start().await;
    for (block, word) in [
        (json!({"type": "hologram", "data": "AAAA"}), "hologram"),
        (json!({"type": "container_upload", "file_id": "file_1"}), "messages"),
    ] {
        for backend in Api::Anthropic.others() {
            let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [block]}]});
            let words = bench.refused(Api::Anthropic, backend, &request).await.message;
            assert!(words.contains(word), "{backend:?}: {words}");
        }
    }
}

#[tokio::test]
async fn what_a_backend_cannot_promise_is_refused_by_name() {
    let mut bench = Bench::start().await;
    let many = json!(["a", "b", "c", "d", "e"]);
    for (client, backend, more, name) in [
        (Api::Chat, Api::Responses, json!({"stop": "END"}), "stop"),
        (Api::Anthropic, Api::Responses, json!({"stop_sequences": ["END"]}), "stop"),
        (Api::Ollama, Api::Responses, json!({"options": {"stop": ["END"]}}), "stop"),
        (Api::Chat, Api::Anthropic, json!({"response_format": {"type": "json_object"}}), "response_format"),
        (
            Api::Responses,
            Api::Anthropic,
            json!({"text": {"format": {"type": "json_object"}}}),
            "response_format",
        ),
        (Api::Ollama, Api::Anthropic, json!({"format": "json"}), "response_format"),
        (Api::Anthropic, Api::Chat, json!({"stop_sequences": many}), "stop"),
        (Api::Ollama, Api::Chat, json!({"options": {"stop": many}}), "stop"),
    ] {
        let refused = bench.refused(client, backend, &question(client, &more)).await;
        assert!(refused.message.contains(name), "{client:?} to {backend:?}: {}", refused.message);
    }
    let mut bench = Bench::with(Api::Chat, "sampling_extensions = true").await;
    let request = question(Api::Anthropic, &json!({"stop_sequences": many}));
    assert_eq!(bench.sent(Api::Anthropic, Api::Chat, &request).await["stop"], many);
}

#[tokio::test]
async fn members_that_nobody_knows_are_named() {
    let mut bench = Bench::start().await;
    let call = json!({"id": "c1", "type": "function", "function": {"name": "depth", "arguments": "{}", "f": 1}, "e": 1});
    let chat = json!({
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "p": 1}]},
            {"role": "assistant", "content": "Yes.", "prefix": true, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "9 m", "m": 1}
        ],
        "tools": [{"type": "function", "t": 1, "function": {"name": "depth", "parameters": {}, "g": 1}}]
    });
    let anthropic = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi", "p": 1}], "m": 1},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "depth", "input": {}, "u": 1}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "9 m", "r": 1}]}
    ]});
    let responses = json!({"input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi", "p": 1}], "phase": "commentary"},
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c1", "name": "depth", "arguments": "{}", "c": 1},
        {"type": "function_call_output", "call_id": "c1", "output": "9 m", "o": 1}
    ]});
    let ollama = json!({"messages": [
        {"role": "user", "content": "Hi", "m": 1},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"name": "depth", "arguments": {}, "f": 1}, "e": 1}]},
        {"role": "tool", "tool_name": "depth", "tool_call_id": "c1", "content": "9 m"}
    ]});
    for (client, request, names) in [
        (
            Api::Chat,
            chat,
            vec![
                "messages.content.p",
                "messages.prefix",
                "messages.tool_calls.e",
                "messages.tool_calls.function.f",
                "messages.m",
                "tools.t",
                "tools.function.g",
            ],
        ),
        (
            Api::Anthropic,
            anthropic,
            vec!["messages.content.p", "messages.m", "messages.content.u", "messages.content.r"],
        ),
        (Api::Responses, responses, vec!["input.content.p", "input.phase", "input.c", "input.o"]),
        (Api::Ollama, ollama, vec!["messages.m", "messages.tool_calls.function.f", "messages.tool_calls.e"]),
    ] {
        for backend in client.others() {
            let mut dropped = bench.ask(client, backend, &request).await.dropped;
            let mut wanted = names.clone();
            dropped.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(dropped, wanted, "{client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn a_role_that_nobody_knows_is_refused() {
    let mut bench = Bench::start().await;
    let said = json!([{"role": "user", "content": "Hi"}, {"role": "narrator", "content": "Hm."}]);
    for (client, backend) in Api::pairs() {
        let request = match client {
            Api::Responses => json!({"input": said}),
            Api::Chat | Api::Anthropic | Api::Ollama => json!({"max_tokens": 9, "messages": said}),
        };
        let words = bench.refused(client, backend, &request).await.message;
        assert!(words.contains("role"), "{client:?}: {words}");
    }
}

#[tokio::test]
async fn messages_of_another_shape_are_refused_by_name() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        for wrong in
            [json!("Hi"), json!({"role": "user"}), json!([7]), json!([{"role": "user", "content": 7}])]
        {
            let name = if client == Api::Responses { "input" } else { "messages" };
            if client == Api::Responses && wrong.is_string() {
                continue; // that is lawful
            }
            let words = bench.refused(client, backend, &json!({"max_tokens": 9, name: wrong})).await.message;
            assert!(words.contains(name) || words.contains("content"), "{client:?}, {wrong}: {words}");
        }
    }
}

#[tokio::test]
async fn the_same_fields_pass_to_a_backend_of_the_same_api() {
    let mut bench = Bench::start().await;
    for (client, more, name) in losses() {
        let body = addressed(client, &question(client, &more).to_string());
        let (call, _asked) = bench.call(client, &Request::raw(client.door(), body.as_bytes())).await;
        for (key, value) in more.as_object().unwrap() {
            assert_eq!(&call.json()[key], value, "{client:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_backend_that_cannot_be_told_is_passed_over_for_one_that_can() {
    let (mut ollama, mut chat) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend("one", "ollama", &ollama.url()).backend("two", "openai", &chat.url());
    let gateway = setup.start().await;
    let mut request = question(Api::Chat, &json!({"n": 3}));
    request["model"] = json!("m");
    let _asked = gateway.ask_post(Api::Chat.door(), &request).await;
    assert_eq!(chat.call().await.json()["n"], 3);
    assert_eq!(ollama.calls_seen(), 0);
    request["n"] = json!(1);
    let _asked = gateway.ask_post(Api::Chat.door(), &request).await;
    assert_eq!(ollama.call().await.path, "/api/chat");
}
