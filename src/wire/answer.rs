//! A whole answer, gathered from events: what a client that did not ask for a stream is given.

use bytes::BytesMut;

use crate::wire::event::{Block, Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::json::Text;

/// The blocks of an answer in order, its usage, and how it ended.
#[derive(Debug, Default)]
pub struct Answer {
    pub blocks: Vec<AnswerBlock>,
    pub usage: Option<Usage>,
    pub finish: Option<Finish>,
    pub failure: Option<Failure>,
    pub times: Times,
}

/// When the backend began to answer and when its first content came, for dialects that tell how long things took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub loaded: Option<Timestamp>,
    pub first: Option<Timestamp>,
}

impl Times {
    /// An event came.
    pub fn note(&mut self, event: &Event<'_>, at: Timestamp) {
        self.loaded.get_or_insert(at);
        if matches!(event, Event::Delta { .. }) {
            self.first.get_or_insert(at);
        }
    }
}

/// One block with all its text, as the inside of a JSON string: halves of surrogate pairs join by standing side by side.
#[derive(Debug)]
pub enum AnswerBlock {
    Text(BytesMut),
    Reasoning(BytesMut),
    Refusal(BytesMut),
    /// Reasoning that only its vendor can read.
    Redacted(String),
    ToolCall {
        id: String,
        name: String,
        arguments: BytesMut,
    },
}

impl AnswerBlock {
    fn new(block: Block<'_>) -> Self {
        match block {
            Block::Text => Self::Text(BytesMut::new()),
            Block::Reasoning => Self::Reasoning(BytesMut::new()),
            Block::Refusal => Self::Refusal(BytesMut::new()),
            Block::Redacted { data } => Self::Redacted(data.plain().into_owned()),
            Block::ToolCall { id, name } => Self::ToolCall {
                id: id.plain().into_owned(),
                name: name.plain().into_owned(),
                arguments: BytesMut::new(),
            },
        }
    }

    fn buffer(&mut self) -> Option<&mut BytesMut> {
        match self {
            Self::Text(buffer) | Self::Reasoning(buffer) | Self::Refusal(buffer) => Some(buffer),
            Self::ToolCall { arguments, .. } => Some(arguments),
            Self::Redacted(_) => None,
        }
    }

    /// The block's text, still escaped.
    pub fn escaped(&self) -> &str {
        let bytes = match self {
            Self::Text(buffer) | Self::Reasoning(buffer) | Self::Refusal(buffer) => buffer,
            Self::ToolCall { arguments, .. } => arguments,
            Self::Redacted(_) => return "",
        };
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Answer {
    /// Adds what `event`, which came at a time, says.
    pub fn add(&mut self, event: &Event<'_>, at: Timestamp) {
        self.times.note(event, at);
        match event {
            Event::Open { block, .. } => self.blocks.push(AnswerBlock::new(*block)),
            Event::Delta { index, text } => {
                let block = usize::try_from(*index).ok().and_then(|at| self.blocks.get_mut(at));
                if let Some(buffer) = block.and_then(AnswerBlock::buffer) {
                    text.write(buffer);
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish = Some(*finish),
            Event::Fail(failure) => self.failure = Some(failure.clone()),
            Event::Start | Event::Signature { .. } | Event::Close { .. } | Event::Other => {}
        }
    }

    /// Bytes held, to bound an answer.
    pub fn size(&self) -> usize {
        self.blocks.iter().map(|block| block.escaped().len() + 64).sum()
    }

    /// The text of all blocks of one kind, one behind the other; `None` if there is none.
    pub fn joined(&self, kind: fn(&AnswerBlock) -> bool) -> Option<String> {
        let mut blocks = self.blocks.iter().filter(|block| kind(block)).peekable();
        blocks.peek()?;
        Some(blocks.map(AnswerBlock::escaped).collect())
    }

    /// The tool calls in order: id, name, arguments as an escaped text.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str, Text<'_>)> {
        self.blocks.iter().filter_map(|block| match block {
            AnswerBlock::ToolCall { id, name, .. } => {
                Some((id.as_str(), name.as_str(), Text::Escaped(block.escaped())))
            }
            AnswerBlock::Text(_)
            | AnswerBlock::Reasoning(_)
            | AnswerBlock::Refusal(_)
            | AnswerBlock::Redacted(_) => None,
        })
    }
}
