//! Reads `/api/chat` and `/api/generate` requests.

use crate::wire::call_arguments::Arguments;
use crate::wire::envelope::ParseError;
use crate::wire::function::read_function;
use crate::wire::json::Field;
use crate::wire::media::Image;
use crate::wire::members::{inner_members, list, members, named, strings};
use crate::wire::request::{Dropped, Effort, Format, Message, Part, Request, Role, ToolCall, ToolResult};

/// Reads the body of `/api/chat`. No messages at all ask for the model to be loaded.
pub fn parse_chat(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    for (key, field) in members(body)? {
        match key.as_ref() {
            "messages" => {
                let dropped = &mut request.dropped;
                let messages = list::<Field<'_>>(field, "messages")?.into_iter();
                request.messages = messages.map(|field| message(field, dropped)).collect::<Result<_, _>>()?;
            }
            "tools" => {
                let tools = list::<Field<'_>>(field, "tools")?.into_iter();
                let dropped = &mut request.dropped;
                request.tools = tools.map(|tool| read_function(tool, dropped)).collect::<Result<_, _>>()?;
            }
            _ => read_shared(&mut request, &key, field)?,
        }
    }
    Ok(request)
}

/// Reads the body of `/api/generate`, as a conversation of one turn.
pub fn parse_generate(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    let (mut system, mut prompt, mut images) = (None, None, Vec::new());
    for (key, field) in members(body)? {
        match key.as_ref() {
            "system" => system = field.some_text(),
            "prompt" => prompt = field.some_text(),
            "images" => images = read_images(field)?,
            "suffix" | "template" if field.some_text().is_none() => {}
            "raw" if field.boolean() == Some(false) => {}
            "suffix" | "template" | "raw" | "context" => {
                return Err(ParseError::new(
                    format!("`{key}` cannot be carried to the backend of this model: only Ollama knows it"),
                    ["suffix", "template", "raw", "context"].into_iter().find(|known| *known == key),
                ));
            }
            _ => read_shared(&mut request, &key, field)?,
        }
    }
    if let Some(text) = system {
        request.messages.push(Message { role: Role::System, parts: vec![Part::Text(text)] });
    }
    if prompt.is_some() || !images.is_empty() {
        let mut parts: Vec<_> = prompt.map(Part::Text).into_iter().collect();
        parts.append(&mut images);
        request.messages.push(Message { role: Role::User, parts });
    }
    Ok(request)
}

fn read_shared<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    match key {
        "model" | "stream" => {}
        "format" => {
            request.format = match (field.string().as_deref(), field.object()) {
                (Some(""), _) => None,
                (Some("json"), _) => Some(Format::Json),
                (_, Some(schema)) => Some(Format::Schema { name: None, schema, strict: None }),
                _ => {
                    return Err(ParseError::new(
                        "`format` must be \"json\" or a JSON Schema",
                        Some("format"),
                    ));
                }
            };
        }
        "think" => request.effort = Some(effort(field)?),
        "options" => read_options(request, field)?,
        "keep_alive" => {
            let text = field.string();
            request.unload =
                matches!(text.as_deref().or_else(|| field.raw()), Some("0" | "0s" | "0m" | "0h"));
            request.dropped.add(key);
        }
        "logprobs" if field.boolean() == Some(false) => {}
        "logprobs" => {
            return Err(ParseError::new(
                "`logprobs` cannot be carried to the backend of this model",
                Some("logprobs"),
            ));
        }
        _ => request.dropped.add(key),
    }
    Ok(())
}

fn read_options<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    for (key, value) in inner_members(field, "options")? {
        let slot = match key.as_ref() {
            "num_predict" => {
                // -1 and -2 mean: no limit
                sampling.max_tokens = Some(option_number(&key, value)?).filter(|most| !most.starts_with('-'));
                continue;
            }
            "stop" => {
                sampling.stop = match value.text() {
                    Some(one) => vec![one],
                    None => strings(value, "options")?,
                };
                continue;
            }
            "temperature" => &mut sampling.temperature,
            "top_p" => &mut sampling.top_p,
            "top_k" => &mut sampling.top_k,
            "min_p" => &mut sampling.min_p,
            "seed" => &mut sampling.seed,
            "frequency_penalty" => &mut sampling.frequency_penalty,
            "presence_penalty" => &mut sampling.presence_penalty,
            "repeat_penalty" => &mut sampling.repeat_penalty,
            _ => {
                request.dropped.add(format!("options.{key}"));
                continue;
            }
        };
        *slot = Some(option_number(&key, value)?);
    }
    Ok(())
}

