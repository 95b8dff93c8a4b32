//! Writes a Messages request from the request model.

use bytes::BytesMut;

use crate::wire::anthropic::schema::{write_closed, write_input};
use crate::wire::anthropic::turns::{CACHE, NAME_LIMIT, Turns};
use crate::wire::extra::Extra;
use crate::wire::json::{Object, Text, write_joined, write_list};
use crate::wire::models::{always_thinks, refused_by_anthropic, thinks_by_level};
use crate::wire::names::Names;
use crate::wire::request::{
    Dropped, Effort, Format, Refused, Request, Sampling, Style, Thinking, Tool, ToolChoice, Written,
};

/// Writes `request` for a backend that calls the model `model`, as a stream.
pub fn write(request: &Request<'_>, model: &str, style: Style) -> Result<Written, Refused> {
    let mut dropped = request.dropped.clone();
    let mut names = Names::default();
    let mut out = BytesMut::with_capacity(1024);
    let mut body = Object::new(&mut out);
    let (system, turns) = Turns::new(&request.messages, style, &mut dropped);
    body.text("model", Text::Plain(model)).boolean("stream", true);
    let effort = request.effort.filter(|effort| {
        let allowed = *effort == Effort::None || turns.may_think();
        if !allowed {
            dropped.add("reasoning_effort");
        }
        allowed
    });
    let effort = if always_thinks(model) && effort == Some(Effort::None) {
        dropped.add("reasoning_effort"); // as little as there is
        Some(Effort::Low)
    } else {
        effort
    };
    let by_name = if thinks_by_level(model) { Thinking::Adaptive } else { Thinking::Budget };
    let limits = Limits::new(&request.sampling, effort, style, style.thinking.unwrap_or(by_name));
    body.number("max_tokens", limits.max_tokens);
    // Other APIs keep what they have read by themselves, this one only where it is told to.
    let cache = request.extras.value(Extra::PromptCacheKey).is_some();
    if !system.is_empty() {
        write_system(system, cache, body.key("system"));
    }
    turns.write(cache, &mut names, body.key("messages"));
    if limits.thinking.is_none() && effort.is_some_and(|effort| effort != Effort::None) {
        dropped.add("reasoning_effort"); // there is no room for it
    }
    let thinks = limits.thinking.is_some() || always_thinks(model);
    // llama.cpp calls a tool also where none may be called: it is shown none.
    let hidden =
        style.is_llama_cpp() && (request.tools.is_empty() || request.tool_choice == Some(ToolChoice::None));
    if request.tools.is_empty() && !hidden {
        write_called(&turns.called(), &mut names, &mut body);
    } else if !hidden {
        let choice = tool_choice(request, thinks, &mut dropped);
        write_tools(request, choice, cache, &mut names, &mut body);
    }
    let refused = style.refused.unwrap_or_else(|| refused_by_anthropic(model));
    write_sampling(&request.sampling.without(refused, &mut dropped), thinks, &mut body, &mut dropped);
    write_thinking(effort, &limits, &mut body);
    if style.is_llama_cpp() && request.format.is_some() {
        return Err(Refused::new("response_format", IGNORED));
    }
    write_output(request.format, limits.level, &mut body)?;
    write_user(request, &mut body, &mut dropped);
    body.end();
    Ok(Written { body: out.freeze(), dropped, names })
}

/// Why a format is refused that would not be kept.
const IGNORED: &str =
    "is ignored by the backend of this model in this API: llama.cpp keeps formats as `api = \"openai\"`";

