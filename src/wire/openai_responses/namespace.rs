//! Namespaces of tools (Codex has one for each of its MCP servers): models of other dialects are told their functions beside the
//! others, under names that hold both, and the client is given the two parts back.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::json::{Field, Object, Text, write_list};
use crate::wire::members::{AllMembers, named};

/// A tool's own name, and the namespace that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnName<'n> {
    pub(super) namespace: Option<&'n str>,
    pub(super) name: &'n str,
}

/// A tool, or a call of one.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Field<'a>,
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    namespace: Field<'a>,
    #[serde(borrow, default)]
    tools: Field<'a>,
}

/// The name under which a tool in a namespace is told.
pub(super) fn joined(namespace: &str, name: &str) -> String {
    let between = if namespace.ends_with("__") { "" } else { "__" };
    format!("{namespace}{between}{name}")
}

/// The names of the tools in a namespace, with their types; none if `tool` is no namespace.
pub(super) fn names_in(tool: &RawValue) -> Vec<(String, String, bool)> {
    let Some((namespace, tools)) = namespace(tool) else { return Vec::new() };
    let inner = tools.into_iter().filter_map(|tool| {
        let tool: Named<'_> = Field::of(tool).read()?;
        let is_custom = tool.kind.string().as_deref() == Some("custom");
        Some((namespace.clone().into_owned(), tool.name.string()?.into_owned(), is_custom))
    });
    inner.collect()
}

fn namespace(tool: &RawValue) -> Option<(Cow<'_, str>, Vec<&RawValue>)> {
    let wire: Named<'_> = Field::of(tool).read()?;
    let is_namespace = wire.kind.string().as_deref() == Some("namespace");
    Some((wire.name.string().filter(|_| is_namespace)?, wire.tools.read()?))
}

/// The request with the tools of its namespaces among the others, in the history too.
pub fn flatten(body: &[u8]) -> Cow<'_, [u8]> {
    if memmem::find(body, b"namespace").is_none() {
        return Cow::Borrowed(body);
    }
    let Ok(AllMembers(members)) = serde_json::from_slice(body) else {
        return Cow::Borrowed(body);
    };
    let mut out = BytesMut::with_capacity(body.len());
    let mut object = Object::new(&mut out);
    for (key, value) in members {
        let list = Field::of(value).read::<Vec<&RawValue>>();
        match (key.as_ref(), list) {
            ("tools", Some(tools)) => write_tools(&tools, object.key(&key)),
            ("input", Some(items)) => write_list(items, object.key(&key), write_item),
            _ => {
                object.raw(&key, value.get());
            }
        }
    }
    object.end();
    Cow::Owned(out.to_vec())
}

fn write_tools(tools: &[&RawValue], out: &mut BytesMut) {
    let flat = tools.iter().flat_map(|tool| match namespace(tool) {
        Some((name, inner)) => inner.into_iter().map(|tool| (tool, Some(name.clone()))).collect(),
        None => vec![(*tool, None)],
    });
    write_list(flat, out, |(tool, namespace), out| match namespace {
        Some(namespace) => write_named(tool, &namespace, out),
        None => out.put_slice(tool.get().as_bytes()),
    });
}

fn write_item(item: &RawValue, out: &mut BytesMut) {
    let read: Option<Named<'_>> = Field::of(item).read();
    let namespace = read.as_ref().and_then(|item| item.namespace.string());
    match (namespace, read.and_then(|item| item.tools.read::<Vec<&RawValue>>())) {
        (Some(namespace), _) => write_named(item, &namespace, out),
        (None, Some(tools)) => {
            // Tools that the history has loaded, by a search for example.
            let AllMembers(members) = Field::of(item).read().unwrap_or_default();
            let mut object = Object::new(out);
            for (key, value) in &members {
                match key.as_ref() {
                    "tools" => write_tools(&tools, object.key(key)),
                    _ => {
                        object.raw(key, value.get());
                    }
                }
            }
            object.end();
        }
        (None, None) => out.put_slice(item.get().as_bytes()),
    }
}

/// The tools that the items of an input have loaded.
pub(super) fn loaded(input: Field<'_>) -> Vec<&RawValue> {
    let items: Vec<Field<'_>> = input.read().unwrap_or_default();
    let tools = items.into_iter().filter_map(|item| named(item, ["tools"], |_| {}));
    tools.filter_map(|[tools]| tools.read::<Vec<&RawValue>>()).flatten().collect()
}

/// Something with a name in a namespace, under both.
fn write_named(thing: &RawValue, namespace: &str, out: &mut BytesMut) {
    let AllMembers(members) = Field::of(thing).read().unwrap_or_default();
    let mut object = Object::new(out);
    for (key, value) in members.iter().filter(|(key, _)| key != "namespace") {
        match Field::of(value).string().filter(|_| key == "name") {
            Some(name) => object.text(key, Text::Plain(&joined(namespace, &name))),
            None => object.raw(key, value.get()),
        };
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_and_calls_in_a_namespace_stand_among_the_others() {
        let body = br#"{"model":"m","tools":[{"type":"function","name":"now"},
            {"type":"namespace","name":"mcp__sea__","description":"d","tools":[{"type":"function","name":"depth","parameters":{"a":1.0}}]}],
            "input":[{"type":"function_call","name":"tide","namespace":"sea","call_id":"c","arguments":"{}"},{"role":"user","content":"a"}]}"#;
        let flat = concat!(
            r#"{"model":"m","tools":[{"type":"function","name":"now"},{"type":"function","name":"mcp__sea__depth","parameters":{"a":1.0}}],"#,
            r#""input":[{"type":"function_call","name":"sea__tide","call_id":"c","arguments":"{}"},{"role":"user","content":"a"}]}"#
        );
        assert_eq!(std::str::from_utf8(&flatten(body)).unwrap(), flat);
    }

    #[test]
    fn a_request_without_one_is_not_touched() {
        for body in [&br#"{"input":"a"}"#[..], b"namespace", br#"{"input":"a namespace","tools":7}"#] {
            assert_eq!(flatten(body), body);
        }
    }
}
