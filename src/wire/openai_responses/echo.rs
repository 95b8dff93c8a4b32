//! What a response repeats of its request: clients expect every one of these members in each lifecycle event.

use serde::Deserialize;

use crate::wire::json::{Field, Object};
use crate::wire::members::members;

/// The repeated members, written once. Empty for other dialects.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    /// JSON members, separated by commas.
    members: String,
    /// The names of the request's custom tools.
    custom: Vec<String>,
}

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
        let custom = custom_tools(tools.unwrap_or_default());
        // what was written begins with a comma, as behind other members
        let members = String::from_utf8_lossy(&out).trim_start_matches(',').to_owned();
        Self { members, custom }
    }

    /// Writes the repeated members.
    pub(super) fn write(&self, object: &mut Object<'_>) {
        if !self.members.is_empty() {
            object.members(&self.members);
        }
    }

    /// Is this a tool that takes free text?
    pub(super) fn is_custom(&self, tool: &str) -> bool {
        self.custom.iter().any(|known| known == tool)
    }
}

fn custom_tools(tools: Field<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Field<'a>,
        #[serde(borrow, default)]
        name: Field<'a>,
    }
    let tools: Vec<Tool<'_>> = tools.read().unwrap_or_default();
    let custom = tools.iter().filter(|tool| tool.kind.string().as_deref() == Some("custom"));
    custom.filter_map(|tool| Some(tool.name.string()?.into_owned())).collect()
}
