//! Keep-alives that are events: many clients have a clock that comments do not wind. Each of these says nothing new.

use bytes::Bytes;
use serde::Deserialize;

use crate::wire::codec::Identity;
use crate::wire::dialect::Dialect;
use crate::wire::event::Timestamp;
use crate::wire::frame::Frames;
use crate::wire::json::{Field, Object, Text};
use crate::wire::ollama::{self, silent_line};
use crate::wire::openai_responses::{Echo, Snapshot};

/// As what a stream is kept alive where nothing comes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum KeepAliveAs {
    /// By comments where clients expect none but events; and by an event where a clock of theirs is known that only events wind:
    /// in Responses always, in chat streams once a minute.
    #[default]
    Auto,
    /// By comments alone.
    Comment,
    /// By events alone.
    Event,
}

impl KeepAliveAs {
    /// Reads what a client says.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auto" => Self::Auto,
            "comment" => Self::Comment,
            "event" => Self::Event,
            _ => return None,
        })
    }
}

/// The events that keep one stream alive.
#[derive(Debug)]
pub struct Pulse {
    events: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Chunks {
        shape: &'static Shape,
        identity: Box<Identity>,
        /// A chunk of the stream: the others are called as it is.
        like: Option<Bytes>,
    },
    Responses(Box<Snapshot>),
    Lines {
        shape: ollama::Shape,
        identity: Box<Identity>,
    },
}

/// What a chunk that says nothing looks like.
#[derive(Debug)]
struct Shape {
    prefix: &'static str,
    object: &'static str,
    choices: &'static str,
}

const CHAT: Shape = Shape {
    prefix: "chatcmpl",
    object: "chat.completion.chunk",
    choices: r#"[{"index":0,"delta":{},"finish_reason":null}]"#,
};
const COMPLETIONS: Shape = Shape {
    prefix: "cmpl",
    object: "text_completion",
    choices: r#"[{"index":0,"text":"","logprobs":null,"finish_reason":null}]"#,
};

/// An event that is larger than this takes the place of a comment only where one is due.
const LIGHT: usize = 16 << 10;

impl Pulse {
    /// `None`: there is no event for it, or none is wanted. Anthropic's keep-alive is one by itself.
    pub fn new(dialect: Dialect, identity: &Identity, wanted: KeepAliveAs) -> Option<Self> {
        let events = wanted == KeepAliveAs::Event;
        let identity = || Box::new(Identity { echo: Echo::default(), ..identity.clone() });
        let kind = match dialect {
            _ if wanted == KeepAliveAs::Comment => return None,
            Dialect::OpenAiChat => Kind::Chunks { shape: &CHAT, identity: identity(), like: None },
            Dialect::OpenAiCompletions => {
                Kind::Chunks { shape: &COMPLETIONS, identity: identity(), like: None }
            }
            Dialect::OpenAiResponses => Kind::Responses(Box::default()),
            Dialect::OllamaChat if events => Kind::Lines { shape: ollama::Shape::Chat, identity: identity() },
            Dialect::OllamaGenerate if events => {
                Kind::Lines { shape: ollama::Shape::Generate, identity: identity() }
            }
            Dialect::Anthropic | Dialect::OllamaChat | Dialect::OllamaGenerate => return None,
        };
        Some(Self { events, kind })
    }

    /// Takes a frame that the client sees.
    pub fn see(&mut self, frame: &Bytes) {
        match &mut self.kind {
            Kind::Chunks { like: Some(_), .. } | Kind::Lines { .. } => {}
            Kind::Chunks { like, .. } => *like = Some(frame.clone()),
            Kind::Responses(snapshot) => snapshot.see(frame.clone()),
        }
    }

    /// Does an event take the place of every comment? Else only where a client must see one.
    pub fn is_steady(&self) -> bool {
        self.events || matches!(&self.kind, Kind::Responses(snapshot) if snapshot.size() <= LIGHT)
    }

