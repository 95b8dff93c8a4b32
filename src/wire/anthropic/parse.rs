//! Reads a Messages request.

use serde::Deserialize;

use crate::wire::anthropic::blocks::{Beside, read_blocks, read_texts};
use crate::wire::envelope::ParseError;
use crate::wire::extra::User;
use crate::wire::failure::THREAD;
use crate::wire::function::{kind_of, read_choice, read_function};
use crate::wire::json::{Field, Text};
use crate::wire::members::{inner_members, list, members, named, number, strings};
use crate::wire::remains::SUMMARY;
use crate::wire::request::{Dropped, Effort, Format, Message, Part, Request, Role, Tool};

/// Reads a request body that is a JSON object.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ParseError> {
    let mut request = Request::default();
    let (mut system, mut budget, mut effort) = (None, None, None);
    for (key, field) in members(body)? {
        match key.as_ref() {
            "system" => system = Some(field),
            "thinking" => budget = Some(read_thinking(field, &mut request.dropped)?),
            "output_config" => effort = read_output(&mut request, field)?,
            "output_format" => request.format = Some(read_format(field, "output_format")?),
            _ => read_member(&mut request, &key, field)?,
        }
    }
    if let Some(system) = system {
        let mut beside = Beside::default();
        let parts = read_texts(system, &mut beside)?;
        request.dropped.extend(&beside.dropped);
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
    request.settle_tools()?;
    Ok(request)
}

fn read_member<'a>(request: &mut Request<'a>, key: &str, field: Field<'a>) -> Result<(), ParseError> {
    let sampling = &mut request.sampling;
    match key {
        "model" | "stream" => {}
        "messages" => {
            let mut beside = Beside::default();
            for message in list::<Field<'a>>(field, "messages")? {
                read_message(message, &mut request.messages, &mut beside)?;
            }
            request.dropped.extend(&beside.dropped);
            request.offer.join(beside.offer);
        }
        "max_tokens" => sampling.max_tokens = number(field, "max_tokens")?,
        "temperature" => sampling.temperature = number(field, "temperature")?,
        "top_p" => sampling.top_p = number(field, "top_p")?,
        "top_k" => sampling.top_k = number(field, "top_k")?,
        "stop_sequences" => sampling.stop = strings(field, "stop_sequences")?,
        "tools" => {
            for tool in list::<Field<'a>>(field, "tools")? {
                match read_tool(tool, &mut request.dropped)? {
                    Some(tool) => request.tools.push(tool),
                    None => request.offer.lose(kind_of(tool)),
                }
            }
        }
        "tool_choice" => read_choice(request, field)?,
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

fn read_message<'a>(
    message: Field<'a>,
    messages: &mut Vec<Message<'a>>,
    beside: &mut Beside<'a>,
) -> Result<(), ParseError> {
    let wrong = |words: String| ParseError::new(words, Some("messages"));
    let unknown = |other: &str| beside.dropped.add(format!("messages.{other}"));
    let fields = named(message, ["role", "content"], unknown);
    let [role, content] = fields.ok_or_else(|| wrong("`messages` must hold objects".into()))?;
    let role = match role.string().as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(other) => return Err(wrong(format!("the role `{other}` is not known"))),
        None => return Err(wrong("one of the `messages` has no role".into())),
    };
    let parts = read_blocks(content, beside)?;
    if let Some(summary) = beside.summary.take() {
        messages.clear();
        let parts = vec![Part::Text(Text::Plain(SUMMARY)), Part::Text(summary)];
        messages.push(Message { role: Role::User, parts });
    }
    // One of which nothing is left is not told as an empty one.
    if !parts.is_empty() || content.text().is_some() {
        push_message(messages, role, parts);
    }
    Ok(())
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
pub(super) fn read_tool<'a>(wire: Field<'a>, dropped: &mut Dropped) -> Result<Option<Tool<'a>>, ParseError> {
    match kind_of(wire).as_ref() {
        "custom" | "function" => {}
        kind => {
            dropped.add(format!("tools.{kind}"));
            return Ok(None);
        }
    }
    read_function(wire, dropped).map(Some)
}

/// What `thinking` says.
#[derive(Clone, Copy, Debug)]
enum Thinking {
    Off,
    Adaptive,
    /// At most so many tokens.
    Budget(u64),
}

fn read_thinking(field: Field<'_>, dropped: &mut Dropped) -> Result<Thinking, ParseError> {
    let wrong = || ParseError::new("`thinking` is none that is known", Some("thinking"));
    let unknown = |other: &str| dropped.add(format!("thinking.{other}"));
    let [kind, budget] = named(field, ["type", "budget_tokens"], unknown).ok_or_else(wrong)?;
    match kind.string().as_deref() {
        Some("disabled") => Ok(Thinking::Off),
        // Only when it thinks is left to the model then, or not even how much.
        Some("adaptive" | "between_tools") => Ok(Thinking::Adaptive),
        Some("enabled") if budget.is_absent() => Ok(Thinking::Adaptive),
        Some("enabled") => budget.whole().map(Thinking::Budget).ok_or_else(wrong),
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
                let name = value.string();
                if name.as_deref() == Some("default") {
                    continue; // the model's own
                }
                let level = name.and_then(|name| Effort::named(&name));
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
