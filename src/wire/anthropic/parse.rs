//! Reads a Messages request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::anthropic::blocks::{read_blocks, read_texts};
use crate::wire::envelope::ParseError;
use crate::wire::extra::User;
use crate::wire::failure::THREAD;
use crate::wire::json::{Field, Text};
use crate::wire::members::{inner_members, list, members, number, strings};
use crate::wire::request::{Dropped, Effort, Format, Message, Part, Request, Role, Tool, ToolChoice};

/// Reads a request body that is a JSON object.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    let (mut system, mut budget, mut effort) = (None, None, None);
    for (key, field) in members(body)? {
        match key.as_ref() {
            "system" => system = Some(field),
            "thinking" => budget = Some(read_thinking(field)?),
            "output_config" => effort = read_output(&mut request, field)?,
            "output_format" => request.format = Some(read_format(field, "output_format")?),
            _ => read_member(&mut request, &key, field)?,
        }
    }
    if let Some(system) = system {
        let parts = read_texts(system, &mut request.dropped)?;
        // One that says nothing would replace what a model has of its own.
        if !parts.is_empty() {
            request.messages.insert(0, Message { role: Role::System, parts });
        }
    }
    // The level says more than a budget does, but thinking that is off stays off.
    request.effort = match (budget, effort) {
        (Some(Thinking::Off), _) => Some(Effort::None),
        (Some(Thinking::Adaptive), None) => Some(Effort::High),
        (Some(Thinking::Budget(tokens)), None) => Some(effort_of(tokens)),
        (None | Some(Thinking::Adaptive | Thinking::Budget(_)), effort) => effort,
    };
    if !request.messages.iter().any(|message| message.role != Role::System) {
        return Err(ParseError::new("`messages` must not be empty", Some("messages")));
    }
    Ok(request)
}

fn read_member<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    match key {
        "model" | "stream" => {}
        "messages" => {
            for wire in list::<WireMessage<'a>>(field, "messages")? {
                let parts = read_blocks(wire.content, &mut request.dropped)?;
                let role = match wire.role.as_ref() {
                    "user" => Role::User,
                    "assistant" => Role::Assistant,
                    "system" => Role::System,
                    other => {
                        let words = format!("the role `{other}` is not known");
                        return Err(ParseError::new(words, Some("messages")));
                    }
                };
                push_message(&mut request.messages, role, parts);
            }
        }
        "max_tokens" => sampling.max_tokens = number(field, "max_tokens")?,
        "temperature" => sampling.temperature = number(field, "temperature")?,
        "top_p" => sampling.top_p = number(field, "top_p")?,
        "top_k" => sampling.top_k = number(field, "top_k")?,
        "stop_sequences" => sampling.stop = strings(field, "stop_sequences")?,
        "tools" => {
            for wire in list::<Field<'a>>(field, "tools")? {
                if let Some(tool) = read_tool(wire, &mut request.dropped)? {
                    request.tools.push(tool);
                }
            }
        }
        "tool_choice" => read_tool_choice(request, field)?,
        "metadata" => {
            for (key, value) in inner_members(field, "metadata")? {
                match key.as_ref() {
                    "user_id" => {
                        request.user = value.some_text().map(|id| User { id, word: "metadata.user_id" });
                    }
                    _ => request.dropped.add(format!("metadata.{key}")),
                }
            }
        }
        // The history would be lost with them.
        THREAD | "container" => {
            let known = [THREAD, "container"].into_iter().find(|known| *known == key);
            let words = format!(
                "`{key}` leaves a part of the history to the vendor, which is not the backend of this model"
            );
            return Err(ParseError::new(words, known));
        }
        _ => request.dropped.add(key),
    }
    Ok(())
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Field<'a>,
}

/// Results of tools are messages of their own in the request model; they come first, as Anthropic wants them.
fn push_message<'a>(messages: &mut Vec<Message<'a>>, role: Role, parts: Vec<Part<'a>>) {
    let (results, rest): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| matches!(part, Part::ToolResult(_)));
    let none_but_results = rest.is_empty() && !results.is_empty();
    messages.extend(results.into_iter().map(|result| Message { role: Role::Tool, parts: vec![result] }));
    if !none_but_results {
        messages.push(Message { role, parts: rest });
    }
}

