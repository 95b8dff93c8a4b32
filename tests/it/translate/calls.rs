//! Tool calls of a history: their arguments, their results and the ids that hold both together.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Turn, talk, told};

/// A history with one call, its arguments written just so (JSON text, in a string where the API wants one).
fn called(client: Api, arguments: &str) -> String {
    let quoted = Value::from(arguments).to_string();
    match client {
        Api::Chat => format!(
            r#"{{"messages":[{{"role":"user","content":"Q"}},{{"role":"assistant","tool_calls":[{{"id":"c1","type":"function","function":{{"name":"depth","arguments":{quoted}}}}}]}},{{"role":"tool","tool_call_id":"c1","content":"9 m"}}]}}"#
        ),
        Api::Responses => format!(
            r#"{{"input":[{{"role":"user","content":"Q"}},{{"type":"function_call","call_id":"c1","name":"depth","arguments":{quoted}}},{{"type":"function_call_output","call_id":"c1","output":"9 m"}}]}}"#
        ),
        Api::Anthropic => format!(
            r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Q"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"c1","name":"depth","input":{arguments}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"c1","content":"9 m"}}]}}]}}"#
        ),
        Api::Ollama => format!(
            r#"{{"messages":[{{"role":"user","content":"Q"}},{{"role":"assistant","tool_calls":[{{"id":"c1","function":{{"name":"depth","arguments":{arguments}}}}}]}},{{"role":"tool","tool_call_id":"c1","content":"9 m"}}]}}"#
        ),
    }
}

/// The arguments as this backend was sent them: out of their string, if they stand in one.
fn arguments(backend: Api, sent: &str) -> String {
    let (member, quoted) = match backend {
        Api::Chat | Api::Responses => ("\"arguments\":", true),
        Api::Anthropic => ("\"input\":", false),
        Api::Ollama => ("\"arguments\":", false),
    };
    let (_, rest) = sent.split_once("depth\",").unwrap_or_else(|| panic!("a call in {sent}"));
    let (_, rest) = rest.split_once(member).unwrap_or_else(|| panic!("arguments in {rest}"));
    if quoted {
        serde_json::Deserializer::from_str(rest).into_iter::<String>().next().unwrap().unwrap()
    } else {
        let value =
            serde_json::Deserializer::from_str(rest).into_iter::<&serde_json::value::RawValue>().next();
        value.unwrap().unwrap().get().to_owned()
    }
}

#[tokio::test]
async fn numbers_keys_and_escapes_of_arguments_stay_as_they_were_written() {
    let texts = [
        r#"{"z":1.0,"a":1e400,"m":9223372036854775808,"k":-0.0,"t":1E+2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"s":"nul \u0000, quote \", slash \/ \\, river 🌊 \ud83c\udf0a, line\nend"}"#,
        r#"{"deep":{"list":[1,[2,{"x":null}],true,""]}}"#,
        "{}",
    ];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        for text in texts {
            let sent = bench.ask_text(client, backend, &called(client, text)).await;
            assert_eq!(arguments(backend, &sent.text), text, "{client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn no_arguments_are_an_empty_object() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        for backend in client.others() {
            for text in ["", "{}"] {
                let sent = bench.ask_text(client, backend, &called(client, text)).await;
                assert_eq!(arguments(backend, &sent.text), "{}", "{client:?} to {backend:?}");
            }
            let without = called(client, "x").replace(",\"arguments\":\"x\"", "");
            let sent = bench.ask_text(client, backend, &without).await;
            assert_eq!(arguments(backend, &sent.text), "{}", "{client:?} to {backend:?}");
        }
    }
}

