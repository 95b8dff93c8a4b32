//! Decoders and encoders: one of each per dialect, none for a pair of dialects.

use bytes::Bytes;

use crate::wire::answer::Answer;
use crate::wire::dialect::Dialect;
use crate::wire::event::{Event, Timestamp};
use crate::wire::frame::{Frame, Frames};
use crate::wire::request::Style;
use crate::wire::{ollama, openai_chat};

/// What an answer made here is called: the same in every frame of it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Random, without a dialect's prefix.
    pub id: String,
    /// The model as the client called it.
    pub model: String,
    /// When the request came.
    pub started: Timestamp,
}

/// Is there more to come?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    More,
    /// The dialect's terminator: nothing behind it counts.
    Ended,
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
    #[error("the arguments of the tool call `{name}` are not a JSON object")]
    Arguments { name: String },
}

/// Reads the frames of a backend's stream.
pub trait Decode {
    /// Emits what one frame says.
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError>;

    /// The body has ended cleanly without a terminator. Was the answer complete all the same?
    fn complete(&self) -> bool;
}

/// Writes the frames of a client's stream.
pub trait Encode {
    /// Writes what `event` is in this dialect: no, one or several frames.
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError>;

    /// Writes the end of an answer that ended well.
    fn finish(&mut self, at: Timestamp, out: &mut Frames);
}

/// The decoder of a backend's dialect.
#[derive(Debug)]
pub enum Decoder {
    OpenAi(openai_chat::Decoder),
    Ollama(ollama::Decoder),
}

impl Decoder {
    /// `seed` makes the ids of tool calls that the backend gave none.
    pub fn new(dialect: Dialect, seed: &str) -> Self {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => Self::OpenAi(openai_chat::Decoder::new(seed)),
            Dialect::OllamaChat | Dialect::OllamaGenerate => Self::Ollama(ollama::Decoder::new(seed)),
        }
    }
}

impl Decoder {
    /// Was the last frame there for nothing but usage that has to be asked for?
    pub fn usage_alone(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.usage_alone(),
            Self::Ollama(_) => false,
        }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, frame: &Frame, emit: &mut dyn FnMut(Event<'_>)) -> Result<Flow, DecodeError> {
        match self {
            Self::OpenAi(decoder) => decoder.decode(frame, emit),
            Self::Ollama(decoder) => decoder.decode(frame, emit),
        }
    }

    fn complete(&self) -> bool {
        match self {
            Self::OpenAi(decoder) => decoder.complete(),
            Self::Ollama(decoder) => decoder.complete(),
        }
    }
}

/// The encoder of a client's dialect.
#[derive(Debug)]
pub enum Encoder {
    OpenAiChat(openai_chat::Encoder),
    Ollama(ollama::Encoder),
}

impl Encoder {
    /// `None` for a dialect that is only relayed.
    pub fn new(dialect: Dialect, identity: &Identity, style: Style) -> Option<Self> {
        Some(match dialect {
            Dialect::OpenAiChat => Self::OpenAiChat(openai_chat::Encoder::new(identity, style)),
            Dialect::OpenAiCompletions => return None,
            Dialect::OllamaChat => Self::Ollama(ollama::Encoder::new(identity, ollama::Shape::Chat)),
            Dialect::OllamaGenerate => Self::Ollama(ollama::Encoder::new(identity, ollama::Shape::Generate)),
        })
    }
}

impl Encode for Encoder {
    fn encode(&mut self, event: &Event<'_>, at: Timestamp, out: &mut Frames) -> Result<(), EncodeError> {
        match self {
            Self::OpenAiChat(encoder) => encoder.encode(event, at, out),
            Self::Ollama(encoder) => encoder.encode(event, at, out),
        }
    }

    fn finish(&mut self, at: Timestamp, out: &mut Frames) {
        match self {
            Self::OpenAiChat(encoder) => encoder.finish(at, out),
            Self::Ollama(encoder) => encoder.finish(at, out),
        }
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
        Dialect::OpenAiCompletions => return None,
        Dialect::OllamaChat => ollama::whole(answer, identity, ollama::Shape::Chat, at),
        Dialect::OllamaGenerate => ollama::whole(answer, identity, ollama::Shape::Generate, at),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIALECTS: [Dialect; 4] =
        [Dialect::OpenAiChat, Dialect::OpenAiCompletions, Dialect::OllamaChat, Dialect::OllamaGenerate];

    /// Something that is nearly an event.
    const NEARLY: &str = r#"\{"(choices|message|error|usage|response)": ?(\[\{"(delta|text|index)": ?("[a-z\\"]{0,6}"|\{\}|7|null|\[\{"function":\{"name":"f","arguments":"\{"\}\}\])\}\]|\{\}|null|"x"|-1),? ?("done":true)?\}?"#;

    proptest! {
        #[test]
        fn no_payload_panics_a_decoder_and_what_is_decoded_can_be_encoded(
            payloads in proptest::collection::vec(prop_oneof![Just(String::from("[DONE]")), ".*", NEARLY], 1..8)
        ) {
            let identity = Identity { id: "x".into(), model: "m".into(), started: Timestamp::default() };
            for (from, to) in DIALECTS.into_iter().flat_map(|from| DIALECTS.map(|to| (from, to))) {
                let mut decoder = Decoder::new(from, "x");
                let Some(mut encoder) = Encoder::new(to, &identity, Style::default()) else { continue };
                let mut frames = Frames::default();
                for payload in &payloads {
                    let data = Bytes::copy_from_slice(payload.as_bytes());
                    let frame = Frame { raw: data.clone(), event: None, data };
                    let flow = decoder.decode(&frame, &mut |event| {
                        drop(encoder.encode(&event, Timestamp::default(), &mut frames));
                    });
                    drop(flow);
                }
                encoder.finish(Timestamp::default(), &mut frames);
                for frame in frames.drain() {
                    let text = std::str::from_utf8(&frame).unwrap();
                    let json = text.trim_end().trim_start_matches("data: ");
                    prop_assert!(json == "[DONE]" || serde_json::from_str::<serde_json::Value>(json).is_ok(), "{}", text);
                }
            }
        }
    }
}
