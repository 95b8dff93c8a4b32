//! The one request model between all dialects. Everything in it borrows from the body it was read from; numbers, schemas and
//! arguments stay as they were written.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::wire::call_arguments::Arguments;
use crate::wire::dialect::Dialect;
use crate::wire::edits::Edits;
use crate::wire::envelope::ParseError;
use crate::wire::extra::{Extras, User};
use crate::wire::json::{Text, write_inside};
use crate::wire::media::{Document, DocumentSource, Image};
use crate::wire::models::SamplingOptions;
use crate::wire::names::Names;
use crate::wire::offer::Offer;
use crate::wire::seal::Sealed;
use crate::wire::{anthropic, ollama, openai_chat, openai_responses};

/// A chat request.
#[derive(Debug, Default)]
pub struct Request<'a> {
    pub messages: Vec<Message<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// What else was read about tools, until they are settled.
    pub(super) offer: Offer<'a>,
    /// May the model call several tools at once?
    pub parallel_tool_calls: Option<bool>,
    pub sampling: Sampling<'a>,
    pub format: Option<Format<'a>>,
    /// How much the model should think.
    pub effort: Option<Effort>,
    /// Ollama: nothing is asked but that the model be unloaded.
    pub unload: bool,
    pub user: Option<User<'a>>,
    pub extras: Extras<'a>,
    /// Members of a chat request as they stand there that have no place here, for servers that take them in another API too.
    pub native: Vec<Native<'a>>,
    /// Fields that have no place here.
    pub dropped: Dropped,
}

/// A member that only one API has.
#[derive(Clone, Debug)]
pub struct Native<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a str,
    /// Would the answer be another one without it?
    pub counts: bool,
}

/// The longest name of a user that every backend takes.
const USER_LIMIT: usize = 64;

impl Request<'_> {
    /// Who asks, in at most 64 letters: a longer name (that of Claude Code is) as its digest.
    pub(super) fn short_user(&self) -> Option<Cow<'_, str>> {
        let user = self.user?.id.plain();
        if user.chars().count() <= USER_LIMIT {
            return Some(user);
        }
        let mut digest = String::with_capacity(USER_LIMIT);
        for byte in Sha256::digest(user.as_bytes()) {
            write!(digest, "{byte:02x}").unwrap_or_default(); // writing to a String cannot fail
        }
        Some(Cow::Owned(digest))
    }
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
    Document(Document<'a>),
    /// What the model thought in an earlier turn, and what its vendor wants back with it.
    Reasoning {
        text: Text<'a>,
        sealed: Option<Sealed<'a>>,
    },
    /// Reasoning of an earlier turn that only its vendor can read.
    Redacted(Sealed<'a>),
    ToolCall(ToolCall<'a>),
    ToolResult(ToolResult<'a>),
}

/// What a tool gave back.
#[derive(Debug)]
pub struct ToolResult<'a> {
    /// Absent where the dialect leaves it out.
    pub call_id: Option<Text<'a>>,
    pub tool: Option<Text<'a>>,
    /// Texts, images and documents.
    pub parts: Vec<Part<'a>>,
    /// Did the tool fail?
    pub is_error: bool,
}

#[derive(Debug)]
pub struct ToolCall<'a> {
    pub id: Option<Text<'a>>,
    pub name: Text<'a>,
    pub arguments: Arguments<'a>,
}

impl ToolResult<'_> {
    /// Writes the text as a JSON string, for dialects that cannot say that a tool failed: it stands in front of the text.
    pub(super) fn write_text(&self, out: &mut BytesMut) {
        out.put_slice(if self.is_error { b"\"Error: " } else { b"\"" });
        write_inside(texts(&self.parts), "\\n", out);
        out.put_u8(b'"');
    }
}

/// All parts of a history.
pub(super) fn parts_of<'p, 'a>(messages: &'p [Message<'a>]) -> impl Iterator<Item = &'p Part<'a>> {
    messages.iter().flat_map(|message| &message.parts)
}

/// Refuses a document that is only named by its address, for dialects that take nothing but its bytes.
pub(super) fn refuse_documents_by_url(messages: &[Message<'_>]) -> Result<(), Refused> {
    let is_by_url = |part: &Part<'_>| match part {
        Part::Document(document) => matches!(document.source, DocumentSource::Url(_)),
        Part::Text(_)
        | Part::Image(_)
        | Part::Reasoning { .. }
        | Part::Redacted(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_) => false,
    };
    let in_result = |part: &Part<'_>| match part {
        Part::ToolResult(result) => result.parts.iter().any(is_by_url),
        Part::Text(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::Reasoning { .. }
        | Part::Redacted(_)
        | Part::ToolCall(_) => false,
    };
    let found = parts_of(messages).any(|part| is_by_url(part) || in_result(part));
    let why = "hold a document by URL, which the backend of this model cannot take: send the document itself";
    if found { Err(Refused::new("messages", why)) } else { Ok(()) }
}

