//! Reads a Responses request.

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::extra::{Extra, User};
use crate::wire::function::{kind_of, read_choice, read_function};
use crate::wire::json::{Field, Text};
use crate::wire::members::{inner_members, list, members, named, number};
use crate::wire::openai_responses::custom::SCHEMA;
use crate::wire::openai_responses::input::read_input;
use crate::wire::request::{Dropped, Effort, Format, Message, Part, Request, Role, Tool};

/// Reads a request body that is a JSON object.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    let mut input = Field::default();
    for (key, field) in members(body)? {
        match key.as_ref() {
            "input" => input = field,
            "instructions" => {
                let wrong = || ParseError::new("`instructions` must be a string", Some("instructions"));
                let text = field.text().ok_or_else(wrong)?;
                // One that says nothing would replace what a model has of its own.
                if !text.is_empty() {
                    request.messages.insert(0, Message { role: Role::System, parts: vec![Part::Text(text)] });
                }
            }
            _ => read_member(&mut request, &key, field)?,
        }
    }
    if input.is_absent() {
        return Err(ParseError::new("`input` is required", Some("input")));
    }
    read_input(input, &mut request)?;
    if request.messages.is_empty() {
        return Err(ParseError::new("`input` must not be empty", Some("input")));
    }
    request.settle_tools()?;
    Ok(request)
}

fn unstored(key: &'static str) -> ParseError {
    let words = format!("`{key}` names nothing that is kept here: send the whole input instead");
    ParseError::new(words, Some(key))
}

/// Members that mean nothing to the model.
const SILENT: [&str; 5] = ["model", "stream", "stream_options", "store", "truncation"];

fn read_member<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    match key {
        "truncation" if field.string().as_deref() != Some("disabled") => request.dropped.add(key),
        _ if SILENT.contains(&key) => {}
        "background" if field.boolean() == Some(false) => {}
        "background" => return Err(unstored("background")),
        "previous_response_id" => return Err(unstored("previous_response_id")),
        "conversation" => return Err(unstored("conversation")),
        "prompt" => return Err(unstored("prompt")),
        "max_output_tokens" => sampling.max_tokens = number(field, "max_output_tokens")?,
        "temperature" => sampling.temperature = number(field, "temperature")?,
        "top_p" => sampling.top_p = number(field, "top_p")?,
        "top_logprobs" if field.whole() == Some(0) => {}
        "top_logprobs" => {
            let words = "`top_logprobs` cannot be carried to the backend of this model";
            return Err(ParseError::new(words, Some("top_logprobs")));
        }
        "tools" => {
            for tool in list::<Field<'a>>(field, "tools")? {
                match read_tool(tool, &mut request.dropped)? {
                    Ok(tool) => request.tools.push(tool),
                    Err(kind) => request.offer.lose(kind),
                }
            }
        }
        "tool_choice" => read_choice(request, field)?,
        "moderation" if blocks(field) => {
            let words = "`moderation` is to block what is not fit, which the backend of this model cannot do";
            return Err(ParseError::new(words, Some("moderation")));
        }
        "parallel_tool_calls" => request.parallel_tool_calls = field.boolean(),
        "text" => read_text(request, field)?,
        "reasoning" => read_reasoning(request, field)?,
        "include" => read_include(request, field)?,
        "user" => request.user = field.some_text().map(|id| User { id, word: "user" }),
        _ => match Extra::named(key).filter(|extra| *extra != Extra::Verbosity) {
            Some(extra) => request.extras.add(extra, extra.name(), field),
            None => request.dropped.add(key),
        },
    }
    Ok(())
}

/// Tools that OpenAI runs itself, like web search, are nothing to other models: only their type is left. Custom tools become
/// functions.
pub(super) fn read_tool<'a>(
    tool: Field<'a>,
    dropped: &mut Dropped,
) -> Result<Result<Tool<'a>, String>, ParseError> {
    match kind_of(tool).as_ref() {
        "function" => read_function(tool, dropped).map(Ok),
        "custom" => {
            // a grammar holds only at OpenAI, and is named
            let tool = read_function(tool, dropped)?;
            Ok(Ok(Tool { parameters: Some(SCHEMA), ..tool }))
        }
        other => {
            dropped.add(format!("tools.{other}"));
            Ok(Err(other.to_owned()))
        }
    }
}

/// Is something to be blocked that the moderation finds?
fn blocks(moderation: Field<'_>) -> bool {
    let modes =
        named(moderation, ["policy"], |_| {}).and_then(|[policy]| named(policy, ["input", "output"], |_| {}));
    let is_block = |policy: Field<'_>| {
        named(policy, ["mode"], |_| {}).is_some_and(|[mode]| mode.string().as_deref() == Some("block"))
    };
    modes.is_some_and(|modes| modes.into_iter().any(is_block))
}

fn read_text<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Field<'a>,
        #[serde(borrow, default)]
        name: Field<'a>,
        #[serde(borrow, default)]
        schema: Field<'a>,
        #[serde(borrow, default)]
        strict: Field<'a>,
    }
    let wrong = || ParseError::new("`text.format` is none that is known", Some("text"));
    for (key, value) in inner_members(field, "text")? {
        if key == "verbosity" {
            request.extras.add(Extra::Verbosity, "text.verbosity", value);
            continue;
        }
        if key != "format" {
            request.dropped.add(format!("text.{key}"));
            continue;
        }
        let wire: Wire<'a> = value.read().ok_or_else(wrong)?;
        request.format = match wire.kind.string().as_deref() {
            Some("text") => None,
            Some("json_object") => Some(Format::Json),
            Some("json_schema") => Some(Format::Schema {
                name: wire.name.some_text(),
                schema: wire.schema.object().ok_or_else(wrong)?,
                strict: wire.strict.boolean(),
            }),
            _ => return Err(wrong()),
        };
    }
    Ok(())
}

/// A summary is what clients are shown of any reasoning, so how it is asked for makes no difference.
fn read_reasoning<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    for (key, value) in inner_members(field, "reasoning")? {
        match key.as_ref() {
            "effort" => {
                let name = value.string();
                if name.as_deref() == Some("default") {
                    continue; // the model's own
                }
                let effort = name.and_then(|name| Effort::named(&name));
                let wrong = || ParseError::new("`reasoning.effort` is none that is known", Some("reasoning"));
                request.effort = Some(effort.ok_or_else(wrong)?);
            }
            "summary" | "generate_summary" => {}
            _ => request.dropped.add(format!("reasoning.{key}")),
        }
    }
    Ok(())
}

/// What is sealed of the reasoning is there whenever the backend has it.
fn read_include<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    for wanted in list::<Field<'a>>(field, "include")? {
        let wanted = wanted.text().map(Text::plain).unwrap_or_default();
        match wanted.as_ref() {
            "reasoning.encrypted_content" => {}
            "message.output_text.logprobs" => {
                let words = "`include` asks for logprobs, which cannot be had of the backend of this model";
                return Err(ParseError::new(words, Some("include")));
            }
            other => request.dropped.add(format!("include.{other}")),
        }
    }
    Ok(())
}
