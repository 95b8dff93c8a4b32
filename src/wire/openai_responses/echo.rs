//! What a response repeats of its request: clients expect every one of these members in each lifecycle event.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::json::{Field, Object};
use crate::wire::members::members;
use crate::wire::openai_responses::compaction::is_asked;
use crate::wire::openai_responses::namespace::{OwnName, joined, loaded, names_in};

/// The repeated members, written once. Empty for other dialects.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    /// JSON members, separated by commas.
    members: Arc<str>,
    tools: Arc<Tools>,
    /// The answer is a summary for the client to send back.
    pub(super) compacts: bool,
}

/// What of the request's tools their names do not say.
#[derive(Debug, Default)]
struct Tools {
    /// Those that take free text.
    custom: HashSet<String>,
    /// Those in namespaces, by the names under which they are told.
    inner: HashMap<String, (String, String)>,
}

/// Items that load tools: most requests have none, and need no second look.
const LOADING: [&[u8]; 2] = [b"tool_search_output", b"additional_tools"];

/// Each with what it is where the request does not say.
const MEMBERS: [(&str, &str); 18] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("service_tier", "\"default\""),
    ("temperature", "1.0"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

impl Echo {
    /// Reads a request body of Responses. `stored`: the answer is kept.
    pub fn of(body: &[u8], stored: bool) -> Self {
        let given = members(body).unwrap_or_default();
        let mut out = bytes::BytesMut::new();
        let mut object = Object::inside(&mut out);
        for (name, default) in MEMBERS {
            let value = given.iter().find(|(key, _)| key == name).and_then(|(_, field)| field.raw());
            object.raw(name, value.unwrap_or(default));
        }
        object.boolean("store", stored);
        let tools = given.iter().find(|(key, _)| key == "tools").map(|(_, field)| *field);
        // what was written begins with a comma, as behind other members
        let members = String::from_utf8_lossy(&out).trim_start_matches(',').into();
        let mut known = Tools::default();
        for tool in tools.unwrap_or_default().read::<Vec<&RawValue>>().unwrap_or_default() {
            known.add(tool);
        }
        if LOADING.iter().any(|kind| memmem::find(body, kind).is_some()) {
            let input = given.iter().find(|(key, _)| key == "input").map(|(_, field)| *field);
            for tool in loaded(input.unwrap_or_default()) {
                known.add(tool);
            }
        }
        Self { members, tools: Arc::new(known), compacts: is_asked(body) }
    }

    /// How many bytes the repeated members take.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks whether it is empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Writes the repeated members.
    pub(super) fn write(&self, object: &mut Object<'_>) {
        if !self.members.is_empty() {
            object.members(&self.members);
        }
    }

    /// Is a summary asked for, which goes back as one item?
    pub(in crate::wire) fn wants_summary(&self) -> bool {
        self.compacts
    }

    /// Is this a tool that takes free text?
    pub(in crate::wire) fn is_custom(&self, tool: &str) -> bool {
        self.tools.custom.contains(tool)
    }

    /// What the client calls a tool.
    pub(super) fn own_name<'n>(&'n self, tool: &'n str) -> OwnName<'n> {
        match self.tools.inner.get(tool) {
            Some((namespace, name)) => OwnName { namespace: Some(namespace), name },
            None => OwnName { namespace: None, name: tool },
        }
    }
}

impl Tools {
    fn add(&mut self, tool: &RawValue) {
        #[derive(Deserialize)]
        struct Tool<'a> {
            #[serde(rename = "type", borrow, default)]
            kind: Field<'a>,
            #[serde(borrow, default)]
            name: Field<'a>,
        }
        for (namespace, name, is_custom) in names_in(tool) {
            let told = joined(&namespace, &name);
            self.custom.extend(is_custom.then(|| told.clone()));
            self.inner.insert(told, (namespace, name));
        }
        let tool: Option<Tool<'_>> = Field::of(tool).read();
        let custom = tool.filter(|tool| tool.kind.string().as_deref() == Some("custom"));
        self.custom.extend(custom.and_then(|tool| tool.name.string().map(Cow::into_owned)));
    }
}
