//! A chunk of a chat completion as it stands on the wire, or a whole completion, which is one chunk with all in it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::wire::json::Field;
use crate::wire::lenient::lenient;

lenient! {
    /// `MiniMax` tells its errors in `base_resp`, Perplexity the pages that its text leans on in `citations` (addresses alone) and
    /// `search_results`.
    struct Chunk<'a> {
        choices: Option<SmallVec<[Choice<'a>; 1]>>, usage, x_groq, error, base_resp, citations, search_results,
    } often ["id", "object", "created", "model"] without [
        "system_fingerprint", "service_tier", "obfuscation", "timings", "prompt_progress",
    ]
}

lenient! {
    /// `message` stands in place of a delta: all of it. `text` is that of a legacy completion, `stop_reason` the stop sequence that
    /// ended the answer in vLLM's words; a number is a token.
    struct Choice<'a> {
        index, delta: Option<Delta<'a>>, message: Option<Delta<'a>>, text, finish_reason: Named<'a>, stop_reason,
    } without ["logprobs", "matched_stop", "token_ids", "prompt_token_ids"]
}

/// A member that is known to be there, also if it is `null`.
#[derive(Default)]
pub(super) struct Named<'a>(pub(super) Option<Field<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(from).map(|raw| Self(Some(Field::of(raw))))
    }
}

lenient! {
    struct Delta<'a> {
        content, reasoning_content, reasoning, reasoning_details, thinking_blocks, refusal, annotations, tool_calls,
        function_call, images,
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
    #[serde(borrow, default)]
    pub(super) image_url: Field<'a>,
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