/// Names reasoning that only its vendor can read, for dialects of others.
pub(super) fn name_closed(messages: &[Message<'_>], dropped: &mut Dropped) {
    let is_closed = |part: &Part<'_>| match part {
        Part::Redacted(_) => true,
        Part::Reasoning { text, sealed } => text.is_empty() && sealed.is_some(),
        Part::Text(_) | Part::Image(_) | Part::Document(_) | Part::ToolCall(_) | Part::ToolResult(_) => false,
    };
    if parts_of(messages).any(is_closed) {
        dropped.add("reasoning");
    }
}

/// The texts among parts.
pub(super) fn texts<'p, 'a: 'p>(
    parts: impl IntoIterator<Item = &'p Part<'a>>,
) -> impl Iterator<Item = Text<'a>> {
    parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(*text) } else { None })
}

#[derive(Debug)]
pub struct Tool<'a> {
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// A JSON Schema, as it was written.
    pub parameters: Option<&'a str>,
    pub strict: Option<bool>,
    /// It is not loaded before it is named.
    pub deferred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    Required,
    Named(Text<'a>),
}

/// Sampling options, numbers as they were written.
#[derive(Clone, Debug, Default)]
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

impl<'a> Sampling<'a> {
    /// The token limit. None at all, by which Anthropic fills a cache, is lawful nowhere else, and to Ollama it is no limit.
    pub(super) fn limit(&self) -> Option<&'a str> {
        self.max_tokens.map(|limit| if limit.parse::<f64>() == Ok(0.0) { "1" } else { limit })
    }
}

/// Structured output.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    Json,
    Schema { name: Option<Text<'a>>, schema: &'a str, strict: Option<bool> },
}

/// How much the model should think, from not at all to without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// Every level, with OpenAI's name for it.
    const NAMES: [(Self, &'static str); 7] = [
        (Self::None, "none"),
        (Self::Minimal, "minimal"),
        (Self::Low, "low"),
        (Self::Medium, "medium"),
        (Self::High, "high"),
        (Self::XHigh, "xhigh"),
        (Self::Max, "max"),
    ];

    pub fn named(name: &str) -> Option<Self> {
        if name == "ultra" {
            return Some(Self::Max);
        }
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(effort, _)| *effort)
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(effort, _)| *effort == self).map_or("medium", |(_, name)| name)
    }
}

/// The names of request fields that were left out, for `X-Dropped-Fields`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped(Vec<String>);

impl Dropped {
    pub fn add(&mut self, field: impl Into<String>) {
        let field = field.into();
        if self.0.len() < MOST_DROPPED && !self.0.contains(&field) {
            self.0.push(field);
        }
    }

    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|field| self.add(field));
    }

    pub fn remove(&mut self, field: &str) {
        self.0.retain(|known| known != field);
    }

    /// The value of the header: names that a header may hold, separated by commas; `None` if nothing was dropped.
    pub fn header(&self) -> Option<String> {
        let lawful = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let names: Vec<String> =
            self.0.iter().map(|name| name.chars().filter(|&c| lawful(c)).take(64).collect()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// How many names of dropped fields are kept.
const MOST_DROPPED: usize = 32;

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

/// Why a member is refused without which the answer would be another one.
pub(super) const NOT_CARRIED: &str =
    "cannot be carried to the backend of this model, and the answer would not be the same without it";

/// How a backend or a client wants what its dialect leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Is usage part of the stream?
    pub usage: bool,
    /// The field that carries reasoning to a client in OpenAI's dialect, which has none of its own.
    pub reasoning_field: &'static str,
    /// The field that carries the reasoning of earlier turns to a backend; `None`: it is not told.
    pub told_reasoning: Option<&'static str>,
    /// The field that carries the token limit in OpenAI's dialect: the older `max_tokens` or `max_completion_tokens`. `None`: the
    /// one that the model's name stands for.
    pub max_tokens_field: Option<&'static str>,
    /// May sampling options be sent that only vLLM and llama.cpp know (`top_k`, `min_p`, `repeat_penalty`)?
    pub sampling_extensions: bool,
    /// The token limit where Anthropic's dialect insists on one and the request has none.
    pub max_tokens: u64,
    /// How Anthropic's models are told how much to think. `None`: as the model's name says.
    pub thinking: Option<Thinking>,
    /// Sampling options that are refused. `None`: those of which the model's name says so.
    pub refused: Option<SamplingOptions>,
    /// Must the call of a tool in a history have reasoning before it? `None`: as the model's name says.
    pub reasoned_calls: Option<bool>,
    pub passed_on: PassedOn,
    /// Is it told how far the server is with the prompt?
    pub progress: bool,
    /// Which server it is, where it matters.
    pub server: Server,
}

/// Servers that do not do as the API says that they speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    #[default]
    Any,
    LlamaCpp,
}

