//! Tools as clients define and choose them, whatever the API: nested or flat, in the words of one vendor or of another.

use std::borrow::Cow;

use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::members::named;
use crate::wire::request::{Dropped, Request, Tool, ToolChoice};

/// Reads a function, in a member of its own or flat, and names what else is said of it.
pub(super) fn read_function<'a>(tool: Field<'a>, dropped: &mut Dropped) -> Result<Tool<'a>, ParseError> {
    let wrong = |why: &str| ParseError::new(why, Some("tools"));
    let names = [
        "name",
        "description",
        "parameters",
        "input_schema",
        "strict",
        "defer_loading",
        "function",
        "cache_control",
        "type",
        // how arguments are streamed, not what they are: every event is handed on as it comes
        "eager_input_streaming",
    ];
    let fields = named(tool, names, |other| dropped.add(format!("tools.{other}")));
    let fields = fields.ok_or_else(|| wrong("a tool must be an object"))?;
    let [.., function, cache_control, _, _] = fields;
    if !cache_control.is_absent() {
        dropped.add("cache_control");
    }
    let fields = if function.is_absent() {
        fields
    } else {
        let fields = named(function, names, |other| dropped.add(format!("tools.function.{other}")));
        fields.ok_or_else(|| wrong("the `function` of a tool must be an object"))?
    };
    let [name, description, parameters, input_schema, strict, deferred, ..] = fields;
    Ok(Tool {
        name: name.some_text().ok_or_else(|| wrong("a tool has no name"))?,
        description: description.text(),
        parameters: parameters.object().or_else(|| input_schema.object()),
        strict: strict.boolean(),
        deferred: deferred.boolean() == Some(true),
    })
}

/// The type of a tool; one that names none is a function.
pub(super) fn kind_of(tool: Field<'_>) -> Cow<'_, str> {
    let kind = named(tool, ["type"], |_| {}).and_then(|[kind]| kind.string());
    kind.unwrap_or(Cow::Borrowed("function"))
}

/// Reads which tools may be called or must be, as a word, as an object, or as a list of those that are allowed.
pub(super) fn read_choice<'a>(request: &mut Request<'a>, field: Field<'a>) -> Result<(), ParseError> {
    let refused = |words: String| ParseError::new(words, Some("tool_choice"));
    let wrong = || refused("`tool_choice` is none that is known".into());
    if let Some(name) = field.string() {
        request.tool_choice = Some(word(&name).ok_or_else(wrong)?);
        return Ok(());
    }
    let names = ["type", "allowed_tools", "mode", "tools", "disable_parallel_tool_use"];
    let [kind, nested, mode, tools, disabled] = named(field, names, |_| {}).ok_or_else(wrong)?;
    if let Some(disabled) = disabled.boolean() {
        request.parallel_tool_calls = Some(!disabled);
    }
    let kind = kind.string();
    request.tool_choice = Some(match kind.as_deref() {
        Some("function" | "custom" | "tool") | None => ToolChoice::Named(name_in(field).ok_or_else(wrong)?),
        Some("allowed_tools") => {
            let [inner_mode, inner_tools] = named(nested, ["mode", "tools"], |_| {}).unwrap_or([mode, tools]);
            let tools = inner_tools.read::<Vec<Field<'a>>>().ok_or_else(wrong)?;
            request.offer.allow(tools.into_iter().filter_map(name_in).collect());
            inner_mode.string().and_then(|mode| word(&mode)).ok_or_else(wrong)?
        }
        Some(kind) => {
            let asks = || {
                refused(format!(
                    "`tool_choice` asks for `{kind}`, which the backend of this model cannot run"
                ))
            };
            word(kind).ok_or_else(asks)?
        }
    });
    Ok(())
}

fn word<'a>(word: &str) -> Option<ToolChoice<'a>> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" | "any" => Some(ToolChoice::Required),
        _ => None,
    }
}

/// The name of a tool that a choice means.
fn name_in(choice: Field<'_>) -> Option<Text<'_>> {
    let [name, function, custom] = named(choice, ["name", "function", "custom"], |_| {})?;
    let nested = || [function, custom].into_iter().find_map(|inner| named(inner, ["name"], |_| {}));
    name.some_text().or_else(|| nested().and_then(|[name]| name.some_text()))
}
