//! Writes a chat completions request from the request model.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::json::{Object, Text, write_list};
use crate::wire::request::{
    Dropped, Effort, Format, Image, Message, Part, Refused, Request, Role, Sampling, Style, Tool, ToolCall,
    ToolChoice,
};

/// Writes `request` for a backend that calls the model `model`, as a stream with usage.
pub fn write(request: &Request<'_>, model: &str, style: Style) -> Result<(Bytes, Dropped), Refused> {
    let mut dropped = request.dropped.clone();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    body.text("model", Text::Plain(model)).boolean("stream", true);
    if style.usage {
        body.raw("stream_options", "{\"include_usage\":true}");
    }
    let mut calls = Calls::default();
    write_list(request.messages.iter().enumerate(), body.key("messages"), |(at, message), out| {
        write_message(message, at, style, &mut calls, out);
    });
    if !request.tools.is_empty() {
        write_list(&request.tools, body.key("tools"), write_tool);
        if let Some(choice) = request.tool_choice {
            write_choice(choice, body.key("tool_choice"));
        }
        if let Some(parallel) = request.parallel_tool_calls {
            body.boolean("parallel_tool_calls", parallel);
        }
    }
    write_sampling(&request.sampling, style, &mut body, &mut dropped);
    if let Some(format) = &request.format {
        write_format(format, body.key("response_format"));
    }
    if let Some(effort) = request.effort {
        body.text("reasoning_effort", Text::Plain(effort_name(effort)));
    }
    body.end();
    Ok((out.freeze(), dropped))
}

/// The ids of tool calls that wait for their results: Ollama's dialect may leave them out, OpenAI's may not.
#[derive(Default)]
struct Calls<'a>(VecDeque<(String, Text<'a>)>);

impl<'a> Calls<'a> {
    /// The id of a call, made from its place if it has none, so that the same history always has the same ids.
    fn open(&mut self, call: &ToolCall<'a>, message: usize, part: usize) -> String {
        let id = call.id.map_or_else(|| format!("call_{message}_{part}"), |id| id.plain().into_owned());
        self.0.push_back((id.clone(), call.name));
        id
    }

    /// The id that a result answers: its own, else that of the oldest open call of the tool, else of the oldest open call.
    fn close(&mut self, id: Option<Text<'a>>, tool: Option<Text<'a>>) -> String {
        if let Some(id) = id {
            let id = id.plain().into_owned();
            self.0.retain(|(open, _)| *open != id);
            return id;
        }
        let named = |name: Text<'a>| self.0.iter().position(|(_, open)| open.plain() == name.plain());
        let at = tool.and_then(named).unwrap_or(0);
        self.0.remove(at).map_or_else(|| "call_unknown".into(), |(id, _)| id)
    }
}

fn write_message<'a>(
    message: &Message<'a>,
    at: usize,
    style: Style,
    calls: &mut Calls<'a>,
    out: &mut BytesMut,
) {
    let mut object = Object::new(out);
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    object.text("role", Text::Plain(role));
    write_content(&message.parts, object.key("content"));
    let tool_calls: Vec<_> = message
        .parts
        .iter()
        .enumerate()
        .filter_map(|(part, call)| if let Part::ToolCall(call) = call { Some((part, call)) } else { None })
        .collect();
    if !tool_calls.is_empty() {
        write_list(tool_calls, object.key("tool_calls"), |(part, call), out| {
            let id = calls.open(call, at, part);
            let mut object = Object::new(out);
            object.text("id", Text::Plain(&id)).text("type", Text::Plain("function"));
            object.object("function", |function| {
                let arguments = if call.arguments.is_empty() { Text::Plain("{}") } else { call.arguments };
                function.text("name", call.name).text("arguments", arguments);
            });
            object.end();
        });
    }
    for part in &message.parts {
        match part {
            Part::Reasoning(text) => {
                object.text(style.reasoning_field, *text);
            }
            Part::ToolResult { call_id, tool, .. } => {
                let id = calls.close(*call_id, *tool);
                object.text("tool_call_id", Text::Plain(&id));
            }
            Part::Text(_) | Part::Image(_) | Part::ToolCall(_) => {}
        }
    }
    object.end();
}

