//! What Anthropic's own tools left in a conversation: what can be read of it is told as text, and all of it is named.

use crate::wire::anthropic::blocks::{Beside, unknown};
use crate::wire::anthropic::parse::read_tool;
use crate::wire::envelope::ParseError;
use crate::wire::json::{Field, Text};
use crate::wire::members::named;
use crate::wire::remains::readable;
use crate::wire::request::Part;

/// Reads a block of the type `kind`, which other vendors do not know.
pub(super) fn read_hosted<'a>(
    block: Field<'a>,
    kind: &str,
    parts: &mut Vec<Part<'a>>,
    beside: &mut Beside<'a>,
) -> Result<(), ParseError> {
    let names = ["content", "tool_name", "tool", "text"];
    let [content, tool_name, tool, text] = named(block, names, |_| {}).unwrap_or_default();
    match kind {
        // The model is told the tool's name; its definition is among the tools.
        "tool_reference" => {
            let name = tool_name.some_text().or_else(|| text.some_text());
            if let Some(name) = name {
                beside.offer.name(name);
            }
            parts.extend(name.map(Part::Text));
            return Ok(());
        }
        "compaction" => {
            beside.summary = content.some_text().or(beside.summary);
            if beside.summary.is_some() {
                parts.clear(); // what the block before it said is in the summary
                return Ok(());
            }
        }
        "tool_addition" => {
            if let Some(tool) = read_tool(tool, &mut beside.dropped)? {
                beside.offer.add(tool);
                return Ok(());
            }
        }
        "tool_removal" => {
            if let Some(name) = tool.some_text().or_else(|| name_of(tool)) {
                beside.offer.remove(name);
                return Ok(());
            }
        }
        "tool_search_tool_result" => {
            let [found] = named(content, ["tool_references"], |_| {}).unwrap_or_default();
            for reference in found.read::<Vec<Field<'a>>>().unwrap_or_default() {
                let [name] = named(reference, ["tool_name"], |_| {}).unwrap_or_default();
                if let Some(name) = name.some_text() {
                    beside.offer.name(name);
                }
            }
        }
        "server_tool_use" | "mcp_tool_use" | "container_upload" | "fallback" => {}
        _ if kind.ends_with("_result") || kind.ends_with("_listing") => parts.extend(readable(content)),
        _ => return Err(unknown(kind)),
    }
    beside.dropped.add(format!("messages.{kind}"));
    Ok(())
}

fn name_of(tool: Field<'_>) -> Option<Text<'_>> {
    named(tool, ["name"], |_| {}).and_then(|[name]| name.some_text())
}