/// Tools that the vendor runs itself, like web search, are nothing to other models.
fn read_tool<'a>(wire: Field<'a>, dropped: &mut Dropped) -> Result<Option<Tool<'a>>, ParseError> {
    let wrong = |why: &str| ParseError::new(why, Some("tools"));
    let mut tool = Tool { name: Text::Plain(""), description: None, parameters: None, strict: None };
    let mut lost = Vec::new();
    for (key, value) in inner_members(wire, "tools").map_err(|_| wrong("a tool must be an object"))? {
        match key.as_ref() {
            "type" => {
                if let Some(kind) = value.string().filter(|kind| kind != "custom") {
                    dropped.add(format!("tools.{kind}"));
                    return Ok(None);
                }
            }
            "name" => tool.name = value.text().unwrap_or(tool.name),
            "description" => tool.description = value.text(),
            "input_schema" => tool.parameters = value.object(),
            "strict" => tool.strict = value.boolean(),
            "cache_control" => lost.push(key.into_owned()),
            // how arguments are streamed, not what they are: every event is handed on as it comes
            "eager_input_streaming" => {}
            _ => lost.push(format!("tools.{key}")),
        }
    }
    if tool.name.is_empty() {
        return Err(wrong("a tool has no name"));
    }
    for field in lost {
        dropped.add(field);
    }
    Ok(Some(tool))
}

fn read_tool_choice<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Field<'a>,
        #[serde(borrow, default)]
        name: Field<'a>,
        #[serde(borrow, default)]
        disable_parallel_tool_use: Field<'a>,
    }
    let wrong = || ParseError::new("`tool_choice` is none that is known", Some("tool_choice"));
    let wire: Wire<'a> = field.read().ok_or_else(wrong)?;
    request.tool_choice = Some(match wire.kind.string().as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => ToolChoice::Named(wire.name.some_text().ok_or_else(wrong)?),
        _ => return Err(wrong()),
    });
    if let Some(disabled) = wire.disable_parallel_tool_use.boolean() {
        request.parallel_tool_calls = Some(!disabled);
    }
    Ok(())
}

/// What `thinking` says.
#[derive(Clone, Copy, Debug)]
enum Thinking {
    Off,
    Adaptive,
    /// At most so many tokens.
    Budget(u64),
}

fn read_thinking(field: Field<'_>) -> Result<Thinking, ParseError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Field<'a>,
        #[serde(borrow, default)]
        budget_tokens: Field<'a>,
    }
    let wrong = || ParseError::new("`thinking` is none that is known", Some("thinking"));
    let wire: Wire<'_> = field.read().ok_or_else(wrong)?;
    match wire.kind.string().as_deref() {
        Some("disabled") => Ok(Thinking::Off),
        Some("adaptive") => Ok(Thinking::Adaptive),
        Some("enabled") => wire.budget_tokens.whole().map(Thinking::Budget).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// The level that a budget of tokens stands for: the bounds that other gateways use.
fn effort_of(tokens: u64) -> Effort {
    match tokens {
        0..1024 => Effort::Minimal,
        1024..2048 => Effort::Low,
        2048..4096 => Effort::Medium,
        _ => Effort::High,
    }
}

fn read_output<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<Option<Effort>, ParseError> {
    let mut effort = None;
    for (key, value) in inner_members(field, "output_config")? {
        match key.as_ref() {
            "effort" => {
                let level = value.string().and_then(|name| Effort::named(&name));
                let wrong =
                    || ParseError::new("`output_config.effort` is none that is known", Some("output_config"));
                effort = Some(level.ok_or_else(wrong)?);
            }
            "format" => request.format = Some(read_format(value, "output_config")?),
            _ => request.dropped.add(format!("output_config.{key}")),
        }
    }
    Ok(effort)
}

fn read_format<'a>(field: Field<'a>, name: &'static str) -> Result<Format<'a>, ParseError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        schema: Field<'a>,
    }
    let schema = field.read::<Wire<'a>>().and_then(|wire| wire.schema.object());
    let schema = schema.ok_or_else(|| {
        ParseError::new(format!("the format in `{name}` is none that is known"), Some(name))
    })?;
    Ok(Format::Schema { name: None, schema, strict: None })
}
