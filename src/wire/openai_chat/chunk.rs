//! A chunk of a chat completion as it stands on the wire, or a whole completion, which is one chunk with all in it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::wire::json::Field;
use crate::wire::lenient::lenient;

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Option<SmallVec<[Choice<'a>; 1]>>,
    #[serde(borrow, default)]
    pub(super) usage: Field<'a>,
    #[serde(borrow, default)]
    pub(super) x_groq: Field<'a>,
    #[serde(borrow, default)]
    pub(super) error: Field<'a>,
    /// `MiniMax` tells its errors here.
    #[serde(borrow, default)]
    pub(super) base_resp: Field<'a>,
    /// The pages that Perplexity's text leans on: addresses alone, and with their titles.
    #[serde(borrow, default)]
    pub(super) citations: Field<'a>,
    #[serde(borrow, default)]
    pub(super) search_results: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, default)]
    pub(super) index: Field<'a>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    /// In place of a delta: all of it.
    #[serde(borrow, default)]
    pub(super) message: Option<Delta<'a>>,
    /// The text of a legacy completion.
    #[serde(borrow, default)]
    pub(super) text: Field<'a>,
    #[serde(borrow, default, deserialize_with = "named")]
    pub(super) finish_reason: Option<Field<'a>>,
    /// The stop sequence that ended the answer, in vLLM's words; a number is a token.
    #[serde(borrow, default)]
    pub(super) stop_reason: Field<'a>,
}

/// A member that is there, also if it is `null`.
fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Field<'de>>, D::Error> {
    <&RawValue>::deserialize(from).map(|raw| Some(Field::of(raw)))
}

lenient! {
    struct Delta {
        content, reasoning_content, reasoning, reasoning_details, thinking_blocks, refusal, annotations, tool_calls,
        function_call,
    } without [
        "role", "name", "channel", "logprobs", "token_ids", "prompt_token_ids", "provider_specific_fields", "tool_call_id",
        "reasoning_signature", "citations", "context", "end_turn",
    ]
}

/// A part of a content array (Mistral).
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Field<'a>,
    #[serde(borrow, default)]
    pub(super) text: Field<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Field<'a>,
}

#[derive(Deserialize)]
pub(super) struct Annotation<'a> {
    #[serde(borrow, default)]
    pub(super) url_citation: Field<'a>,
}

/// A block of thinking as Anthropic has it.
#[derive(Deserialize)]
pub(super) struct ThinkingBlock<'a> {
    #[serde(borrow, default)]
    pub(super) thinking: Field<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Field<'a>,
    #[serde(borrow, default)]
    pub(super) data: Field<'a>,
}
