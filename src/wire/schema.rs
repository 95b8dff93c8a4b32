//! The JSON Schema of a tool's input, as OpenAI's servers take it: an object that says which properties it has.

use bytes::BytesMut;

use crate::wire::json::Object;
use crate::wire::members::all_members;

/// The schema of a tool that takes nothing.
pub(super) const EMPTY: &str = "{\"type\":\"object\",\"properties\":{}}";

/// Writes a schema as it was written, with the members that it lacks: without `properties` OpenAI refuses the whole request.
pub(super) fn write_parameters(schema: &str, out: &mut BytesMut) {
    let members = all_members(schema);
    let lacks = |name: &str| !members.iter().any(|(key, value)| key == name && *value != "null");
    let mut object = Object::new(out);
    if lacks("type") {
        object.raw("type", "\"object\"");
    }
    for (key, value) in &members {
        if *value != "null" || !["type", "properties"].contains(&key.as_ref()) {
            object.raw(key, value);
        }
    }
    if lacks("properties") {
        object.raw("properties", "{}");
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_its_type_and_its_properties() {
        for (schema, told) in [
            ("{}", EMPTY),
            (r#"{"type":"object"}"#, EMPTY),
            (r#"{"type":"object","properties":null}"#, EMPTY),
            (r#"{"$schema":"x","type":"object"}"#, r#"{"$schema":"x","type":"object","properties":{}}"#),
            (
                r#"{"properties":{"a":{"minimum":1.0}}}"#,
                r#"{"type":"object","properties":{"a":{"minimum":1.0}}}"#,
            ),
            (EMPTY, EMPTY),
        ] {
            let mut out = BytesMut::new();
            write_parameters(schema, &mut out);
            assert_eq!(out, told, "{schema}");
        }
    }
}
