//! The ids that hold the calls of a history and their results together.

use serde_json::{Value, json};

use crate::support::{Api, Bench, told};

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
