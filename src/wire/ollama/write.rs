//! Writes an `/api/chat` request from the request model.

use bytes::BytesMut;

use crate::wire::json::{Object, Text, write_list};
use crate::wire::names::Names;
use crate::wire::ollama::turns::write_messages;
use crate::wire::request::{
    Dropped, Effort, Format, Refused, Request, Sampling, Tool, ToolChoice, Written, name_closed,
};
use crate::wire::schema::{EMPTY, write_parameters};

/// Writes `request` for a backend that calls the model `model`, as a stream.
pub fn write(request: &Request<'_>, model: &str) -> Result<Written, Refused> {
    let mut dropped = request.dropped.clone();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    body.text("model", Text::Plain(model)).boolean("stream", true);
    name_closed(&request.messages, &mut dropped);
    write_messages(&request.messages, &mut dropped, body.key("messages"))?;
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
    if let Some(user) = request.user {
        dropped.add(user.word);
    }
    request.extras.name_lost(|_| false, &mut dropped);
    if let Some(effort) = request.effort {
        write_effort(effort, &mut body);
    }
    body.object("options", |options| write_options(&request.sampling, options));
    body.end();
    Ok(Written { body: out.freeze(), dropped, names: Names::default() })
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
        write_parameters(tool.parameters.unwrap_or(EMPTY), function.key("parameters"));
    });
    object.end();
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
        .maybe("num_predict", sampling.limit())
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