/// A string where there is only text, a list of parts where there are images.
fn write_content(parts: &[Part<'_>], out: &mut BytesMut) {
    let texts = parts.iter().flat_map(|part| match part {
        Part::Text(text) => std::slice::from_ref(text),
        Part::ToolResult { text, .. } => text.as_slice(),
        Part::Image(_) | Part::Reasoning(_) | Part::ToolCall(_) => &[],
    });
    if !parts.iter().any(|part| matches!(part, Part::Image(_))) {
        out.put_u8(b'"');
        for (number, text) in texts.enumerate() {
            if number > 0 {
                out.put_slice(b"\\n");
            }
            text.write(out);
        }
        out.put_u8(b'"');
        return;
    }
    let shown = parts.iter().filter(|part| matches!(part, Part::Text(_) | Part::Image(_)));
    write_list(shown, out, |part, out| {
        let mut object = Object::new(out);
        match part {
            Part::Text(text) => {
                object.text("type", Text::Plain("text")).text("text", *text);
            }
            Part::Image(image) => {
                object
                    .text("type", Text::Plain("image_url"))
                    .object("image_url", |inner| write_url(image, inner));
            }
            Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult { .. } => {}
        }
        object.end();
    });
}

fn write_url(image: &Image<'_>, object: &mut Object<'_>) {
    match image {
        Image::Url(url) => {
            object.text("url", *url);
        }
        Image::Data { media_type, base64 } => {
            let (Text::Escaped(data) | Text::Plain(data)) = base64;
            let media_type = media_type.as_deref().unwrap_or_else(|| sniff(data));
            let out = object.key("url");
            out.put_slice(b"\"data:");
            Text::Plain(media_type).write(out);
            out.put_slice(b";base64,");
            base64.write(out);
            out.put_u8(b'"');
        }
    }
}

/// The media type by the first bytes of the image, in base64.
fn sniff(base64: &str) -> &'static str {
    const KNOWN: [(&str, &str); 4] =
        [("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    KNOWN.iter().find(|(start, _)| base64.starts_with(start)).map_or("image/jpeg", |(_, name)| name)
}

fn write_tool(tool: &Tool<'_>, out: &mut BytesMut) {
    let mut object = Object::new(out);
    object.text("type", Text::Plain("function")).object("function", |function| {
        function.text("name", tool.name);
        if let Some(description) = tool.description {
            function.text("description", description);
        }
        function.maybe("parameters", tool.parameters);
        if let Some(strict) = tool.strict {
            function.boolean("strict", strict);
        }
    });
    object.end();
}

fn write_choice(choice: ToolChoice<'_>, out: &mut BytesMut) {
    match choice {
        ToolChoice::Auto => Text::Plain("auto").write_quoted(out),
        ToolChoice::None => Text::Plain("none").write_quoted(out),
        ToolChoice::Required => Text::Plain("required").write_quoted(out),
        ToolChoice::Named(name) => {
            let mut object = Object::new(out);
            object.text("type", Text::Plain("function")).object("function", |function| {
                function.text("name", name);
            });
            object.end();
        }
    }
}

fn write_sampling(sampling: &Sampling<'_>, style: Style, body: &mut Object<'_>, dropped: &mut Dropped) {
    body.maybe(style.max_tokens_field, sampling.max_tokens)
        .maybe("temperature", sampling.temperature)
        .maybe("top_p", sampling.top_p)
        .maybe("seed", sampling.seed)
        .maybe("frequency_penalty", sampling.frequency_penalty)
        .maybe("presence_penalty", sampling.presence_penalty);
    let extensions =
        [("top_k", sampling.top_k), ("min_p", sampling.min_p), ("repeat_penalty", sampling.repeat_penalty)];
    for (name, value) in extensions.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if !style.sampling_extensions {
            dropped.add(name);
            continue;
        }
        body.raw(name, value);
        if name == "repeat_penalty" {
            body.raw("repetition_penalty", value); // llama.cpp's word is the first, vLLM's the second
        }
    }
    if !sampling.stop.is_empty() {
        write_list(&sampling.stop, body.key("stop"), |stop, out| {
            stop.write_quoted(out);
        });
    }
}

fn write_format(format: &Format<'_>, out: &mut BytesMut) {
    let mut object = Object::new(out);
    match format {
        Format::Json => {
            object.text("type", Text::Plain("json_object"));
        }
        Format::Schema { name, schema, strict } => {
            object.text("type", Text::Plain("json_schema")).object("json_schema", |inner| {
                inner.text("name", name.unwrap_or(Text::Plain("structured_output"))).raw("schema", schema);
                if let Some(strict) = strict {
                    inner.boolean("strict", *strict);
                }
            });
        }
    }
    object.end();
}

fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh => "xhigh",
        Effort::Max => "max",
    }
}
