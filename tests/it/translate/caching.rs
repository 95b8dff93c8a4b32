//! Marks for Anthropic's cache: the clients of OpenAI's APIs have none, but a key that says that they go on from what was read.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Turn, talk};

fn turns() -> Vec<Turn<'static>> {
    vec![
        Turn::System("Be brief."),
        Turn::User("How deep?"),
        Turn::Calls(&[("c1", "depth", "{}"), ("c2", "width", "{}")]),
        Turn::Results(&[("c1", "9 m"), ("c2", "80 m")]),
    ]
}

/// A step of an agent with two tools, and what is laid over it.
fn step(client: Api, turns: &[Turn<'_>], more: &Value) -> Value {
    let mut request = talk(client, turns);
    let tool = |name: &str| match client {
        Api::Responses => json!({"type": "function", "name": name, "parameters": {}}),
        Api::Chat | Api::Ollama | Api::Anthropic => {
            json!({"type": "function", "function": {"name": name, "parameters": {}}})
        }
    };
    request["tools"] = json!([tool("depth"), tool("width")]);
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[tokio::test]
async fn a_key_for_the_cache_marks_what_the_next_step_repeats() {
    let mark = json!({"type": "ephemeral"});
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let request = step(client, &turns(), &json!({"prompt_cache_key": "0199-ab"}));
        let sent = bench.ask(client, Api::Anthropic, &request).await;
        let system = json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]);
        assert_eq!(sent.json["system"], system, "{client:?}");
        assert_eq!(
            (&sent.json["tools"][0]["cache_control"], &sent.json["tools"][1]["cache_control"]),
            (&json!(null), &mark)
        );
        let last = &sent.json["messages"][2]["content"];
        assert_eq!(
            (&last[0]["cache_control"], &last[1]["cache_control"]),
            (&json!(null), &mark),
            "{client:?}"
        );
        assert_eq!(sent.text.matches("cache_control").count(), 3, "{client:?}: {}", sent.text);
        assert!(sent.dropped.is_empty(), "{client:?}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn the_mark_is_in_the_users_turn_when_an_answer_is_to_go_on() {
    let turns = [Turn::User("Count."), Turn::Assistant("One, two,")];
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let mut request = talk(client, &turns);
        request["prompt_cache_key"] = json!("0199-ab");
        let sent = bench.sent(client, Api::Anthropic, &request).await;
        assert!(sent["messages"][0]["content"][0].get("cache_control").is_some(), "{client:?}: {sent}");
        assert!(sent["messages"][1]["content"][0].get("cache_control").is_none(), "{client:?}: {sent}");
    }
}

#[tokio::test]
async fn nothing_is_marked_where_nobody_asked() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.ask(client, Api::Anthropic, &step(client, &turns(), &json!({}))).await;
        assert!(!sent.text.contains("cache_control"), "{client:?}: {}", sent.text);
    }
}
