//! An estimate of a request's tokens, for backends that cannot count them: a quarter of its letters, as Ollama does it.

use crate::wire::media::DocumentSource;
use crate::wire::request::{Message, Part, Request};

/// Letters in a token.
const LETTERS: usize = 4;
/// What an image costs: about what Anthropic takes for one of a megapixel.
const IMAGE: usize = 1500;
/// Bytes of base64 in a token of a document: text is a small part of a PDF.
const DOCUMENT_BYTES: usize = 64;

/// About how many tokens a model will read.
pub fn estimate_tokens(request: &Request<'_>) -> u64 {
    let messages: usize = request.messages.iter().map(message).sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| {
            let description = tool.description.map_or(0, |text| text.plain().chars().count());
            let letters = tool.name.plain().len() + description + tool.parameters.map_or(0, str::len);
            letters.div_ceil(LETTERS)
        })
        .sum();
    u64::try_from((messages + tools).max(1)).unwrap_or(u64::MAX)
}

fn message(message: &Message<'_>) -> usize {
    message.parts.iter().map(part).sum::<usize>() + 3 // what separates one from the next
}

fn part(one: &Part<'_>) -> usize {
    let letters = match one {
        Part::Text(text) | Part::Reasoning { text, .. } => text.plain().chars().count(),
        Part::ToolCall(call) => call.name.plain().len() + call.arguments.json().chars().count(),
        Part::ToolResult(result) => return result.parts.iter().map(part).sum(),
        Part::Image(_) => return IMAGE,
        Part::Document(document) => {
            return match &document.source {
                DocumentSource::Data { base64, .. } => base64.plain().len() / DOCUMENT_BYTES,
                DocumentSource::Url(_) => IMAGE, // nobody here knows how long it is
            };
        }
        Part::Redacted(_) => 0,
    };
    letters.div_ceil(LETTERS)
}
