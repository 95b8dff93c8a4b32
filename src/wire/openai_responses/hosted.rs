//! What OpenAI's own tools left in the input: calls that the client ran are told as calls of a tool, what else can be read as text,
//! and all of it is named. Without them a conversation could not move to another vendor once it has searched the web.

use crate::wire::call_arguments::Arguments;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::media::Image;
use crate::wire::members::named;
use crate::wire::offer::Offer;
use crate::wire::openai_responses::compaction::{PROMPT, summary_in};
use crate::wire::openai_responses::input::{push, result};
use crate::wire::openai_responses::parse::read_tool;
use crate::wire::remains::{SUMMARY, readable};
use crate::wire::request::{Message, Part, Request, Role, ToolCall};

/// Tools that the client runs for the model: the types of their calls and of what comes back, and the member that holds what the
/// call asks for.
const RUN_BY_CLIENT: [(&str, &str, &str); 5] = [
    ("local_shell_call", "local_shell_call_output", "action"),
    ("shell_call", "shell_call_output", "action"),
    ("apply_patch_call", "apply_patch_call_output", "operation"),
    ("computer_call", "computer_call_output", "action"),
    ("tool_search_call", "tool_search_output", "arguments"),
];

/// Reads an item of the type `kind`, which other vendors do not know.
pub(super) fn read_hosted<'a>(
    item: Field<'a>,
    kind: &str,
    request: &mut Request<'a>,
) -> Result<(), ParseError> {
    let names = ["call_id", "id", "output", "tools", "encrypted_content"];
    let [call_id, id, output, tools, encrypted] = named(item, names, |_| {}).unwrap_or_default();
    match kind {
        // One in the middle of a history that is kept here was answered then.
        "compaction_trigger" => return Ok(()),
        "compaction" => {
            if let Some(summary) = encrypted.text().and_then(summary_in) {
                let parts = vec![Part::Text(Text::Plain(SUMMARY)), Part::Text(summary)];
                request.messages.push(Message { role: Role::User, parts });
                return Ok(());
            }
        }
        "additional_tools" | "tool_search_output" => {
            for tool in tools.read::<Vec<Field<'a>>>().unwrap_or_default() {
                if let Ok(tool) = read_tool(tool, &mut request.dropped)? {
                    request.offer.name(tool.name);
                    request.offer.add(tool);
                }
            }
        }
        _ => {}
    }
    request.dropped.add(format!("input.{kind}"));
    // A search that OpenAI ran has no such id: nobody else is to answer it.
    let id = if call_id.is_absent() && !kind.starts_with("tool_search") { id } else { call_id };
    let found = RUN_BY_CLIENT
        .iter()
        .filter(|_| !id.is_absent())
        .find(|(call, output, _)| [*call, *output].contains(&kind));
    match found {
        Some((call, _, member)) if *call == kind => {
            let arguments =
                named(item, [*member], |_| {}).map_or_else(Field::default, |[arguments]| arguments);
            let name = Text::Plain(call.strip_suffix("_call").unwrap_or(call));
            let call = ToolCall { id: id.some_text(), name, arguments: Arguments::of(arguments) };
            push(&mut request.messages, Role::Assistant, vec![Part::ToolCall(call)]);
        }
        Some(_) => {
            let shown = named(output, ["image_url"], |_| {}).and_then(|[url]| url.some_text());
            let mut parts = readable(output);
            parts.extend(shown.map(Image::of_url).map(Part::Image));
            parts.extend(tools.read::<Vec<Field<'a>>>().unwrap_or_default().into_iter().filter_map(name_of));
            request.messages.push(result(id, parts));
        }
        None => {
            let parts = readable(item);
            if !parts.is_empty() {
                push(&mut request.messages, Role::Assistant, parts);
            }
        }
    }
    Ok(())
}

/// What a search has found is told by its name.
fn name_of(tool: Field<'_>) -> Option<Part<'_>> {
    named(tool, ["name"], |_| {}).and_then(|[name]| name.some_text()).map(Part::Text)
}

/// Nothing is to be done but to sum up: no tool may be called.
pub(super) fn ask_for_summary(request: &mut Request<'_>) {
    request.tools.clear();
    request.tool_choice = None;
    request.parallel_tool_calls = None;
    request.offer = Offer::default();
    request.messages.push(Message { role: Role::User, parts: vec![Part::Text(Text::Plain(PROMPT))] });
}