    /// An event that changes nothing; `None` where there is none now.
    pub fn event(&mut self, at: Timestamp) -> Option<Bytes> {
        match &mut self.kind {
            Kind::Chunks { shape, identity, like } => Some(chunk(shape, identity, like.as_deref())),
            Kind::Responses(snapshot) => snapshot.event(),
            Kind::Lines { shape, identity } => Some(silent_line(identity, *shape, at)),
        }
    }
}

/// A chunk without anything in its delta. Not even a role: openai-python puts two of them together to `assistantassistant`.
fn chunk(shape: &Shape, identity: &Identity, like: Option<&[u8]>) -> Bytes {
    #[derive(Default, Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        id: Field<'a>,
        #[serde(borrow, default)]
        created: Field<'a>,
        #[serde(borrow, default)]
        model: Field<'a>,
    }
    let mut lines = like.unwrap_or_default().split(|byte| *byte == b'\n');
    let named = lines.find_map(|line| serde_json::from_slice(line.strip_prefix(b"data:")?).ok());
    let Named { id, created, model } = named.unwrap_or_default();
    let mut frames = Frames::default();
    let out = frames.buffer();
    out.extend_from_slice(b"data: ");
    let mut chunk = Object::new(out);
    let own = format!("{}-{}", shape.prefix, identity.id);
    chunk.text("id", id.text().unwrap_or(Text::Plain(&own))).text("object", Text::Plain(shape.object));
    chunk.number("created", created.whole().unwrap_or_else(|| identity.started.seconds()));
    chunk.text("model", model.text().unwrap_or(Text::Plain(&identity.model)));
    chunk.raw("choices", shape.choices);
    chunk.end();
    frames.buffer().extend_from_slice(b"\n\n");
    frames.joined()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn identity() -> Identity {
        Identity {
            id: "q7".into(),
            model: "lake".into(),
            started: Timestamp(5_000_000_000),
            ..Identity::default()
        }
    }

    fn data(event: &[u8]) -> Value {
        let text = std::str::from_utf8(event).unwrap();
        serde_json::from_str(text.strip_prefix("data: ").unwrap_or(text).trim_end()).unwrap()
    }

    #[test]
    fn a_chunk_that_says_nothing_is_called_as_the_others_are() {
        let mut pulse = Pulse::new(Dialect::OpenAiChat, &identity(), KeepAliveAs::Auto).unwrap();
        let nothing = json!([{"index": 0, "delta": {}, "finish_reason": null}]);
        let mut chunk = json!({
            "id": "chatcmpl-q7", "object": "chat.completion.chunk", "created": 5, "model": "lake", "choices": nothing
        });
        assert_eq!(data(&pulse.event(Timestamp(0)).unwrap()), chunk);
        pulse.see(&Bytes::from_static(
            b"data: {\"id\":\"c-9\",\"created\":7,\"model\":\"m\",\"choices\":[]}\n\n",
        ));
        (chunk["id"], chunk["created"], chunk["model"]) = (json!("c-9"), json!(7), json!("m"));
        assert_eq!(data(&pulse.event(Timestamp(0)).unwrap()), chunk);
        assert!(!pulse.is_steady());
    }

    #[test]
    fn each_dialect_has_an_event_where_one_is_wanted() {
        for dialect in Dialect::ALL {
            assert!(Pulse::new(dialect, &identity(), KeepAliveAs::Comment).is_none(), "{dialect:?}");
            let pulse = Pulse::new(dialect, &identity(), KeepAliveAs::Event);
            assert!(pulse.as_ref().is_none_or(Pulse::is_steady), "{dialect:?}");
            let event = pulse.and_then(|mut pulse| pulse.event(Timestamp(0)));
            match dialect {
                Dialect::OpenAiChat => assert!(event.is_some()),
                Dialect::OpenAiCompletions => assert_eq!(data(&event.unwrap())["choices"][0]["text"], ""),
                Dialect::OpenAiResponses | Dialect::Anthropic => assert_eq!(event, None, "{dialect:?}"),
                Dialect::OllamaChat => {
                    let line = data(&event.unwrap());
                    assert_eq!((&line["message"]["content"], &line["done"]), (&json!(""), &json!(false)));
                }
                Dialect::OllamaGenerate => assert_eq!(data(&event.unwrap())["response"], ""),
            }
        }
    }
}
