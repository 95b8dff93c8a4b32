//! What the servers of each API insist on: a request that they would answer with a 400 fails the test that made it.

mod anthropic;
mod chat;
mod ollama;
mod responses;

use serde_json::Value;

use super::bench::Api;

/// Checks a request as a server of this API does.
pub(crate) fn lawful(api: Api, request: &Value) {
    match api {
        Api::Chat => chat::check(request),
        Api::Responses => responses::check(request),
        Api::Anthropic => anthropic::check(request),
        Api::Ollama => ollama::check(request),
    }
}

/// Members that the API knows, and no others.
fn known(object: &Value, what: &str, names: &[&str]) {
    for name in object.as_object().unwrap_or_else(|| panic!("{what} is an object: {object}")).keys() {
        assert!(names.contains(&name.as_str()), "{what} has the unknown member `{name}`: {object}");
    }
}

fn list<'v>(value: &'v Value, what: &str) -> &'v [Value] {
    value.as_array().unwrap_or_else(|| panic!("{what} is a list: {value}"))
}

fn text<'v>(value: &'v Value, what: &str) -> &'v str {
    value.as_str().unwrap_or_else(|| panic!("{what} is a string: {value}"))
}

/// A JSON object in a string.
fn object(value: &Value, what: &str) {
    let parsed = serde_json::from_str::<Value>(&text(value, what).replace("1e400", "1e300"));
    assert!(parsed.is_ok_and(|parsed| parsed.is_object()), "{what}: {value}");
}

/// A name of a tool, or an id, of at most `limit` of the letters that both vendors allow.
fn word<'v>(value: &'v Value, what: &str, limit: usize) -> &'v str {
    let word = text(value, what);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(!word.is_empty() && word.len() <= limit && word.chars().all(allowed), "{what}: {word:?}");
    word
}

/// Numbers of these members are within these bounds.
fn within(object: &Value, bounds: &[(&str, f64, f64)]) {
    for (name, least, most) in bounds {
        if let Some(value) = object.get(name) {
            let number = value.as_f64().unwrap_or_else(|| panic!("{name} is a number: {value}"));
            assert!((*least..=*most).contains(&number), "{name}: {value}");
        }
    }
}

/// No mark of the gateway's own stands in what a vendor is told.
fn unmarked(request: &Value) {
    let text = request.to_string();
    assert!(!text.contains("\"sg1:"), "a mark of the gateway's: {text}");
}
