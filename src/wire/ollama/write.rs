//! Writes an `/api/chat` request from the request model.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::wire::json::{Object, Text, write_list};
use crate::wire::request::{
    Dropped, Effort, Format, Image, Message, Part, Refused, Request, Role, Sampling, Tool, ToolChoice,
};

/// Writes `request` for a backend that calls the model `model`, as a stream.
pub fn write(request: &Request<'_>, model: &str) -> Result<(Bytes, Dropped), Refused> {
    let mut dropped = request.dropped.clone();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    body.text("model", Text::Plain(model)).boolean("stream", true);
    let mut result = Ok(());
    write_list(request.messages.iter().enumerate(), body.key("messages"), |(at, message), out| {
        let before = request.messages.get(..at).unwrap_or_default();
        if let Err(refused) = write_message(message, before, out) {
            result = Err(refused);
        }
    });
    result?;
    write_tools(request, &mut body, &mut dropped);
    match &request.format {
        Some(Format::Json) => {
            body.text("format", Text::Plain("json"));
        }
        Some(Format::Schema { schema, .. }) => {
            body.raw("format", schema);
        }
        None => {}
    }
    if let Some(effort) = request.effort {
        write_effort(effort, &mut body);
    }
    body.object("options", |options| write_options(&request.sampling, options));
    body.end();
    Ok((out.freeze(), dropped))
}

/// Ollama calls tools as the model likes: a choice cannot be handed on, except that there shall be none.
fn write_tools(request: &Request<'_>, body: &mut Object<'_>, dropped: &mut Dropped) {
    match request.tool_choice {
        Some(ToolChoice::None) => return,
        Some(ToolChoice::Required | ToolChoice::Named(_)) => dropped.add("tool_choice"),
        Some(ToolChoice::Auto) | None => {}
    }
    if !request.tools.is_empty() {
        write_list(&request.tools, body.key("tools"), write_tool);
    }
    if request.tools.iter().any(|tool| tool.strict == Some(true)) {
        dropped.add("tools.function.strict");
    }
    if request.parallel_tool_calls == Some(false) {
        dropped.add("parallel_tool_calls");
    }
}

fn write_tool(tool: &Tool<'_>, out: &mut BytesMut) {
    let mut object = Object::new(out);
    object.text("type", Text::Plain("function")).object("function", |function| {
        function.text("name", tool.name);
        function.text("description", tool.description.unwrap_or(Text::Plain("")));
        function.raw("parameters", tool.parameters.unwrap_or("{\"type\":\"object\",\"properties\":{}}"));
    });
    object.end();
}

fn write_message(message: &Message<'_>, before: &[Message<'_>], out: &mut BytesMut) -> Result<(), Refused> {
    let mut object = Object::new(out);
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    object.text("role", Text::Plain(role));
    write_text(&message.parts, object.key("content"));
    let mut images = Vec::new();
    let mut calls = Vec::new();
    for part in &message.parts {
        match part {
            Part::Reasoning(text) => {
                object.text("thinking", *text);
            }
            Part::Image(Image::Data { base64, .. }) => images.push(*base64),
            Part::Image(Image::Url(_)) => {
                return Err(Refused::new(
                    "messages",
                    "hold an image by URL, which the backend of this model cannot take: send the image as a data URL",
                ));
            }
            Part::ToolCall(call) => calls.push((call, arguments(&call.arguments.plain())?)),
            Part::ToolResult { call_id, tool, .. } => {
                if let Some(name) = tool.or_else(|| tool_of((*call_id)?, before)) {
                    object.text("tool_name", name);
                }
                if let Some(id) = call_id {
                    object.text("tool_call_id", *id);
                }
            }
            Part::Text(_) => {}
        }
    }
    if !images.is_empty() {
        write_list(images, object.key("images"), Text::write_quoted);
    }
    if !calls.is_empty() {
        write_list(calls, object.key("tool_calls"), |(call, arguments), out| {
            let mut inner = Object::new(out);
            if let Some(id) = call.id {
                inner.text("id", id);
            }
            inner.object("function", |function| {
                function.text("name", call.name).raw("arguments", &arguments);
            });
            inner.end();
        });
    }
    object.end();
    Ok(())
}

/// All text of a message as one string: Ollama has no parts.
fn write_text(parts: &[Part<'_>], out: &mut BytesMut) {
    let texts = parts.iter().flat_map(|part| match part {
        Part::Text(text) => std::slice::from_ref(text),
        Part::ToolResult { text, .. } => text.as_slice(),
        Part::Image(_) | Part::Reasoning(_) | Part::ToolCall(_) => &[],
    });
    out.put_u8(b'"');
    for (number, text) in texts.enumerate() {
        if number > 0 {
            out.put_slice(b"\\n");
        }
        text.write(out);
    }
    out.put_u8(b'"');
}

/// Arguments must be an object there; a history that holds others cannot be told.
fn arguments(text: &str) -> Result<String, Refused> {
    let trimmed = if text.trim().is_empty() { "{}" } else { text.trim() };
    let object = trimmed.starts_with('{') && serde_json::from_str::<&RawValue>(trimmed).is_ok();
    if object {
        return Ok(trimmed.to_owned());
    }
    Err(Refused::new("messages", "hold a tool call whose arguments are not a JSON object"))
}

/// The name of the tool that the call `id` named: the last such call before the result, for ids may be used again.
fn tool_of<'a>(id: Text<'_>, before: &[Message<'a>]) -> Option<Text<'a>> {
    let id = id.plain();
    before.iter().rev().flat_map(|message| &message.parts).find_map(|part| match part {
        Part::ToolCall(call) if call.id.is_some_and(|known| known.plain() == id) => Some(call.name),
        Part::ToolCall(_) | Part::Text(_) | Part::Image(_) | Part::Reasoning(_) | Part::ToolResult { .. } => {
            None
        }
    })
}

/// Ollama's own table of efforts: levels below `low` are `low`, levels above `high` are `max`.
fn write_effort(effort: Effort, body: &mut Object<'_>) {
    let level = match effort {
        Effort::None => {
            body.boolean("think", false);
            return;
        }
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh | Effort::Max => "max",
    };
    body.text("think", Text::Plain(level));
}

fn write_options(sampling: &Sampling<'_>, options: &mut Object<'_>) {
    options
        .maybe("num_predict", sampling.max_tokens)
        .maybe("temperature", sampling.temperature)
        .maybe("top_p", sampling.top_p)
        .maybe("top_k", sampling.top_k)
        .maybe("min_p", sampling.min_p)
        .maybe("seed", sampling.seed)
        .maybe("frequency_penalty", sampling.frequency_penalty)
        .maybe("presence_penalty", sampling.presence_penalty)
        .maybe("repeat_penalty", sampling.repeat_penalty);
    if !sampling.stop.is_empty() {
        write_list(&sampling.stop, options.key("stop"), |stop, out| {
            stop.write_quoted(out);
        });
    }
}
