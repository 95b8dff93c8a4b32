//! Writes a chat completions request from the request model.

use bytes::BytesMut;

use crate::wire::extra::Extra;
use crate::wire::json::{Object, Text, write_list};
use crate::wire::models::{limit_field, refused_by_openai, wants_reasoning_of_calls};
use crate::wire::names::Names;
use crate::wire::openai_chat::turns::{NAME_LIMIT, write_messages};
use crate::wire::request::{
    Dropped, Effort, Format, Part, Refused, Request, Sampling, Style, Tool, ToolChoice, Written, name_closed,
    parts_of, refuse_documents_by_url,
};
use crate::wire::schema::write_parameters;

/// Writes `request` for a backend that calls the model `model`, as a stream with usage.
pub fn write(request: &Request<'_>, model: &str, style: Style) -> Result<Written, Refused> {
    let mut dropped = request.dropped.clone();
    let mut names = Names::default();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    body.text("model", Text::Plain(model)).boolean("stream", true);
    if style.usage {
        body.raw("stream_options", "{\"include_usage\":true}");
    }
    if style.progress {
        body.raw("return_progress", "true");
    }
    refuse_documents_by_url(&request.messages)?;
    name_closed(&request.messages, &mut dropped);
    let reasoned_calls = style.reasoned_calls.unwrap_or_else(|| wants_reasoning_of_calls(model));
    let style =
        Style { reasoned_calls: Some(reasoned_calls && request.effort != Some(Effort::None)), ..style };
    write_messages(&request.messages, style, &mut names, &mut dropped, body.key("messages"));
    let thought = |part: &Part<'_>| matches!(part, Part::Reasoning { text, .. } if !text.is_empty());
    if style.told_reasoning.is_none() && parts_of(&request.messages).any(thought) {
        dropped.add("reasoning");
    }
    if !request.tools.is_empty() {
        write_list(&request.tools, body.key("tools"), |tool, out| write_tool(tool, &mut names, out));
        if let Some(choice) = request.tool_choice {
            write_choice(choice, &mut names, body.key("tool_choice"));
        }
        if let Some(parallel) = request.parallel_tool_calls {
            body.boolean("parallel_tool_calls", parallel);
        }
    }
    let refused = style.refused.unwrap_or_else(|| refused_by_openai(model, request.effort));
    let sampling = request.sampling.without(refused, &mut dropped);
    body.maybe(style.max_tokens_field.unwrap_or_else(|| limit_field(model)), sampling.limit());
    write_sampling(&sampling, style, &mut body, &mut dropped)?;
    if let Some(format) = &request.format {
        write_format(format, body.key("response_format"));
    }
    if let Some(effort) = request.effort {
        body.text("reasoning_effort", Text::Plain(effort.name()));
    }
    if let Some(user) = request.short_user() {
        body.text("user", Text::Plain(&user));
    }
    for extra in TOLD {
        body.maybe(extra.name(), request.extras.value(extra));
    }
    request.extras.name_lost(|extra| TOLD.contains(&extra), &mut dropped);
    body.end();
    Ok(Written { body: out.freeze(), dropped, names })
}

/// All but metadata, which OpenAI takes only with what it stores.
const TOLD: [Extra; 4] =
    [Extra::PromptCacheKey, Extra::SafetyIdentifier, Extra::ServiceTier, Extra::Verbosity];

fn write_tool(tool: &Tool<'_>, names: &mut Names, out: &mut BytesMut) {
    let name = names.lawful(tool.name, NAME_LIMIT);
    let mut object = Object::new(out);
    object.text("type", Text::Plain("function")).object("function", |function| {
        function.text("name", Text::Plain(&name));
        if let Some(description) = tool.description {
            function.text("description", description);
        }
        if let Some(schema) = tool.parameters {
            write_parameters(schema, function.key("parameters"));
        }
        if let Some(strict) = tool.strict {
            function.boolean("strict", strict);
        }
    });
    object.end();
}

fn write_choice(choice: ToolChoice<'_>, names: &mut Names, out: &mut BytesMut) {
    match choice {
        ToolChoice::Auto => Text::Plain("auto").write_quoted(out),
        ToolChoice::None => Text::Plain("none").write_quoted(out),
        ToolChoice::Required => Text::Plain("required").write_quoted(out),
        ToolChoice::Named(name) => {
            let name = names.lawful(name, NAME_LIMIT);
            let mut object = Object::new(out);
            object.text("type", Text::Plain("function")).object("function", |function| {
                function.text("name", Text::Plain(&name));
            });
            object.end();
        }
    }
}

/// How many stop sequences OpenAI takes.
const STOPS: usize = 4;

fn write_sampling(
    sampling: &Sampling<'_>,
    style: Style,
    body: &mut Object<'_>,
    dropped: &mut Dropped,
) -> Result<(), Refused> {
    body.maybe("temperature", sampling.temperature)
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
    if sampling.stop.len() > STOPS && !style.sampling_extensions {
        return Err(Refused::new(
            "stop",
            "has more than four sequences, and the backend of this model takes four",
        ));
    }
    if !sampling.stop.is_empty() {
        write_list(&sampling.stop, body.key("stop"), |stop, out| {
            stop.write_quoted(out);
        });
    }
    Ok(())
}

/// Writes the format that is asked for.
pub(in crate::wire) fn write_format(format: &Format<'_>, out: &mut BytesMut) {
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
