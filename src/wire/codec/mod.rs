//! Decoders and encoders: one of each per dialect, none for a pair of dialects.

use bytes::Bytes;

use crate::wire::answer::Answer;
use crate::wire::dialect::Dialect;
use crate::wire::event::{Event, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::frame::{Frame, Frames};
use crate::wire::halves::Halves;
use crate::wire::numbers::finite;
use crate::wire::openai_responses::Echo;
use crate::wire::request::Style;
use crate::wire::{anthropic, ollama, openai_chat, openai_responses};

/// What an answer made here is called: the same in every frame of it.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Random, without a dialect's prefix.
    pub id: String,
    /// The model as the client called it.
    pub model: String,
    /// When the request came.
    pub started: Timestamp,
    /// What the answer repeats of its request.
    pub echo: Echo,
}

/// Is there more to come?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    More,
    /// The dialect's terminator: nothing behind it counts.
    Ended,
    /// The terminator of an answer that was not complete: somebody before us has hidden that it broke off.
    Truncated,
}

/// A frame that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("an event of the backend is not the JSON it should be")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Order(&'static str),
}

/// An event that the client's dialect cannot carry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("the arguments of the tool call `{name}` are not what they should be: {wanted}")]
    Arguments { name: String, wanted: &'static str },
    #[error("the answer asks the client for something that this API cannot tell it: `{name}`")]
    Awaited { name: String },
    #[error("the answer holds nothing that this API can tell; it was `{names}`")]
    Unseen { names: String },
    #[error("the answer is not the summary that was asked for: it is empty")]
    NoSummary,
}

/// Reads the frames of a backend's stream.
pub trait Decode {
    /// Emits what one frame says.
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError>;

    /// Is the answer complete if nothing more comes, not even its terminator?
    fn complete(&self) -> bool;

    /// A complete answer has ended without its terminator: emits what was waiting for that.
    fn end(&mut self, emit: &mut dyn FnMut(Event<'_>));

    /// Bytes of the answer that are kept for later, to bound them.
    fn held(&self) -> usize {
        0
    }

    /// What ends a stream of the backend's own dialect that breaks off here.
    fn last_words(&self, failure: &Failure) -> Bytes;
}

/// Writes the frames of a client's stream.
pub trait Encode {
    /// Writes what `event` is in this dialect: no, one or several frames.
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError>;

    /// Bytes of the answer that are kept for later, to bound them.
    fn held(&self) -> usize {
        0
    }

    /// Writes the end of an answer that ended well.
    fn finish(&mut self, at: Timestamp, out: &mut Frames);

    /// Writes the end of an answer that failed.
    fn fail(&mut self, failure: &Failure, out: &mut Frames);
}

/// The decoder of a backend's dialect.
#[derive(Debug)]
pub enum Decoder {
    OpenAi(openai_chat::Decoder),
    OpenAiResponses(openai_responses::Decoder),
    Anthropic(anthropic::Decoder),
    Ollama(ollama::Decoder),
}

impl Decoder {
    /// `seed` makes the ids of tool calls that the backend gave none.
    pub fn new(dialect: Dialect, seed: &str) -> Self {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => Self::OpenAi(openai_chat::Decoder::new(seed)),
            Dialect::OpenAiResponses => Self::OpenAiResponses(openai_responses::Decoder::new(seed)),
            Dialect::Anthropic => Self::Anthropic(anthropic::Decoder::new(seed)),
            Dialect::OllamaChat | Dialect::OllamaGenerate => Self::Ollama(ollama::Decoder::new(seed)),
        }
    }
}

impl Decoder {
    /// The answer ends at so many tokens, and its server does not say so.
    pub fn limited(&mut self, limit: Option<u64>) {
        if let Self::OpenAiResponses(decoder) = self {
            decoder.limited(limit);
        }
    }

    fn decode_lawful(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(frame, emit),
            Self::OpenAiResponses(decoder) => decoder.decode(frame, emit),
            Self::Anthropic(decoder) => decoder.decode(frame, emit),
            Self::Ollama(decoder) => decoder.decode(frame, emit),
        }
    }

    /// Was the last frame there for nothing but usage that has to be asked for?
    pub fn usage_alone(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.usage_alone(),
            Self::OpenAiResponses(_) | Self::Anthropic(_) | Self::Ollama(_) => false,
        }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        if frame.data.len() == b"null".len() && frame.data == b"null"[..] {
            return Ok(Flow::More); // llama.cpp begins each prompt but the first so
        }
        match self.decode_lawful(frame, emit) {
            // Nothing was emitted of what is not JSON.
            Err(DecodeError::Json(error)) => match finite(&frame.data) {
                Some(data) => self.decode_lawful(&Frame { data: data.into(), ..frame.clone() }, emit),
                None => Err(DecodeError::Json(error)),
            },
            decoded => decoded,
        }
    }

    fn complete(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.complete(),
            Self::OpenAiResponses(decoder) => decoder.complete(),
            Self::Anthropic(decoder) => decoder.complete(),
            Self::Ollama(decoder) => decoder.complete(),
        }
    }

    fn end(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        match self {
            Self::OpenAi(decoder) => decoder.end(emit),
            Self::OpenAiResponses(decoder) => decoder.end(emit),
            Self::Anthropic(decoder) => decoder.end(emit),
            Self::Ollama(decoder) => decoder.end(emit),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::OpenAi(decoder) => decoder.held(),
            Self::OpenAiResponses(decoder) => decoder.held(),
            Self::Anthropic(decoder) => decoder.held(),
            Self::Ollama(decoder) => decoder.held(),
        }
    }

    fn last_words(&self, failure: &Failure) -> Bytes {
        match self {
            Self::OpenAi(decoder) => decoder.last_words(failure),
            Self::OpenAiResponses(decoder) => decoder.last_words(failure),
            Self::Anthropic(decoder) => decoder.last_words(failure),
            Self::Ollama(decoder) => decoder.last_words(failure),
        }
    }
}

