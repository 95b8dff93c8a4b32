//! Writes a Responses request from the request model.

use bytes::BytesMut;

use crate::wire::extra::Extra;
use crate::wire::json::{Field, Object, Text, write_joined, write_list};
use crate::wire::models::refused_by_openai;
use crate::wire::names::Names;
use crate::wire::openai_chat::write_format;
use crate::wire::openai_responses::output::{NAME_LIMIT, write_input};
use crate::wire::request::{
    Dropped, Effort, Format, Native, Refused, Request, Role, Sampling, Style, Tool, ToolChoice, Written,
    texts,
};
use crate::wire::schema::{EMPTY, write_parameters};

/// Writes `request` for a backend that calls the model `model`, as a stream. The backend stores nothing: every request brings its whole history.
pub fn write(request: &Request<'_>, model: &str, style: Style) -> Result<Written, Refused> {
    let mut dropped = request.dropped.clone();
    let mut names = Names::default();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    body.text("model", Text::Plain(model)).boolean("stream", true).boolean("store", false);
    let leading = request.messages.iter().take_while(|message| message.role == Role::System).count();
    let (system, rest) = request.messages.split_at_checked(leading).unwrap_or((&request.messages, &[]));
    if !system.is_empty() {
        let texts = system.iter().flat_map(|message| texts(&message.parts));
        write_joined(texts, "\\n\\n", body.key("instructions"));
    }
    write_input(rest, &mut names, &mut dropped, body.key("input"));
    if !request.tools.is_empty() {
        write_list(&request.tools, body.key("tools"), |tool, out| write_tool(tool, &mut names, out));
        if let Some(choice) = request.tool_choice {
            write_choice(choice, &mut names, &mut body);
        }
        if let Some(parallel) = request.parallel_tool_calls {
            body.boolean("parallel_tool_calls", parallel);
        }
    }
    let refused = style.refused.unwrap_or_else(|| refused_by_openai(model, request.effort));
    write_sampling(&request.sampling.without(refused, &mut dropped), style, &mut body, &mut dropped)?;
    if style.progress {
        body.raw("return_progress", "true");
    }
    if style.is_llama_cpp() {
        write_native(request, style, &mut body, &mut dropped)?;
    }
    let verbosity = request.extras.value(Extra::Verbosity);
    if request.format.is_some() || verbosity.is_some() {
        body.object("text", |text| {
            text.maybe("verbosity", verbosity);
            if let Some(format) = &request.format {
                text_format(format, text);
            }
        });
    }
    if let Some(effort) = request.effort {
        body.object("reasoning", |reasoning| {
            reasoning.text("effort", Text::Plain(effort.name()));
            if effort != Effort::None {
                reasoning.raw("summary", "\"auto\"");
            }
        });
        if effort != Effort::None {
            body.raw("include", "[\"reasoning.encrypted_content\"]");
        }
    }
    if let Some(user) = request.short_user() {
        body.text("user", Text::Plain(&user));
    }
    for extra in [Extra::Metadata, Extra::PromptCacheKey, Extra::SafetyIdentifier, Extra::ServiceTier] {
        body.maybe(extra.name(), request.extras.value(extra));
    }
    body.end();
    Ok(Written { body: out.freeze(), dropped, names })
}

/// A tool that does not say so is not strict: here, other than in chat completions, it would be.
fn write_tool(tool: &Tool<'_>, names: &mut Names, out: &mut BytesMut) {
    let mut object = Object::new(out);
    object.raw("type", "\"function\"").text("name", Text::Plain(&names.lawful(tool.name, NAME_LIMIT)));
    if let Some(description) = tool.description {
        object.text("description", description);
    }
    write_parameters(tool.parameters.unwrap_or(EMPTY), object.key("parameters"));
    object.boolean("strict", tool.strict == Some(true));
    object.end();
}

fn write_choice(choice: ToolChoice<'_>, names: &mut Names, body: &mut Object<'_>) {
    let word = match choice {
        ToolChoice::Auto => "auto",
        ToolChoice::None => "none",
        ToolChoice::Required => "required",
        ToolChoice::Named(name) => {
            body.object("tool_choice", |object| {
                let name = names.lawful(name, NAME_LIMIT);
                object.raw("type", "\"function\"").text("name", Text::Plain(&name));
            });
            return;
        }
    };
    body.text("tool_choice", Text::Plain(word));
}

fn write_sampling(
    sampling: &Sampling<'_>,
    style: Style,
    body: &mut Object<'_>,
    dropped: &mut Dropped,
) -> Result<(), Refused> {
    let extended = style.is_llama_cpp() && style.sampling_extensions;
    if !sampling.stop.is_empty() && !extended {
        let why =
            "cannot be carried to the backend of this model, and the answer would not end where it should";
        return Err(Refused::new("stop", why));
    }
    body.maybe("max_output_tokens", sampling.limit())
        .maybe("temperature", sampling.temperature)
        .maybe("top_p", sampling.top_p);
    for (name, value) in [
        ("top_k", sampling.top_k),
        ("min_p", sampling.min_p),
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repeat_penalty", sampling.repeat_penalty),
    ] {
        match value {
            Some(value) if extended => {
                body.raw(name, value);
            }
            Some(_) => dropped.add(name),
            None => {}
        }
    }
    if !sampling.stop.is_empty() {
        write_list(&sampling.stop, body.key("stop"), |stop, out| stop.write_quoted(out));
    }
    Ok(())
}

/// llama.cpp makes a chat request of one of Responses, and takes in it what it takes there; of `text.format` it knows nothing.
fn write_native(
    request: &Request<'_>,
    style: Style,
    body: &mut Object<'_>,
    dropped: &mut Dropped,
) -> Result<(), Refused> {
    if !style.sampling_extensions {
        return match request.format {
            Some(_) => Err(Refused::new("response_format", IGNORED)),
            None => Ok(()),
        };
    }
    if let Some(format) = &request.format {
        write_format(format, body.key("response_format"));
    }
    for Native { name, value, .. } in &request.native {
        if OWN.contains(&name.as_ref()) {
            continue;
        }
        dropped.remove(name);
        body.raw(name, value);
    }
    Ok(())
}

/// Members of a request of Responses, which mean nothing in a chat request.
const OWN: [&str; 14] = [
    "background",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "return_progress",
    "store",
    "text",
    "truncation",
];

/// Why a format is refused that would not be kept.
const IGNORED: &str =
    "is ignored by the backend of this model in this API, unless it is set up with `sampling_extensions`";

/// The limit of tokens of a request that was written here.
pub fn output_limit(body: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Limited<'a> {
        #[serde(borrow, default)]
        max_output_tokens: Field<'a>,
    }
    serde_json::from_slice::<Limited<'_>>(body).ok()?.max_output_tokens.whole()
}

fn text_format(format: &Format<'_>, text: &mut Object<'_>) {
    text.object("format", |object| match format {
        Format::Json => {
            object.raw("type", "\"json_object\"");
        }
        Format::Schema { name, schema, strict } => {
            object.raw("type", "\"json_schema\"");
            object.text("name", name.unwrap_or(Text::Plain("structured_output"))).raw("schema", schema);
            if let Some(strict) = strict {
                object.boolean("strict", *strict);
            }
        }
    });
}