impl Style {
    pub(super) fn is_llama_cpp(&self) -> bool {
        self.server == Server::LlamaCpp
    }
}

/// What a backend in Anthropic's dialect is told that not all of them take, also of a request in its own dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOn {
    /// Thinking that nobody signed: Anthropic refuses it, others wrote it.
    pub unsigned_thinking: bool,
    /// The line for Anthropic's accounts.
    pub billing: bool,
}

impl Default for PassedOn {
    fn default() -> Self {
        Self { unsigned_thinking: false, billing: true }
    }
}

/// How Anthropic's models are told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// A number of tokens: what all but the newest models take.
    Budget,
    /// A level: `thinking.type` is `adaptive`.
    Adaptive,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            usage: false,
            reasoning_field: "reasoning_content",
            told_reasoning: Some("reasoning_content"),
            max_tokens_field: None,
            sampling_extensions: false,
            max_tokens: DEFAULT_MAX_TOKENS,
            thinking: None,
            refused: None,
            reasoned_calls: None,
            passed_on: PassedOn::default(),
            progress: false,
            server: Server::Any,
        }
    }
}

/// A request written for a backend.
#[derive(Clone, Debug)]
pub struct Written {
    pub body: Bytes,
    /// What of the request the dialect cannot carry.
    pub dropped: Dropped,
    /// Names of tools that the backend is told in a shorter form.
    pub names: Names,
}

/// The token limit where a backend insists on one and nobody has said another.
pub const DEFAULT_MAX_TOKENS: u64 = 8192;

/// Reads a request body of `dialect`, which the envelope has found to be a JSON object.
pub fn parse_request(dialect: Dialect, body: &[u8]) -> Result<Request<'_>, ParseError> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::parse(body),
        Dialect::OpenAiResponses => openai_responses::parse(body),
        Dialect::Anthropic => anthropic::parse(body),
        Dialect::OllamaChat => ollama::parse_chat(body),
        Dialect::OllamaGenerate => ollama::parse_generate(body),
        Dialect::OpenAiCompletions => {
            Err(ParseError::new("`/v1/completions` is only passed on to a backend that speaks it", None))
        }
    }
}

/// What of a request's history must not reach a backend of the same dialect, and what is lost without it: what only another
/// vendor can read. All else is passed on as it was written.
pub fn own_history(dialect: Dialect, body: &[u8], passed_on: PassedOn) -> (Edits, Dropped) {
    match dialect {
        Dialect::Anthropic => anthropic::own_history(body, passed_on),
        Dialect::OpenAiResponses => openai_responses::own_history(body),
        Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OllamaChat | Dialect::OllamaGenerate => {
            Default::default()
        }
    }
}

/// Writes a request for a streaming answer in `dialect`, and names what it could not carry.
pub fn write_request(
    dialect: Dialect,
    request: &Request<'_>,
    model: &str,
    style: Style,
) -> Result<Written, Refused> {
    // llama.cpp makes a chat request of one of Responses, and leaves in it what it does not know.
    let takes = dialect == Dialect::OpenAiResponses && style.is_llama_cpp() && style.sampling_extensions;
    if let Some(native) = request.native.iter().find(|native| native.counts && !takes) {
        return Err(Refused::new(native.name.as_ref(), NOT_CARRIED));
    }
    match dialect {
        Dialect::OpenAiChat => openai_chat::write(request, model, style),
        Dialect::OpenAiResponses => openai_responses::write(request, model, style),
        Dialect::Anthropic => anthropic::write(request, model, style),
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
        (0..1000).for_each(|number| dropped.add(format!("field_{number}")));
        assert_eq!(dropped.header().unwrap().split(", ").count(), MOST_DROPPED);
    }

    #[test]
    fn a_long_name_of_a_user_is_told_as_a_short_one_that_stays_the_same() {
        let request =
            |user| Request { user: Some(User { id: Text::Plain(user), word: "user" }), ..Request::default() };
        let short = "u".repeat(USER_LIMIT);
        assert_eq!(request(&short).short_user().as_deref(), Some(short.as_str()));
        let (one, other) = ("u".repeat(65), "v".repeat(200));
        let told = [&one, &other, &one].map(|user| request(user).short_user().unwrap().into_owned());
        assert!(told.iter().all(|told| told.len() == USER_LIMIT), "{told:?}");
        assert!(told[0] == told[2] && told[0] != told[1], "{told:?}");
    }
}
