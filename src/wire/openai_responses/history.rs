//! The input of a Responses request that is passed on as it is: reasoning that the gateway sealed for another vendor, which OpenAI
//! cannot read and refuses, is taken out.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::edits::{Edits, span};
use crate::wire::json::Field;
use crate::wire::members::members;
use crate::wire::request::Dropped;
use crate::wire::seal::{Found, MARK, Seal, Sealed};

/// What must be changed, and what is lost by it.
pub fn own_history(body: &[u8]) -> (Edits, Dropped) {
    let (mut edits, mut dropped) = (Edits::default(), Dropped::default());
    if memmem::find(body, MARK.as_bytes()).is_none() {
        return (edits, dropped); // most requests need no second look
    }
    let members = members(body).unwrap_or_default();
    for (_, input) in members.iter().filter(|(key, _)| key == "input") {
        let items: Vec<&RawValue> = input.read().unwrap_or_default();
        let mut places = Vec::with_capacity(items.len());
        for item in items {
            let found = find(item);
            match &found {
                Found::Own => {}
                Found::Marked { raw, bare } => edits.replace(span(body, raw), bare.clone()),
                Found::Foreign => dropped.add("reasoning"),
            }
            places.push((span(body, item.get()), !matches!(found, Found::Foreign)));
        }
        edits.keep(&places);
    }
    (edits, dropped)
}

fn find(item: &RawValue) -> Found<'_> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        encrypted_content: Field<'a>,
    }
    match Field::of(item).read::<Wire<'_>>() {
        Some(wire) if wire.kind == "reasoning" => Sealed::find(wire.encrypted_content, Seal::Encrypted),
        Some(_) | None => Found::Own,
    }
}
