//! Compaction: a client asks with its last item that the conversation become a summary, which it is given sealed and sends back in
//! place of what the summary stands for.

use bytes::{BufMut, BytesMut};
use memchr::memmem;

use crate::wire::json::{Field, Text};
use crate::wire::members::{members, named};

/// What the model is asked in place of the item.
pub(super) const PROMPT: &str = "Sum up this conversation, so that another model can go on with the work from your summary alone: \
what the user wants, what was decided, what was done and found out (files, commands, results that still matter), and what is left \
to do. Answer with the summary only, and call no tool.";

/// How the gateway's own summaries begin.
const MARK: &str = "sg1:summary:";

/// Does the request end with the item that asks for a summary?
pub(super) fn is_asked(body: &[u8]) -> bool {
    if memmem::find(body, b"compaction_trigger").is_none() {
        return false; // most requests need no second look
    }
    let members = members(body).unwrap_or_default();
    let input = members.iter().find(|(key, _)| key == "input").map(|(_, field)| *field).unwrap_or_default();
    let items: Vec<Field<'_>> = input.read().unwrap_or_default();
    items.last().is_some_and(|item| is_trigger(*item))
}

/// Is it the item that asks for a summary?
pub(super) fn is_trigger(item: Field<'_>) -> bool {
    let kind = named(item, ["type"], |_| {}).and_then(|[kind]| kind.string());
    kind.as_deref() == Some("compaction_trigger")
}

/// Writes a summary as the client is given it, a JSON string.
pub(super) fn write_summary(summary: Text<'_>, out: &mut BytesMut) {
    out.put_u8(b'"');
    out.put_slice(MARK.as_bytes());
    summary.write(out);
    out.put_u8(b'"');
}

/// The summary in what a client has sent back; `None` of one that only OpenAI can read.
pub(super) fn summary_in(encrypted: Text<'_>) -> Option<Text<'_>> {
    match encrypted {
        Text::Escaped(text) => text.strip_prefix(MARK).map(Text::Escaped),
        Text::Plain(text) => text.strip_prefix(MARK).map(Text::Plain),
    }
}