/// The encoder of a client's dialect.
#[derive(Debug)]
pub struct Encoder {
    halves: Halves,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    OpenAiChat(openai_chat::Encoder),
    OpenAiResponses(openai_responses::Encoder),
    Anthropic(anthropic::Encoder),
    Ollama(ollama::Encoder),
}

impl Encoder {
    /// `None` for a dialect that is only relayed.
    pub fn new(dialect: Dialect, identity: &Identity, style: Style) -> Option<Self> {
        let writer = match dialect {
            Dialect::OpenAiChat => Writer::OpenAiChat(openai_chat::Encoder::new(identity, style)),
            Dialect::OpenAiCompletions => return None,
            Dialect::OpenAiResponses => Writer::OpenAiResponses(openai_responses::Encoder::new(identity)),
            Dialect::Anthropic => Writer::Anthropic(anthropic::Encoder::new(identity)),
            Dialect::OllamaChat => Writer::Ollama(ollama::Encoder::new(identity, ollama::Shape::Chat)),
            Dialect::OllamaGenerate => {
                Writer::Ollama(ollama::Encoder::new(identity, ollama::Shape::Generate))
            }
        };
        Some(Self { halves: Halves::default(), writer })
    }
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        let Self { halves, writer } = self;
        let mut result = Ok(());
        halves.pass(event, |event| {
            if result.is_ok() {
                result = writer.encode(event, at, out);
            }
        });
        result
    }

    fn held(&self) -> usize {
        self.writer.held()
    }

    fn finish(&mut self, at: Timestamp, out: &mut Frames) {
        self.writer.finish(at, out);
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        self.writer.fail(failure, out);
    }
}

impl Encode for Writer {
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        match self {
            Self::OpenAiChat(encoder) => encoder.encode(event, at, out),
            Self::OpenAiResponses(encoder) => encoder.encode(event, at, out),
            Self::Anthropic(encoder) => encoder.encode(event, at, out),
            Self::Ollama(encoder) => encoder.encode(event, at, out),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::OpenAiChat(encoder) => encoder.held(),
            Self::OpenAiResponses(encoder) => encoder.held(),
            Self::Anthropic(encoder) => encoder.held(),
            Self::Ollama(encoder) => encoder.held(),
        }
    }

    fn finish(&mut self, at: Timestamp, out: &mut Frames) {
        match self {
            Self::OpenAiChat(encoder) => encoder.finish(at, out),
            Self::OpenAiResponses(encoder) => encoder.finish(at, out),
            Self::Anthropic(encoder) => encoder.finish(at, out),
            Self::Ollama(encoder) => encoder.finish(at, out),
        }
    }

    fn fail(&mut self, failure: &Failure, out: &mut Frames) {
        match self {
            Self::OpenAiChat(encoder) => encoder.fail(failure, out),
            Self::OpenAiResponses(encoder) => encoder.fail(failure, out),
            Self::Anthropic(encoder) => encoder.fail(failure, out),
            Self::Ollama(encoder) => encoder.fail(failure, out),
        }
    }
}

/// The whole stream of an answer that failed before anything was written of it.
pub fn failed(dialect: Dialect, identity: &Identity, style: Style, failure: &Failure) -> Bytes {
    match Encoder::new(dialect, identity, style) {
        Some(mut encoder) => {
            let mut frames = Frames::default();
            encoder.fail(failure, &mut frames);
            frames.joined()
        }
        None => failure.frame(dialect),
    }
}

/// The usage of a whole answer in `dialect`, for the meter; `None` if it has none.
pub fn read_usage(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => openai_chat::read_usage(body),
        Dialect::OpenAiResponses => openai_responses::read_usage(body),
        Dialect::Anthropic => anthropic::read_usage(body),
        Dialect::OllamaChat | Dialect::OllamaGenerate => ollama::read_usage(body),
    }
}

/// A whole answer in `dialect`; `None` for a dialect that is only relayed.
pub fn whole(
    dialect: Dialect,
    answer: &Answer,
    identity: &Identity,
    style: Style,
    at: Timestamp,
) -> Option<Result<Bytes, EncodeError>> {
    Some(match dialect {
        Dialect::OpenAiChat => Ok(openai_chat::whole(answer, identity, style)),
        Dialect::OpenAiResponses => openai_responses::whole(answer, identity, at),
        Dialect::Anthropic => anthropic::whole(answer, identity),
        Dialect::OpenAiCompletions => return None,
        Dialect::OllamaChat => ollama::whole(answer, identity, ollama::Shape::Chat, at),
        Dialect::OllamaGenerate => ollama::whole(answer, identity, ollama::Shape::Generate, at),
    })
}

#[cfg(test)]
mod tests;