/// How many tokens there are, and how many of them for thinking.
struct Limits {
    max_tokens: u64,
    thinking: Option<Budget>,
    level: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Budget {
    Tokens(u64),
    Adaptive,
}

/// The least that may be given to thinking.
const MIN_BUDGET: u64 = 1024;

impl Limits {
    fn new(sampling: &Sampling<'_>, effort: Option<Effort>, style: Style, thinking: Thinking) -> Self {
        let asked = sampling.limit().and_then(|number| number.parse::<f64>().ok());
        // whole and positive is all that can be sent
        let asked = asked
            .filter(|number| *number >= 1.0)
            .and_then(|number| format!("{number:.0}").parse::<u64>().ok());
        let (budget, level) = match effort {
            None | Some(Effort::None) => {
                return Self { max_tokens: asked.unwrap_or(style.max_tokens), thinking: None, level: None };
            }
            Some(Effort::Minimal | Effort::Low) => (1024, "low"),
            Some(Effort::Medium) => (2048, "medium"),
            Some(Effort::High) => (4096, "high"),
            Some(Effort::XHigh) => (8192, "xhigh"),
            Some(Effort::Max) => (16384, "max"),
        };
        let max_tokens = asked.unwrap_or(style.max_tokens + budget);
        match thinking {
            Thinking::Adaptive => Self { max_tokens, thinking: Some(Budget::Adaptive), level: Some(level) },
            Thinking::Budget => {
                let room = (max_tokens > MIN_BUDGET).then(|| Budget::Tokens(budget.min(max_tokens - 1)));
                Self { max_tokens, thinking: room, level: None }
            }
        }
    }
}

/// A history with calls needs their tools, also where none may be called any more.
fn write_called(called: &[Text<'_>], names: &mut Names, body: &mut Object<'_>) {
    if called.is_empty() {
        return;
    }
    write_list(called, body.key("tools"), |name, out| {
        let mut tool = Object::new(out);
        tool.text("name", Text::Plain(&names.lawful(*name, NAME_LIMIT)));
        tool.raw("input_schema", EMPTY_SCHEMA);
        tool.end();
    });
    body.raw("tool_choice", "{\"type\":\"none\"}");
}

/// The choice that can be sent; `None` leaves it to the backend.
fn tool_choice<'a>(request: &Request<'a>, thinks: bool, dropped: &mut Dropped) -> Option<ToolChoice<'a>> {
    match request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) if thinks => {
            dropped.add("tool_choice"); // thinking forbids it
            Some(ToolChoice::Auto)
        }
        None if request.parallel_tool_calls == Some(false) => Some(ToolChoice::Auto),
        choice => choice,
    }
}

fn write_system(system: Vec<Text<'_>>, cache: bool, out: &mut BytesMut) {
    if !cache {
        write_joined(system, "\\n\\n", out);
        return;
    }
    write_list([system], out, |system, out| {
        let mut block = Object::new(out);
        block.raw("type", "\"text\"");
        write_joined(system, "\\n\\n", block.key("text"));
        block.raw("cache_control", CACHE);
        block.end();
    });
}

fn write_tools(
    request: &Request<'_>,
    choice: Option<ToolChoice<'_>>,
    cache: bool,
    names: &mut Names,
    body: &mut Object<'_>,
) {
    let last = request.tools.len().saturating_sub(1);
    write_list(request.tools.iter().enumerate(), body.key("tools"), |(place, tool), out| {
        write_tool(tool, cache && place == last, names, out);
    });
    let Some(choice) = choice else { return };
    body.object("tool_choice", |object| {
        let kind = match choice {
            ToolChoice::Auto => "auto",
            ToolChoice::None => "none",
            ToolChoice::Required => "any",
            ToolChoice::Named(_) => "tool",
        };
        object.text("type", Text::Plain(kind));
        if let ToolChoice::Named(name) = choice {
            object.text("name", Text::Plain(&names.lawful(name, NAME_LIMIT)));
        }
        if request.parallel_tool_calls == Some(false) && choice != ToolChoice::None {
            object.boolean("disable_parallel_tool_use", true);
        }
    });
}

/// A schema is required.
const EMPTY_SCHEMA: &str = "{\"type\":\"object\",\"properties\":{}}";

fn write_tool(tool: &Tool<'_>, cached: bool, names: &mut Names, out: &mut BytesMut) {
    let mut object = Object::new(out);
    object.text("name", Text::Plain(&names.lawful(tool.name, NAME_LIMIT)));
    if let Some(description) = tool.description {
        object.text("description", description);
    }
    write_input(tool.parameters.unwrap_or(EMPTY_SCHEMA), object.key("input_schema"));
    if tool.strict == Some(true) {
        object.boolean("strict", true);
    }
    if cached {
        object.raw("cache_control", CACHE);
    }
    object.end();
}

