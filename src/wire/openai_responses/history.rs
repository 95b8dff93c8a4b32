//! The input of a Responses request that is passed on as it is: reasoning that the gateway sealed for another vendor, which OpenAI
//! cannot read and refuses, is taken out, and a summary of the gateway's own is told as what it is.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::edits::{Edits, span};
use crate::wire::json::{Field, Object, Text, write_joined};
use crate::wire::members::{members, named};
use crate::wire::openai_responses::compaction::summary_in;
use crate::wire::remains::SUMMARY;
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
            if let Some(message) = summary(item) {
                edits.replace(span(body, item.get()), message);
                places.push((span(body, item.get()), true));
                continue;
            }
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

/// The message that tells a summary of the gateway's own, which OpenAI cannot read.
fn summary(item: &RawValue) -> Option<Bytes> {
    let [kind, encrypted] = named(Field::of(item), ["type", "encrypted_content"], |_| {})?;
    let summary = summary_in(encrypted.text().filter(|_| kind.string().as_deref() == Some("compaction"))?)?;
    let mut out = BytesMut::new();
    let mut message = Object::new(&mut out);
    message.raw("type", "\"message\"").raw("role", "\"user\"");
    write_joined([Text::Plain(SUMMARY), summary], "\\n\\n", message.key("content"));
    message.end();
    Some(out.freeze())
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
