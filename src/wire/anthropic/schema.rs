//! JSON Schemas as Anthropic takes them: a tool's input is an object, and in structured output every object says that it has no
//! further members.

use std::borrow::Cow;

use bytes::BytesMut;
use serde_json::value::RawValue;

use crate::wire::json::{Object, write_list};
use crate::wire::members::AllMembers;

/// Writes the schema of a tool's input. One that does not say its type is of an object.
pub(super) fn write_input(schema: &str, out: &mut BytesMut) {
    let Some(members) = members(schema) else {
        one_line(schema, out);
        return;
    };
    let mut object = Object::new(out);
    if !members.iter().any(|(key, _)| key == "type") {
        object.raw("type", "\"object\"");
    }
    for (key, value) in &members {
        object.raw(key, value.get());
    }
    object.end();
}

/// Writes the schema of structured output, each object in it closed unless it says itself whether it is.
pub(super) fn write_closed(schema: &str, out: &mut BytesMut) {
    close(schema, LEVELS, out);
}

/// How deep objects are looked for: each level is read once for every one above it.
const LEVELS: u32 = 32;

fn close(schema: &str, levels: u32, out: &mut BytesMut) {
    let Some(members) = members(schema).filter(|_| levels > 0) else {
        one_line(schema, out);
        return;
    };
    let value = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
    let is_object =
        value("properties").is_some() || value("type").is_some_and(|kind| kind.contains("\"object\""));
    let mut object = Object::new(out);
    for (key, value) in &members {
        match (key.as_ref(), value.get()) {
            ("properties" | "$defs" | "definitions", inner) => {
                write_named(inner, levels - 1, object.key(key));
            }
            ("items" | "anyOf" | "allOf" | "oneOf" | "prefixItems", inner) => {
                write_any(inner, levels - 1, object.key(key));
            }
            (_, other) => {
                object.raw(key, other);
            }
        }
    }
    if is_object && value("additionalProperties").is_none() {
        object.boolean("additionalProperties", false);
    }
    object.end();
}

/// Schemas by name.
fn write_named(schemas: &str, levels: u32, out: &mut BytesMut) {
    let Some(members) = members(schemas) else {
        one_line(schemas, out);
        return;
    };
    let mut object = Object::new(out);
    for (key, schema) in &members {
        close(schema.get(), levels, object.key(key));
    }
    object.end();
}

/// One schema, or a list of them.
fn write_any(schemas: &str, levels: u32, out: &mut BytesMut) {
    match serde_json::from_str::<Vec<&RawValue>>(schemas) {
        Ok(list) => write_list(list, out, |schema, out| close(schema.get(), levels, out)),
        Err(_) => close(schemas, levels, out),
    }
}

fn members(object: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::from_str(object).ok().map(|AllMembers(all)| all)
}

/// JSON that is no object, on one line.
fn one_line(json: &str, out: &mut BytesMut) {
    out.extend(json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: fn(&str, &mut BytesMut), schema: &str) -> String {
        let mut out = BytesMut::new();
        write(schema, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn the_input_of_a_tool_is_an_object() {
        assert_eq!(written(write_input, "{}"), r#"{"type":"object"}"#);
        let schema = r#"{"properties":{"a":{"minimum":1.0}}}"#;
        assert_eq!(written(write_input, schema), r#"{"type":"object","properties":{"a":{"minimum":1.0}}}"#);
        let whole = r#"{"type":"object","properties":{}}"#;
        assert_eq!(written(write_input, whole), whole);
    }

    #[test]
    fn every_object_of_structured_output_is_closed_and_nothing_else_is_changed() {
        let schema = r##"{"type":"object","properties":{"items":{"type":"array","items":{"type":["object","null"],"properties":{}}},
            "b":{"anyOf":[{"$ref":"#/$defs/c"},{"type":"string","enum":["{}"]}]},"d":true},
            "$defs":{"c":{"properties":{"x":{"maximum":1e400}}},"e":{"type":"object","additionalProperties":true}}}"##;
        let closed = r##"{"type":"object","properties":{"items":{"type":"array","items":{"type":["object","null"],"properties":{},"additionalProperties":false}},"b":{"anyOf":[{"$ref":"#/$defs/c"},{"type":"string","enum":["{}"]}]},"d":true},"$defs":{"c":{"properties":{"x":{"maximum":1e400}},"additionalProperties":false},"e":{"type":"object","additionalProperties":true}},"additionalProperties":false}"##;
        assert_eq!(written(write_closed, schema), closed);
        let deep = "{\"items\":".repeat(100) + "{}" + &"}".repeat(100);
        assert_eq!(written(write_closed, &deep), deep);
    }
}
