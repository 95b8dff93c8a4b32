//! The dialects: which API a client or a backend speaks, and how its streams are framed.

/// The API that a client or a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `POST /v1/chat/completions`.
    OpenAiChat,
    /// `POST /v1/completions`. Relayed to backends that speak it, never translated.
    OpenAiCompletions,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// `POST /v1/messages`.
    Anthropic,
    /// `POST /api/chat`.
    OllamaChat,
    /// `POST /api/generate`.
    OllamaGenerate,
}

/// How the events of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-Sent Events, WHATWG HTML section 9.2.
    Sse,
    /// One JSON object a line.
    Ndjson,
}

impl Dialect {
    pub const ALL: [Self; 6] = [
        Self::OpenAiChat,
        Self::OpenAiCompletions,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::OllamaChat,
        Self::OllamaGenerate,
    ];

    /// The dialect of a route.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.path() == path)
    }

    /// The route that a client asks and that a backend is asked at.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAiChat => "/v1/chat/completions",
            Self::OpenAiCompletions => "/v1/completions",
            Self::OpenAiResponses => "/v1/responses",
            Self::Anthropic => "/v1/messages",
            Self::OllamaChat => "/api/chat",
            Self::OllamaGenerate => "/api/generate",
        }
    }

    /// How a stream of this dialect is framed.
    pub fn framing(self) -> Framing {
        match self {
            Self::OpenAiChat | Self::OpenAiCompletions | Self::OpenAiResponses | Self::Anthropic => {
                Framing::Sse
            }
            Self::OllamaChat | Self::OllamaGenerate => Framing::Ndjson,
        }
    }

    /// What a request without `stream` means: Ollama streams, everyone else does not.
    pub fn streams_by_default(self) -> bool {
        self.framing() == Framing::Ndjson
    }

    /// What keeps a stream alive without being an event of the answer. One newline behind a comment: a blank line would end a
    /// block without data, which breaks openai-python behind an `id:`. One space: Ollama's clients read a blank line as broken
    /// JSON. Anthropic has an event for it.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Self::OpenAiChat | Self::OpenAiCompletions | Self::OpenAiResponses => b": keep-alive\n",
            Self::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Self::OllamaChat | Self::OllamaGenerate => b" ",
        }
    }

    /// What ends a stream whose last event does not say by itself that it is the last.
    pub fn terminator(self) -> &'static [u8] {
        match self {
            Self::OpenAiChat | Self::OpenAiCompletions => b"data: [DONE]\n\n",
            Self::Anthropic => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            Self::OpenAiResponses | Self::OllamaChat | Self::OllamaGenerate => b"",
        }
    }

    /// Does the event that tells a failure end the stream by itself? `response.failed` is terminal; behind the errors of the other
    /// dialects only the break of the body tells some clients that the answer is not complete.
    pub fn fails_properly(self) -> bool {
        match self {
            Self::OpenAiResponses => true,
            Self::OpenAiChat
            | Self::OpenAiCompletions
            | Self::Anthropic
            | Self::OllamaChat
            | Self::OllamaGenerate => false,
        }
    }

    /// Is usage sent only when the request asks for it (`stream_options`)?
    pub fn has_stream_options(self) -> bool {
        matches!(self, Self::OpenAiChat | Self::OpenAiCompletions)
    }
}

impl Framing {
    /// The media type of a stream. Without a charset: some hops compare it as a string.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}
