//! Reads a chat completions request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::extra::{Extra, User};
use crate::wire::json::Field;
use crate::wire::members::{list, members, number, strings};
use crate::wire::openai_chat::messages::{WireMessage, message};
use crate::wire::request::{Effort, Format, Request, Tool, ToolChoice};

/// Reads a request body that is a JSON object.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    for (key, field) in members(body)? {
        read_member(&mut request, &key, field)?;
    }
    if request.messages.is_empty() {
        return Err(ParseError::new("`messages` must not be empty", Some("messages")));
    }
    Ok(request)
}

fn read_member<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    match key {
        "model" | "stream" | "stream_options" => {}
        "messages" => {
            let dropped = &mut request.dropped;
            let wires = list::<WireMessage<'a>>(field, "messages")?.into_iter();
            request.messages = wires.map(|wire| message(wire, dropped)).collect::<Result<_, _>>()?;
        }
        "tools" => {
            let wires = list::<WireTool<'a>>(field, "tools")?;
            if wires.iter().any(|wire| !wire.cache_control.is_absent()) {
                request.dropped.add("cache_control");
            }
            request.tools = wires.into_iter().map(tool).collect::<Result<_, _>>()?;
        }
        "tool_choice" => request.tool_choice = Some(tool_choice(field)?),
        "parallel_tool_calls" => request.parallel_tool_calls = field.boolean(),
        "max_completion_tokens" => sampling.max_tokens = number(field, "max_completion_tokens")?,
        "max_tokens" => sampling.max_tokens = sampling.max_tokens.or(number(field, "max_tokens")?),
        "temperature" => sampling.temperature = number(field, "temperature")?,
        "top_p" => sampling.top_p = number(field, "top_p")?,
        "top_k" => sampling.top_k = number(field, "top_k")?,
        "min_p" => sampling.min_p = number(field, "min_p")?,
        "seed" => sampling.seed = number(field, "seed")?,
        "frequency_penalty" => sampling.frequency_penalty = number(field, "frequency_penalty")?,
        "presence_penalty" => sampling.presence_penalty = number(field, "presence_penalty")?,
        "repetition_penalty" | "repeat_penalty" => sampling.repeat_penalty = number(field, "repeat_penalty")?,
        "stop" => {
            sampling.stop = match field.text() {
                Some(one) => vec![one],
                None => strings(field, "stop")?,
            }
        }
        "response_format" => request.format = format(field)?,
        "reasoning_effort" => request.effort = Some(effort(field)?),
        "n" if field.whole() == Some(1) => {}
        "logprobs" | "store" if field.boolean() == Some(false) => {}
        "modalities" if field.raw() == Some("[\"text\"]") => {}
        "user" => request.user = field.some_text().map(|id| User { id, word: "user" }),
        "n" | "logprobs" | "modalities" | "audio" | "functions" | "function_call" | "web_search_options" => {
            return Err(ParseError::new(
                format!(
                    "`{key}` cannot be carried to the backend of this model, and the answer would not be the same without it"
                ),
                KNOWN_LOSSES.iter().find(|known| **known == key).copied(),
            ));
        }
        _ => match Extra::named(key) {
            Some(extra) => request.extras.add(extra, extra.name(), field),
            None => request.dropped.add(key),
        },
    }
    Ok(())
}

/// Fields without which the answer would be another one.
const KNOWN_LOSSES: [&str; 7] =
    ["n", "logprobs", "modalities", "audio", "functions", "function_call", "web_search_options"];

#[derive(Deserialize)]
struct WireTool<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Field<'a>,
    #[serde(borrow, default)]
    function: Option<WireToolFunction<'a>>,
    #[serde(borrow, default)]
    cache_control: Field<'a>,
}

#[derive(Deserialize)]
struct WireToolFunction<'a> {
    #[serde(borrow, default)]
    name: Field<'a>,
    #[serde(borrow, default)]
    description: Field<'a>,
    #[serde(borrow, default)]
    parameters: Field<'a>,
    #[serde(borrow, default)]
    strict: Field<'a>,
}

fn tool(wire: WireTool<'_>) -> Result<Tool<'_>, ParseError> {
    let kind = wire.kind.string().unwrap_or(Cow::Borrowed("function"));
    let function = wire.function.filter(|_| kind == "function").ok_or_else(|| {
        ParseError::new(
            format!("a tool of type `{kind}` cannot be carried to the backend of this model"),
            Some("tools"),
        )
    })?;
    let name =
        function.name.some_text().ok_or_else(|| ParseError::new("a tool has no name", Some("tools")))?;
    Ok(Tool {
        name,
        description: function.description.text(),
        parameters: function.parameters.object(),
        strict: function.strict.boolean(),
    })
}

fn tool_choice(field: Field<'_>) -> Result<ToolChoice<'_>, ParseError> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        function: WireToolFunction<'a>,
    }
    match field.string().as_deref() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        _ => field
            .read::<Named<'_>>()
            .and_then(|named| named.function.name.some_text())
            .map(ToolChoice::Named)
            .ok_or_else(|| ParseError::new("`tool_choice` is none that is known", Some("tool_choice"))),
    }
}

fn format(field: Field<'_>) -> Result<Option<Format<'_>>, ParseError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        json_schema: Option<Named<'a>>,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        name: Field<'a>,
        #[serde(borrow, default)]
        schema: Field<'a>,
        #[serde(borrow, default)]
        strict: Field<'a>,
    }
    let wrong = || ParseError::new("`response_format` is none that is known", Some("response_format"));
    let wire: Wire<'_> = field.read().ok_or_else(wrong)?;
    match (wire.kind.as_ref(), wire.json_schema) {
        ("text", _) => Ok(None),
        ("json_object", _) => Ok(Some(Format::Json)),
        ("json_schema", Some(Named { name, schema, strict })) => Ok(Some(Format::Schema {
            name: name.some_text(),
            schema: schema.object().ok_or_else(wrong)?,
            strict: strict.boolean(),
        })),
        _ => Err(wrong()),
    }
}

fn effort(field: Field<'_>) -> Result<Effort, ParseError> {
    let named = field.string().and_then(|name| Effort::named(&name));
    named.ok_or_else(|| ParseError::new("`reasoning_effort` is none that is known", Some("reasoning_effort")))
}
