//! An event of Responses as it stands on the wire, and the place in the response that it is about.

use smallvec::SmallVec;

use crate::wire::json::Field;
use crate::wire::lenient::lenient;
use crate::wire::members::Key;
use crate::wire::openai_responses::known::Named;

lenient! {
    struct Line<'a> {
        kind = "type": Key<'a>, sequence_number, output_index, item_id, content_index, summary_index, delta, text, refusal,
        arguments, input, item: Option<Item<'a>>, annotation, response, error,
    } without ["logprobs", "obfuscation", "annotation_index", "part", "name", "status", "stream_id"]
}

lenient! {
    /// An item as it stands in an event. What only a whole one has may be absent. `input` is the free text of a custom call,
    /// `action` what a search did, `result` a picture.
    struct Item<'a> {
        kind = "type": Key<'a>, id, call_id, name, arguments, input, content: Option<SmallVec<[Part<'a>; 1]>>,
        summary: Option<SmallVec<[Part<'a>; 1]>>, encrypted_content, action, result, output_format,
    } without ["status", "role"]
}

lenient! {
    struct Part<'a> { kind = "type": Key<'a>, text, refusal, annotations } without ["logprobs"]
}

/// A part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) item: usize,
    pub(super) kind: PlaceKind,
    part: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PlaceKind {
    Content,
    Summary,
    Call,
}

impl Place {
    pub(super) fn content(item: usize, part: Field<'_>) -> Self {
        Self::part(item, part.whole().unwrap_or_default())
    }

    pub(super) fn part(item: usize, part: u64) -> Self {
        Self { item, kind: PlaceKind::Content, part }
    }

    pub(super) fn summary(item: usize, part: Field<'_>) -> Self {
        Self { item, kind: PlaceKind::Summary, part: part.whole().unwrap_or_default() }
    }

    pub(super) fn call(item: usize) -> Self {
        Self { item, kind: PlaceKind::Call, part: 0 }
    }
}

impl Item<'_> {
    pub(super) fn named(&self) -> Named<'_> {
        Named { kind: &self.kind, id: self.id, call_id: self.call_id }
    }
}
