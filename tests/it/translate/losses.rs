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
    for item in
        [json!({"type": "item_reference", "id": "rs_1"}), json!({"type": "computer_call", "call_id": "c1"})]
    {
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
async fn a_block_that_only_the_vendor_has_is_refused() {
    let mut bench = Bench::start().await;
    let block = json!({"type": "container_upload", "file_id": "file_1"});
    for backend in Api::Anthropic.others() {
        let request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [block]}]});
        let words = bench.refused(Api::Anthropic, backend, &request).await.message;
        assert!(words.contains("container_upload"), "{backend:?}: {words}");
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
