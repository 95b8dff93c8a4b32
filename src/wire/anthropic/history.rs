//! The history of a Messages request that is passed on as it is: thinking that Anthropic did not sign, which it refuses, is taken
//! out, and so is what the gateway sealed for another vendor.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::edits::{Edits, span};
use crate::wire::json::Field;
use crate::wire::members::members;
use crate::wire::request::Dropped;
use crate::wire::seal::{Found, Seal, Sealed};

/// What must be changed, and what is lost by it.
pub fn own_history(body: &[u8]) -> (Edits, Dropped) {
    let (mut edits, mut dropped) = (Edits::default(), Dropped::default());
    if memmem::find(body, b"thinking").is_none() {
        return (edits, dropped); // most requests need no second look
    }
    let members = members(body).unwrap_or_default();
    for (_, messages) in members.iter().filter(|(key, _)| key == "messages") {
        let messages: Vec<&RawValue> = messages.read().unwrap_or_default();
        let mut places = Vec::with_capacity(messages.len());
        for message in messages {
            let keep = check_message(body, message, &mut edits, &mut dropped);
            places.push((span(body, message.get()), keep));
        }
        edits.keep(&places);
    }
    (edits, dropped)
}

/// Is anything left of the message? One without content is not lawful.
fn check_message(body: &[u8], message: &RawValue, edits: &mut Edits, dropped: &mut Dropped) -> bool {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, default)]
        content: Field<'a>,
    }
    let wire: Option<Wire<'_>> = Field::of(message).read();
    let blocks: Vec<&RawValue> = wire.and_then(|wire| wire.content.read()).unwrap_or_default();
    let found: Vec<Found<'_>> = blocks.iter().map(|block| find(block)).collect();
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

fn find(block: &RawValue) -> Found<'_> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        signature: Field<'a>,
        #[serde(borrow, default)]
        data: Field<'a>,
    }
    let Some(wire) = Field::of(block).read::<Wire<'_>>() else { return Found::Own };
    let (field, native) = match wire.kind.as_ref() {
        "thinking" => (wire.signature, Seal::Signature),
        "redacted_thinking" => (wire.data, Seal::Redacted),
        _ => return Found::Own,
    };
    if field.some_text().is_none() { Found::Foreign } else { Sealed::find(field, native) }
}
