//! The history of a Messages request that is passed on as it is: thinking that nobody signed, which Anthropic refuses, is taken
//! out, and so is what the gateway sealed for another vendor, and the line for Anthropic's accounts where others are asked.

use bytes::BytesMut;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::anthropic::billing::{BILLING, without_billing};
use crate::wire::call_ids;
use crate::wire::edits::{Edits, span};
use crate::wire::json::{Field, Text};
use crate::wire::members::{members, named};
use crate::wire::request::{Dropped, PassedOn};
use crate::wire::seal::{Found, Seal, Sealed};

/// What must be changed for a backend that takes this, and what is lost by it.
pub fn own_history(body: &[u8], told: PassedOn) -> (Edits, Dropped) {
    let (mut edits, mut dropped) = (Edits::default(), Dropped::default());
    let holds = |word: &str| memmem::find(body, word.as_bytes()).is_some();
    let marked = holds("thinking") || holds(call_ids::MARK);
    let billed = !told.billing && holds(BILLING);
    if !marked && !billed {
        return (edits, dropped); // most requests need no second look
    }
    for (key, field) in members(body).unwrap_or_default() {
        match key.as_ref() {
            "messages" if marked => {
                let messages: Vec<&RawValue> = field.read().unwrap_or_default();
                let mut places = Vec::with_capacity(messages.len());
                for message in messages {
                    let keep = check_message(body, message, told, &mut edits, &mut dropped);
                    places.push((span(body, message.get()), keep));
                }
                edits.keep(&places);
            }
            "system" if billed => without_bill(body, field, &mut edits),
            _ => {}
        }
    }
    (edits, dropped)
}

/// Takes the line for Anthropic's accounts out of the system prompt: other with every request, it would keep a server from using
/// what it has read already.
fn without_bill(body: &[u8], system: Field<'_>, edits: &mut Edits) {
    let mut cut = |text: Field<'_>| {
        let (Some(said), Some(raw)) = (text.text(), text.raw()) else { return true };
        match without_billing(said) {
            Some(rest) if rest == said => true,
            Some(rest) => {
                let mut out = BytesMut::new();
                rest.write_quoted(&mut out);
                edits.replace(span(body, raw), out.freeze());
                true
            }
            None => false,
        }
    };
    if let (Some(_), Some(raw)) = (system.text(), system.raw()) {
        if !cut(system) {
            edits.replace(span(body, raw), "\"\"");
        }
        return;
    }
    let blocks: Vec<&RawValue> = system.read().unwrap_or_default();
    let mut places = Vec::with_capacity(blocks.len());
    for block in blocks {
        let [text] = named(Field::of(block), ["text"], |_| {}).unwrap_or_default();
        places.push((span(body, block.get()), cut(text)));
    }
    edits.keep(&places);
}

/// Is anything left of the message? One without content is not lawful.
fn check_message(
    body: &[u8],
    message: &RawValue,
    told: PassedOn,
    edits: &mut Edits,
    dropped: &mut Dropped,
) -> bool {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        content: Field<'a>,
    }
    let wire: Option<Wire<'_>> = Field::of(message).read();
    let blocks: Vec<&RawValue> = wire.and_then(|wire| wire.content.read()).unwrap_or_default();
    let found: Vec<Found<'_>> = blocks.iter().map(|block| find(block, told)).collect();
    let own = |found: &Found<'_>| !matches!(found, Found::Foreign);
    if !found.iter().all(own) {
        dropped.add("reasoning");
        if !found.iter().any(own) {
            return false;
        }
    }
    for found in &found {
        if let Found::Marked { raw, bare } = found {
            edits.replace(span(body, raw), bare.clone());
        }
    }
    let places: Vec<_> =
        blocks.iter().zip(&found).map(|(block, found)| (span(body, block.get()), own(found))).collect();
    edits.keep(&places);
    true
}

fn find(block: &RawValue, told: PassedOn) -> Found<'_> {
    let names = ["type", "signature", "data", "id", "tool_use_id"];
    let Some([kind, signature, data, id, answered]) = named(Field::of(block), names, |_| {}) else {
        return Found::Own;
    };
    let (field, native) = match kind.string().as_deref() {
        Some("thinking") if signature.some_text().is_none() && told.unsigned_thinking => return Found::Own,
        Some("thinking") => (signature, Seal::Signature),
        Some("redacted_thinking") => (data, Seal::Redacted),
        Some("tool_use") => return shortened(id),
        Some("tool_result") => return shortened(answered),
        _ => return Found::Own,
    };
    if field.some_text().is_none() { Found::Foreign } else { Sealed::find(field, native) }
}

/// The id of a call that holds what another vendor wants back.
fn shortened(id: Field<'_>) -> Found<'_> {
    let told = id.string().filter(|id| id.starts_with(call_ids::MARK));
    let (Some(told), Some(raw)) = (told, id.raw()) else { return Found::Own };
    match call_ids::short(&told) {
        short if short == told => Found::Own,
        short => {
            let mut bare = BytesMut::new();
            Text::Plain(&short).write_quoted(&mut bare);
            Found::Marked { raw, bare: bare.freeze() }
        }
    }
}
