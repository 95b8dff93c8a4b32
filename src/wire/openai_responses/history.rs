//! The input of a Responses request that is passed on as it is: reasoning that the gateway sealed for another vendor, which OpenAI
//! cannot read and refuses, is taken out, a summary of the gateway's own is told as what it is, and the id of a call that holds
//! what another vendor wants back is told as one of a lawful length.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::call_ids;
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
    let sealed = memmem::find(body, MARK.as_bytes()).is_some();
    if !sealed && memmem::find(body, call_ids::MARK.as_bytes()).is_none() {
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
            if let Some((raw, short)) = long_id(item) {
                edits.replace(span(body, raw), short);
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

/// The id of a call that was changed for the client and is too long here, as it stands and as it is told.
fn long_id(item: &RawValue) -> Option<(&str, Bytes)> {
    let [id] = named(Field::of(item), ["call_id"], |_| {})?;
    let told = id.string().filter(|id| id.starts_with(call_ids::MARK))?;
    let short = call_ids::short(&told);
    (short != told).then_some(())?;
    let mut out = BytesMut::new();
    Text::Plain(&short).write_quoted(&mut out);
    Some((id.raw()?, out.freeze()))
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
