//! The one request model between all dialects. Everything in it borrows from the body it was read from; numbers, schemas and
//! arguments stay as they were written.

use bytes::Bytes;

use crate::wire::dialect::Dialect;
use crate::wire::envelope::ParseError;
use crate::wire::json::Text;
use crate::wire::{ollama, openai_chat};

/// A chat request.
#[derive(Debug, Default)]
pub struct Request<'a> {
    pub messages: Vec<Message<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// May the model call several tools at once?
    pub parallel_tool_calls: Option<bool>,
    pub sampling: Sampling<'a>,
    pub format: Option<Format<'a>>,
    /// How much the model should think.
    pub effort: Option<Effort>,
    /// Ollama: nothing is asked but that the model be unloaded.
    pub unload: bool,
    /// Fields that have no place here.
    pub dropped: Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Debug)]
pub struct Message<'a> {
    pub role: Role,
    pub parts: Vec<Part<'a>>,
}

/// One part of a message.
#[derive(Debug)]
pub enum Part<'a> {
    Text(Text<'a>),
    Image(Image<'a>),
    /// What the model thought in an earlier turn.
    Reasoning(Text<'a>),
    ToolCall(ToolCall<'a>),
    ToolResult {
        /// Absent where the dialect leaves it out.
        call_id: Option<Text<'a>>,
        tool: Option<Text<'a>>,
        text: Vec<Text<'a>>,
    },
}

#[derive(Debug)]
pub enum Image<'a> {
    /// Base64. Ollama does not say of which media type.
    Data {
        media_type: Option<String>,
        base64: Text<'a>,
    },
    Url(Text<'a>),
}

#[derive(Debug)]
pub struct ToolCall<'a> {
    pub id: Option<Text<'a>>,
    pub name: Text<'a>,
    /// JSON text.
    pub arguments: Text<'a>,
}

#[derive(Debug)]
pub struct Tool<'a> {
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// A JSON Schema, as it was written.
    pub parameters: Option<&'a str>,
    pub strict: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    Required,
    Named(Text<'a>),
}

/// Sampling options, numbers as they were written.
#[derive(Debug, Default)]
pub struct Sampling<'a> {
    pub max_tokens: Option<&'a str>,
    pub temperature: Option<&'a str>,
    pub top_p: Option<&'a str>,
    pub top_k: Option<&'a str>,
    pub min_p: Option<&'a str>,
    pub seed: Option<&'a str>,
    pub frequency_penalty: Option<&'a str>,
    pub presence_penalty: Option<&'a str>,
    pub repeat_penalty: Option<&'a str>,
    pub stop: Vec<Text<'a>>,
}

/// Structured output.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    Json,
    Schema { name: Option<Text<'a>>, schema: &'a str, strict: Option<bool> },
}

/// How much the model should think, from not at all to without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// The names of request fields that were left out, for `X-Dropped-Fields`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped(Vec<String>);

impl Dropped {
    pub fn add(&mut self, field: impl Into<String>) {
        let field = field.into();
        if !self.0.contains(&field) {
            self.0.push(field);
        }
    }

    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|field| self.add(field));
    }

    /// The value of the header: names that a header may hold, separated by commas; `None` if nothing was dropped.
    pub fn header(&self) -> Option<String> {
        let lawful = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let names: Vec<String> =
            self.0.iter().map(|name| name.chars().filter(|&c| lawful(c)).take(64).collect()).collect();
        (!names.is_empty()).then(|| names.into_iter().take(32).collect::<Vec<_>>().join(", "))
    }
}

/// The target cannot carry a field whose loss would change the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub message: String,
    pub param: String,
}

impl Refused {
    pub fn new(param: impl Into<String>, why: &str) -> Self {
        let param = param.into();
        Self { message: format!("`{param}` {why}"), param }
    }
}

/// How a backend or a client wants what its dialect leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Is usage part of the stream?
    pub usage: bool,
    /// The field that carries reasoning in OpenAI's dialect, which has none of its own.
    pub reasoning_field: &'static str,
    /// The field that carries the token limit in OpenAI's dialect: the older `max_tokens` or `max_completion_tokens`.
    pub max_tokens_field: &'static str,
    /// May sampling options be sent that only vLLM and llama.cpp know (`top_k`, `min_p`, `repeat_penalty`)?
    pub sampling_extensions: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            usage: false,
            reasoning_field: "reasoning_content",
            max_tokens_field: "max_tokens",
            sampling_extensions: false,
        }
    }
}

/// Reads a request body of `dialect`, which the envelope has found to be a JSON object.
pub fn parse_request(dialect: Dialect, body: &[u8]) -> Result<Request<'_>, ParseError> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::parse(body),
        Dialect::OllamaChat => ollama::parse_chat(body),
        Dialect::OllamaGenerate => ollama::parse_generate(body),
        Dialect::OpenAiCompletions => {
            Err(ParseError::new("`/v1/completions` is only passed on to a backend that speaks it", None))
        }
    }
}

/// Writes a request for a streaming answer in `dialect`, and names what it could not carry.
pub fn write_request(
    dialect: Dialect,
    request: &Request<'_>,
    model: &str,
    style: Style,
) -> Result<(Bytes, Dropped), Refused> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::write(request, model, style),
        Dialect::OllamaChat => ollama::write(request, model),
        Dialect::OpenAiCompletions | Dialect::OllamaGenerate => {
            Err(Refused::new("model", "is served by a backend that this API is only passed on to"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_dropped_fields_holds_names_only() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.header(), None);
        dropped.add("top_k");
        dropped.add("top_k");
        dropped.add("a\r\nSet-Cookie: x");
        assert_eq!(dropped.header().as_deref(), Some("top_k, aSet-Cookiex"));
    }
}
