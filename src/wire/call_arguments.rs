//! What a tool of the history was called with: told as a JSON object, whatever a model or its client has made of it.

use std::borrow::Cow;

use bytes::BytesMut;
use serde_json::value::RawValue;

use crate::wire::json::{Field, Object, Text, json_object};

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub enum Arguments<'a> {
    /// JSON text, which is not always an object: models write `null`, stop in the middle, or encode twice.
    Json(Text<'a>),
    /// The free text of a custom tool: to a function it is one argument, `input`.
    Input(Text<'a>),
}

impl<'a> Arguments<'a> {
    /// JSON text, as it stands in a string or without one.
    pub(super) fn of(field: Field<'a>) -> Self {
        Self::Json(field.text().or_else(|| field.raw().map(Text::Plain)).unwrap_or(Text::Plain("")))
    }

    /// A JSON object. Text that cannot be read as one is its only member, `_raw`: Anthropic and Ollama take objects alone, servers
    /// of OpenAI's APIs parse the string for their templates, and one call that failed must not end a conversation.
    pub fn json(self) -> Cow<'a, str> {
        match self {
            Self::Json(text) => {
                let text = text.plain();
                if is_object(&text) {
                    return text;
                }
                let object = object_in(&text, ENCODINGS).map(Cow::into_owned);
                Cow::Owned(object.unwrap_or_else(|| wrapped("_raw", Text::Plain(&text))))
            }
            Self::Input(text) => Cow::Owned(wrapped("input", text)),
        }
    }

    /// Writes the object as a JSON string; one that was lawful keeps its spaces and escapes.
    pub fn write_quoted(self, out: &mut BytesMut) {
        match self {
            Self::Json(text) if is_object(&text.plain()) => text.write_quoted(out),
            Self::Json(_) | Self::Input(_) => Text::Plain(&self.json()).write_quoted(out),
        }
    }
}

/// How often an object may have been put into a string.
pub(super) const ENCODINGS: u32 = 3;

fn is_object(text: &str) -> bool {
    !text.trim().is_empty() && json_object(text).is_some()
}

/// The object that arguments mean: they are it, or nothing at all, or hold it in a string, or behind an empty one, or twice.
pub(super) fn object_in(text: &str, encodings: u32) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.is_empty() || text == "null" {
        return Some(Cow::Borrowed("{}"));
    }
    if is_object(text) {
        return Some(Cow::Borrowed(text));
    }
    if let Ok(inner) = serde_json::from_str::<String>(text) {
        let encodings = encodings.checked_sub(1)?;
        return object_in(&inner, encodings).map(|object| Cow::Owned(object.into_owned()));
    }
    let mut found = "{}";
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.ok()?.get();
        if !value.starts_with('{') && value != "null" {
            return None;
        }
        if value == "null" || is_empty(value) || value == found {
            continue;
        }
        if found != "{}" {
            return None; // which of the two is meant?
        }
        found = value;
    }
    Some(Cow::Borrowed(found))
}

/// Is it an object without members?
pub(super) fn is_empty(object: &str) -> bool {
    let inside = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

fn wrapped(name: &str, text: Text<'_>) -> String {
    let mut out = BytesMut::new();
    let mut object = Object::new(&mut out);
    object.text(name, text);
    object.end();
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        Arguments::Json(Text::Plain(text)).json().into_owned()
    }

    #[test]
    fn arguments_that_mean_an_object_are_told_as_that_object() {
        for (given, object) in [
            ("", "{}"),
            (" \n", "{}"),
            ("null", "{}"),
            ("\"\"", "{}"),
            ("\"null\"", "{}"),
            ("{\"a\": 1.0}", "{\"a\": 1.0}"),
            (r#""{\"a\":1}""#, "{\"a\":1}"),
            (r#""\"{\\\"a\\\":1}\"""#, "{\"a\":1}"),
            ("{}{\"a\":1}", "{\"a\":1}"),
            ("{ } null {\"a\":1}", "{\"a\":1}"),
            ("{\"a\":1}{\"a\":1}", "{\"a\":1}"),
            ("{} {}", "{}"),
        ] {
            assert_eq!(json(given), object, "{given}");
        }
    }

    #[test]
    fn arguments_that_mean_no_object_are_wrapped_as_what_they_are() {
        for given in
            ["{\"a\": \"b", "[1]", "7", "\"Oslo\"", "{\"a\":1}{\"b\":2}", "{} [1]", "true", "{\"a\":1} x"]
        {
            let wrapped: serde_json::Value = serde_json::from_str(&json(given)).unwrap();
            assert_eq!(wrapped, serde_json::json!({"_raw": given}), "{given}");
        }
    }

    #[test]
    fn a_lawful_object_in_a_string_keeps_its_escapes() {
        let mut out = BytesMut::new();
        let text = r#" {\"s\":\"\u00e9 \/\"}"#;
        Arguments::Json(Text::Escaped(text)).write_quoted(&mut out);
        assert_eq!(out, format!("\"{text}\""));
    }
}
