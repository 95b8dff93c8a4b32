//! An event of Anthropic's as it stands on the wire.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::json::Field;

#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) index: Field<'a>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) content_block: Option<ContentBlock<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Field<'a>,
    #[serde(borrow, default)]
    pub(super) error: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) text: Field<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Field<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Field<'a>,
    #[serde(borrow, default)]
    pub(super) partial_json: Field<'a>,
    #[serde(borrow, default)]
    pub(super) citation: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_sequence: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct ContentBlock<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) text: Field<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Field<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Field<'a>,
    #[serde(borrow, default)]
    pub(super) data: Field<'a>,
    #[serde(borrow, default)]
    pub(super) id: Field<'a>,
    #[serde(borrow, default)]
    pub(super) name: Field<'a>,
    #[serde(borrow, default)]
    pub(super) input: Field<'a>,
    #[serde(borrow, default)]
    pub(super) content: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Field<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Field<'a>,
    #[serde(borrow, default)]
    pub(super) content: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_sequence: Field<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Field<'a>,
}
