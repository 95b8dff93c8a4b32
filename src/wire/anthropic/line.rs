//! An event of Anthropic's as it stands on the wire.

use crate::wire::lenient::lenient;
use crate::wire::members::Key;

lenient! {
    struct Line<'a> {
        kind = "type": Key<'a>, index, delta: Option<Delta<'a>>, content_block: Option<ContentBlock<'a>>,
        message: Option<Message<'a>>, usage, error,
    } without ["request_id"]
}

lenient! {
    struct Delta<'a> {
        text, thinking, signature, partial_json, citation, stop_reason, stop_sequence, stop_details,
    } without ["type", "estimated_tokens"]
}

lenient! {
    struct ContentBlock<'a> {
        kind = "type": Key<'a>, text, thinking, signature, data, id, name, input, content,
    } without ["citations"]
}

lenient! {
    struct Message<'a> {
        id, usage, content, stop_reason, stop_sequence, stop_details,
    } without ["type", "role", "model"]
}
