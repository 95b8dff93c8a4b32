//! The ids that hold the calls of a history and their results together.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Turn, talk, told};

/// A history of Ollama's without ids, with two calls of one tool and one of another at the same time.
fn without_ids() -> Value {
    let call = |name: &str, of: &str| json!({"function": {"name": name, "arguments": {"of": of}}});
    let result = |name: &str, text: &str| json!({"role": "tool", "tool_name": name, "content": text});
    json!({"messages": [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "tool_calls": [call("depth", "Tisza"), call("width", "Tisza"), call("depth", "Neva")]},
        result("depth", "9 m"), result("depth", "24 m"), result("width", "80 m"),
        {"role": "assistant", "content": "", "tool_calls": [call("depth", "Ob")]},
        result("depth", "12 m")
    ]})
}

#[tokio::test]
async fn ids_that_are_missing_are_made_and_the_same_each_time() {
    let mut bench = Bench::start().await;
    for backend in Api::Ollama.others() {
        let lines = told(backend, &bench.sent(Api::Ollama, backend, &without_ids()).await);
        let id = |line: &str| line.split_whitespace().nth(1).unwrap().trim_end_matches(':').to_owned();
        let ids: Vec<String> = lines[1..].iter().map(|line| id(line)).collect();
        let [one, two, three, first, second, third, four, fourth] = &ids[..] else { panic!("{lines:?}") };
        assert_eq!([first, second, third, fourth], [one, three, two, four], "{backend:?}: {lines:?}");
        let mut different = vec![one, two, three, four];
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 4, "{backend:?}: {lines:?}");
        let again = told(backend, &bench.sent(Api::Ollama, backend, &without_ids()).await);
        assert_eq!(lines, again, "{backend:?}");
    }
}

#[tokio::test]
async fn an_id_that_is_made_is_none_that_is_there() {
    let mut bench = Bench::start().await;
    for backend in Api::Ollama.others() {
        let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
        let mut known = call("width");
        known["id"] = json!("call_1");
        let messages = json!([
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": "", "tool_calls": [call("depth"), known]},
            {"role": "tool", "tool_name": "depth", "content": "9 m"},
            {"role": "tool", "tool_name": "width", "tool_call_id": "call_1", "content": "80 m"}
        ]);
        let lines = told(backend, &bench.sent(Api::Ollama, backend, &json!({"messages": messages})).await);
        assert_ne!(lines[1].split(' ').nth(1), lines[2].split(' ').nth(1), "{backend:?}: {lines:?}");
    }
}

#[tokio::test]
async fn ids_with_letters_that_anthropic_refuses_are_rewritten_and_stay_apart() {
    let mut bench = Bench::start().await;
    let ids = ["functions.depth:0", "functions_depth_0", "réf/1", "functions.depth:1"];
    let calls: Vec<_> = ids.iter().map(|id| (*id, "depth", "{}")).collect();
    let results: Vec<_> = ids.iter().map(|id| (*id, *id)).collect();
    for client in Api::Anthropic.others() {
        let turns = [Turn::User("Q"), Turn::Calls(&calls), Turn::Results(&results)];
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let (calls, results) = (&sent["messages"][1]["content"], &sent["messages"][2]["content"]);
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(calls[at]["id"], results[at]["tool_use_id"], "{client:?}: {id}");
            assert_eq!(results[at]["content"], *id, "{client:?}");
        }
        assert_ne!(calls[0]["id"], calls[1]["id"], "{client:?}: {sent}");
    }
}

#[tokio::test]
async fn an_id_that_a_server_used_again_is_another_to_anthropic() {
    // Anthropic wants the ids of a whole conversation to be unique.
    let turns = [
        Turn::User("Q"),
        Turn::Calls(&[("call_0", "depth", "{}")]),
        Turn::Results(&[("call_0", "9 m")]),
        Turn::Calls(&[("call_0", "width", "{}")]),
        Turn::Results(&[("call_0", "80 m")]),
    ];
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        let sent = bench.sent(client, Api::Anthropic, &talk(client, &turns)).await;
        let id = |at: usize, member: &str| sent["messages"][at]["content"][0][member].clone();
        assert_ne!(id(1, "id"), id(3, "id"), "{client:?}");
        assert_eq!((id(1, "id"), id(3, "id")), (id(2, "tool_use_id"), id(4, "tool_use_id")), "{client:?}");
    }
}

#[tokio::test]
async fn results_that_say_nothing_of_their_calls_are_in_their_order() {
    let mut bench = Bench::start().await;
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let messages = json!([
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "tool_calls": [call("depth"), call("width")]},
        {"role": "tool", "content": "9 m"},
        {"role": "tool", "content": "80 m"}
    ]);
    for backend in Api::Ollama.others() {
        let lines = told(backend, &bench.sent(Api::Ollama, backend, &json!({"messages": messages})).await);
        let id = |at: usize| lines[at].split(' ').nth(1).unwrap().trim_end_matches(':');
        assert_eq!((id(1), id(2)), (id(3), id(4)), "{backend:?}: {lines:?}");
        assert_ne!(id(1), id(2), "{backend:?}: {lines:?}");
    }
}