fn option_number<'a>(key: &str, value: Field<'a>) -> Result<&'a str, ParseError> {
    let wrong = || ParseError::new(format!("option \"{key}\" must be of type number"), Some("options"));
    value.number().ok_or_else(wrong)
}

fn effort(field: Field<'_>) -> Result<Effort, ParseError> {
    match (field.boolean(), field.string().as_deref()) {
        (Some(false), _) => Ok(Effort::None),
        (Some(true), _) | (_, Some("medium")) => Ok(Effort::Medium),
        (_, Some("low")) => Ok(Effort::Low),
        (_, Some("high")) => Ok(Effort::High),
        (_, Some("max")) => Ok(Effort::Max),
        _ => Err(ParseError::new(
            "`think` must be a boolean or one of \"low\", \"medium\", \"high\", \"max\"",
            Some("think"),
        )),
    }
}

fn wrong(why: impl Into<String>) -> ParseError {
    ParseError::new(why, Some("messages"))
}

fn message<'a>(message: Field<'a>, dropped: &mut Dropped) -> Result<Message<'a>, ParseError> {
    let names = ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"];
    let fields = named(message, names, |other| dropped.add(format!("messages.{other}")));
    let [role, content, thinking, images, tool_calls, tool_name, tool_call_id] =
        fields.ok_or_else(|| wrong("`messages` must hold objects"))?;
    let role = match role.string().unwrap_or_default().to_ascii_lowercase().as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => return Err(wrong(format!("invalid role: `{other}`"))),
    };
    if !content.is_absent() && content.text().is_none() {
        return Err(wrong("`content` must be a string"));
    }
    if role == Role::Tool {
        let mut parts: Vec<_> = content.some_text().map(Part::Text).into_iter().collect();
        parts.append(&mut read_images(images)?);
        let result = ToolResult {
            call_id: tool_call_id.some_text(),
            tool: tool_name.some_text(),
            parts,
            is_error: false,
        };
        return Ok(Message { role, parts: vec![Part::ToolResult(result)] });
    }
    let mut parts = Vec::with_capacity(1); // nearly always; four times as much is taken otherwise
    parts.extend(thinking.some_text().map(|text| Part::Reasoning { text, sealed: None }));
    parts.extend(content.some_text().map(Part::Text));
    parts.append(&mut read_images(images)?);
    for call in list::<Field<'a>>(tool_calls, "messages")? {
        parts.push(read_call(call, dropped)?);
    }
    Ok(Message { role, parts })
}

fn read_call<'a>(call: Field<'a>, dropped: &mut Dropped) -> Result<Part<'a>, ParseError> {
    let fields =
        named(call, ["id", "function", "type"], |other| dropped.add(format!("messages.tool_calls.{other}")));
    let [id, function, _] = fields.ok_or_else(|| wrong("`tool_calls` in `messages` must hold objects"))?;
    let unknown = |other: &str| dropped.add(format!("messages.tool_calls.function.{other}"));
    let fields = named(function, ["name", "arguments", "index"], unknown);
    let [name, arguments, _] = fields.ok_or_else(|| wrong("a tool call has no `function`"))?;
    let name = name.some_text().ok_or_else(|| wrong("a tool call has no name"))?;
    Ok(Part::ToolCall(ToolCall { id: id.some_text(), name, arguments: Arguments::of(arguments) }))
}

fn read_images<'a>(field: Field<'a>) -> Result<Vec<Part<'a>>, ParseError> {
    let images: Vec<Field<'a>> = list(field, "images")?;
    let data = |image: Field<'a>| {
        let base64 = image
            .some_text()
            .ok_or_else(|| ParseError::new("`images` must hold base64 strings", Some("images")))?;
        Ok(Part::Image(Image::Data { media_type: None, base64 }))
    };
    images.into_iter().map(data).collect()
}
