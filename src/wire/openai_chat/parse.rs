//! Reads a chat completions request.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::envelope::ParseError;
use crate::wire::extra::{Extra, User};
use crate::wire::function::{kind_of, read_choice, read_function};
use crate::wire::json::{Field, Text};
use crate::wire::members::{inner_members, list, members, number, strings};
use crate::wire::openai_chat::messages::message;
use crate::wire::request::{Effort, Format, NOT_CARRIED, Native, Request};

/// Reads a request body that is a JSON object.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    for (key, field) in members(body)? {
        read_member(&mut request, &key, field)?;
    }
    if request.messages.is_empty() {
        return Err(ParseError::new("`messages` must not be empty", Some("messages")));
    }
    request.settle_tools()?;
    Ok(request)
}

fn read_member<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    match key {
        "model" | "stream" | "stream_options" => {}
        "messages" => {
            let dropped = &mut request.dropped;
            let wires = list::<Field<'a>>(field, "messages")?.into_iter();
            request.messages = wires.map(|wire| message(wire, dropped)).collect::<Result<_, _>>()?;
        }
        "tools" => {
            for tool in list::<Field<'a>>(field, "tools")? {
                read_tool(request, tool)?;
            }
        }
        "tool_choice" => read_choice(request, field)?,
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
        "reasoning_effort" => request.effort = effort(field)?.or(request.effort),
        "chat_template_kwargs" => read_template(request, field)?,
        "n" if field.whole() == Some(1) => {}
        "modalities" if field.raw() == Some("[\"text\"]") => {}
        "store" if field.boolean() == Some(false) => {}
        "user" => request.user = field.some_text().map(|id| User { id, word: "user" }),
        _ if (KNOWN_LOSSES.contains(&key) || NATIVE.contains(&key)) && says_nothing(key, field) => {}
        _ if KNOWN_LOSSES.contains(&key) => return Err(lost(key)),
        _ => match Extra::named(key) {
            Some(extra) => request.extras.add(extra, extra.name(), field),
            None => {
                if !NATIVE.contains(&key) {
                    request.dropped.add(key);
                }
                request.native.extend(native(key, field));
            }
        },
    }
    Ok(())
}

/// Fields without which the answer would be another one, and that no other API has.
const KNOWN_LOSSES: [&str; 7] =
    ["n", "logprobs", "modalities", "audio", "functions", "function_call", "web_search_options"];

/// The same of fields that vLLM or llama.cpp has in chat requests, and that some servers take elsewhere too.
const NATIVE: [&str; 13] = [
    "logit_bias",
    "grammar",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "samplers",
    "lora",
    "stop_token_ids",
    "bad_words",
    "ignore_eos",
    "min_tokens",
];

fn lost(key: &str) -> ParseError {
    let param = KNOWN_LOSSES.iter().find(|known| **known == key);
    ParseError::new(format!("`{key}` {NOT_CARRIED}"), param.copied())
}

/// A member that is kept as it stands; what `chat_template_kwargs` says of thinking is told in any case.
fn native<'a>(key: &str, field: Field<'a>) -> Option<Native<'a>> {
    let value = field.raw()?;
    Some(Native { name: Cow::Owned(key.to_owned()), value, counts: NATIVE.contains(&key) })
}

/// Is it what there is without it?
fn says_nothing(key: &str, field: Field<'_>) -> bool {
    if key == "web_search_options" {
        return false; // it is searched for the asking
    }
    let raw = field.raw().unwrap_or("{}");
    ["false", "0"].contains(&raw) || field.text().is_some_and(Text::is_empty) || {
        let inside = raw.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inside = inside.or_else(|| raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')));
        inside.is_some_and(|inside| inside.trim().is_empty())
    }
}

/// What a chat template is told: whether to think is known to every backend, all else only to its own.
fn read_template<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    let mut counts = false;
    for (key, value) in inner_members(field, "chat_template_kwargs")? {
        match (key.as_ref(), value.boolean()) {
            ("enable_thinking" | "thinking", Some(thinks)) => {
                let wish = if thinks { Effort::Medium } else { Effort::None };
                request.effort = request.effort.or(Some(wish));
            }
            _ => counts = true,
        }
    }
    request.native.extend(native("chat_template_kwargs", field).map(|native| Native { counts, ..native }));
    Ok(())
}

/// Tools that a vendor runs itself, like web search, are nothing to other models.
fn read_tool<'a>(request: &mut Request<'a>, tool: Field<'a>) -> Result<(), ParseError> {
    match kind_of(tool).as_ref() {
        "function" => request.tools.push(read_function(tool, &mut request.dropped)?),
        // It is the client's own, which would not know its call again.
        "custom" => {
            let words = "a tool of type `custom` cannot be carried to the backend of this model";
            return Err(ParseError::new(words, Some("tools")));
        }
        other => {
            request.dropped.add(format!("tools.{other}"));
            request.offer.lose(other);
        }
    }
    Ok(())
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

/// The effort, unless it is the model's own.
fn effort(field: Field<'_>) -> Result<Option<Effort>, ParseError> {
    let name = field.string();
    if name.as_deref() == Some("default") {
        return Ok(None);
    }
    let known = name.and_then(|name| Effort::named(&name));
    let wrong = || ParseError::new("`reasoning_effort` is none that is known", Some("reasoning_effort"));
    known.map(Some).ok_or_else(wrong)
}