/// What a history with these arguments becomes is the same at every door and for every backend: a conversation goes on.
async fn assert_told(cases: &[(&str, Value)]) {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        for (text, wanted) in cases {
            // In the APIs that want an object, what was no JSON at all stands in a string.
            let written = match client {
                Api::Chat | Api::Responses => (*text).to_owned(),
                Api::Anthropic | Api::Ollama => Value::from(*text).to_string(),
            };
            let sent = bench.ask_text(client, backend, &called(client, &written)).await;
            let told: Value = serde_json::from_str(&arguments(backend, &sent.text)).unwrap();
            assert_eq!(&told, wanted, "{text} of {client:?} to {backend:?}");
        }
    }
}

#[tokio::test]
async fn arguments_that_are_no_object_are_told_in_one_as_what_they_are() {
    let texts = ["{\"of\":\"Tis", "[1]", "7", "Oslo", "{\"a\":1}{\"b\":2}", "{\"a\":1} and more"];
    assert_told(&texts.map(|text| (text, json!({"_raw": text})))).await;
}

#[tokio::test]
async fn arguments_that_say_nothing_are_an_empty_object() {
    assert_told(&["", "null", " ", "\"\"", "\"null\"", "{} {}"].map(|text| (text, json!({})))).await;
}

#[tokio::test]
async fn arguments_that_were_encoded_twice_or_begun_twice_are_put_right() {
    let texts = [r#""{\"of\":\"Tisza\"}""#, r#"{}{"of":"Tisza"}"#, r#"{"of":"Tisza"}{"of":"Tisza"}"#];
    assert_told(&texts.map(|text| (text, json!({"of": "Tisza"})))).await;
}

#[tokio::test]
async fn arguments_that_a_client_sends_as_an_object_are_understood() {
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        let request = called(Api::Chat, "{}").replace("\"{}\"", "{\"of\": 1.0}");
        let sent = bench.ask_text(Api::Chat, backend, &request).await;
        let value: Value = serde_json::from_str(&arguments(backend, &sent.text)).unwrap();
        assert_eq!(value, json!({"of": 1.0}), "{backend:?}");
    }
}

#[tokio::test]
async fn arguments_of_another_type_are_not_lost_in_silence() {
    let mut bench = Bench::start().await;
    for client in [Api::Ollama, Api::Anthropic] {
        for backend in client.others() {
            for (text, word) in [(r#""{\"of\":\"Tisza\"}""#, "Tisza"), ("[42]", "42")] {
                let sent = bench.ask_text(client, backend, &called(client, text)).await.text;
                assert!(sent.contains(word), "{client:?} to {backend:?}: {sent}");
            }
        }
    }
}

#[tokio::test]
async fn calls_and_results_that_alternate_stay_so() {
    let turns = [
        Turn::User("How deep?"),
        Turn::Calls(&[("c1", "depth", "{}")]),
        Turn::Results(&[("c1", "9 m")]),
        Turn::Calls(&[("c2", "width", "{}")]),
        Turn::Results(&[("c2", "80 m")]),
    ];
    let wanted =
        ["user: How deep?", "call c1 depth {}", "result c1: 9 m", "call c2 width {}", "result c2: 80 m"];
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent = bench.sent(client, backend, &talk(client, &turns)).await;
        assert_eq!(told(backend, &sent), wanted, "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn ollama_is_told_of_which_tool_a_result_is() {
    let turns = [
        Turn::User("How deep, how wide?"),
        Turn::Calls(&[("c1", "depth", "{}"), ("c2", "width", "{}")]),
        Turn::Results(&[("c2", "80 m"), ("c1", "9 m")]),
        Turn::Calls(&[("c1", "length", "{}")]),
        Turn::Results(&[("c1", "966 km")]),
    ];
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Responses] {
        let sent = bench.sent(client, Api::Ollama, &talk(client, &turns)).await;
        let results = sent["messages"].as_array().unwrap().iter().filter(|said| said["role"] == "tool");
        let names: Vec<&Value> = results.map(|result| &result["tool_name"]).collect();
        assert_eq!(names, ["width", "depth", "length"], "{client:?}");
    }
}