fn write_sampling(sampling: &Sampling<'_>, thinks: bool, body: &mut Object<'_>, dropped: &mut Dropped) {
    let value = |number: &str| number.parse::<f64>().unwrap_or(1.0);
    // Thinking forbids all but the defaults.
    match sampling.temperature {
        Some(number) if thinks && value(number) < 1.0 => dropped.add("temperature"),
        Some(number) if value(number) > 1.0 => {
            dropped.add("temperature"); // as much of it as there is
            body.raw("temperature", "1");
        }
        Some(number) if !thinks => {
            body.raw("temperature", number);
        }
        Some(_) | None => {}
    }
    match sampling.top_p {
        Some(number) if thinks && value(number) < 0.95 => dropped.add("top_p"),
        // The newest models take only one of the two.
        Some(_) if !thinks && sampling.temperature.is_some() => dropped.add("top_p"),
        number => {
            body.maybe("top_p", number);
        }
    }
    match sampling.top_k {
        Some(_) if thinks => dropped.add("top_k"),
        number => {
            body.maybe("top_k", number);
        }
    }
    for (name, value) in [
        ("min_p", sampling.min_p),
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repeat_penalty", sampling.repeat_penalty),
    ] {
        if value.is_some() {
            dropped.add(name);
        }
    }
    let lawful: Vec<Text<'_>> =
        sampling.stop.iter().copied().filter(|stop| !stop.plain().trim().is_empty()).collect();
    if lawful.len() < sampling.stop.len() {
        dropped.add("stop");
    }
    if !lawful.is_empty() {
        write_list(lawful, body.key("stop_sequences"), Text::write_quoted);
    }
}

fn write_thinking(effort: Option<Effort>, limits: &Limits, body: &mut Object<'_>) {
    match limits.thinking {
        Some(Budget::Tokens(tokens)) => {
            body.object("thinking", |thinking| {
                thinking.raw("type", "\"enabled\"").number("budget_tokens", tokens);
            });
        }
        Some(Budget::Adaptive) => {
            body.raw("thinking", "{\"type\":\"adaptive\"}");
        }
        None if effort == Some(Effort::None) => {
            body.raw("thinking", "{\"type\":\"disabled\"}");
        }
        None => {}
    }
}

fn write_output(
    format: Option<Format<'_>>,
    level: Option<&'static str>,
    body: &mut Object<'_>,
) -> Result<(), Refused> {
    let schema = match format {
        Some(Format::Schema { schema, .. }) => Some(schema),
        // Any object at all is more than a schema can say there.
        Some(Format::Json) => {
            let why =
                "asks for JSON of any shape, which the backend of this model cannot promise: send a schema";
            return Err(Refused::new("response_format", why));
        }
        None => None,
    };
    if schema.is_none() && level.is_none() {
        return Ok(());
    }
    body.object("output_config", |output| {
        if let Some(level) = level {
            output.text("effort", Text::Plain(level));
        }
        if let Some(schema) = schema {
            output.object("format", |object| {
                object.raw("type", "\"json_schema\"");
                write_closed(schema, object.key("schema"));
            });
        }
    });
    Ok(())
}

/// There is one field for who asks.
fn write_user(request: &Request<'_>, body: &mut Object<'_>, dropped: &mut Dropped) {
    let identifier = request.extras.value(Extra::SafetyIdentifier).filter(|_| request.user.is_none());
    match (request.user, identifier) {
        (Some(user), _) => body.object("metadata", |metadata| {
            metadata.text("user_id", user.id);
        }),
        (None, Some(id)) => body.object("metadata", |metadata| {
            metadata.raw("user_id", id);
        }),
        (None, None) => body,
    };
    let told = |extra| match extra {
        Extra::PromptCacheKey => true, // what it is for is done
        Extra::SafetyIdentifier => identifier.is_some(),
        Extra::Metadata | Extra::ServiceTier | Extra::Verbosity => false,
    };
    request.extras.name_lost(told, dropped);
}
