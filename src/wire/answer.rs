//! A whole answer, gathered from events: what a client that did not ask for a stream is given.

use bytes::BytesMut;

use crate::wire::citation::KeptCitation;
use crate::wire::event::{Block, Event, Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::json::Text;
use crate::wire::seal::{Seal, Sealed};

/// The blocks of an answer in order, its usage, and how it ended.
#[derive(Debug, Default)]
pub struct Answer {
    pub blocks: Vec<AnswerBlock>,
    pub usage: Option<Usage>,
    /// The stop sequence that ended it, where the backend named it; still escaped.
    pub stop_sequence: Option<String>,
    pub finish: Option<Finish>,
    pub failure: Option<Failure>,
    pub times: Times,
    /// Bytes held, to bound an answer.
    pub size: usize,
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
    Text {
        text: BytesMut,
        citations: Vec<KeptCitation>,
    },
    Reasoning {
        text: BytesMut,
        sealed: Option<KeptSeal>,
    },
    Refusal(BytesMut),
    /// Reasoning that only its vendor can read.
    Redacted(KeptSeal),
    /// The URL of a picture, still escaped.
    Picture(String),
    ToolCall {
        id: String,
        name: String,
        arguments: BytesMut,
    },
}

/// Something sealed that is kept, its data still escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSeal {
    seal: Seal,
    data: String,
}

impl KeptSeal {
    fn new(sealed: Sealed<'_>) -> Self {
        let mut data = String::new();
        sealed.data.write_into(&mut data);
        Self { seal: sealed.seal, data }
    }

    pub fn sealed(&self) -> Sealed<'_> {
        Sealed { seal: self.seal, data: Text::Escaped(&self.data) }
    }
}

impl AnswerBlock {
    pub fn new(block: Block<'_>) -> Self {
        match block {
            Block::Text => Self::Text { text: BytesMut::new(), citations: Vec::new() },
            Block::Reasoning => Self::Reasoning { text: BytesMut::new(), sealed: None },
            Block::Refusal => Self::Refusal(BytesMut::new()),
            Block::Redacted(sealed) => Self::Redacted(KeptSeal::new(sealed)),
            Block::Picture(url) => {
                let mut kept = String::new();
                url.write_into(&mut kept);
                Self::Picture(kept)
            }
            Block::ToolCall { id, name } => Self::ToolCall {
                id: id.plain().into_owned(),
                name: name.plain().into_owned(),
                arguments: BytesMut::new(),
            },
        }
    }

    /// About the bytes that are held for a block that has no text yet.
    pub(super) fn size(&self) -> usize {
        BLOCK
            + match self {
                Self::Redacted(kept) => kept.data.len(),
                Self::Picture(url) => url.len(),
                Self::Text { .. } | Self::Reasoning { .. } | Self::Refusal(_) | Self::ToolCall { .. } => 0,
            }
    }

    /// Adds a delta, a citation or a signature; gives the bytes that are held for it.
    pub(super) fn add(&mut self, event: &Event<'_>) -> usize {
        match (event, self) {
            (
                Event::Delta { text, .. },
                Self::Text { text: buffer, .. }
                | Self::Refusal(buffer)
                | Self::Reasoning { text: buffer, .. }
                | Self::ToolCall { arguments: buffer, .. },
            ) => {
                let before = buffer.len();
                text.write(buffer);
                buffer.len() - before
            }
            (Event::Citation { citation, .. }, Self::Text { citations, .. }) => {
                let kept = KeptCitation::new(citation);
                let size = kept.size() + BLOCK;
                citations.push(kept);
                size
            }
            (Event::Signature { sealed: new, .. }, Self::Reasoning { sealed, .. }) => {
                let kept = KeptSeal::new(*new);
                let size = kept.data.len();
                *sealed = Some(kept);
                size
            }
            _ => 0,
        }
    }

    /// Emits the block as the events that it was made of, but for its end.
    pub(super) fn replay(&self, index: u32, emit: &mut impl FnMut(&Event<'_>)) {
        let block = match self {
            Self::Text { .. } => Block::Text,
            Self::Reasoning { .. } => Block::Reasoning,
            Self::Refusal(_) => Block::Refusal,
            Self::Redacted(kept) => Block::Redacted(kept.sealed()),
            Self::Picture(url) => Block::Picture(Text::Escaped(url)),
            Self::ToolCall { id, name, .. } => {
                Block::ToolCall { id: Text::Plain(id), name: Text::Plain(name) }
            }
        };
        emit(&Event::Open { index, block });
        if !self.is_empty() {
            emit(&Event::Delta { index, text: Text::Escaped(self.escaped()) });
        }
        for kept in self.citations() {
            emit(&Event::Citation { index, citation: kept.citation() });
        }
        if let Self::Reasoning { sealed: Some(kept), .. } = self {
            emit(&Event::Signature { index, sealed: kept.sealed() });
        }
    }

    /// The block's text, still escaped.
    pub fn escaped(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Has it no text? Asked with every delta, so the text is not read for it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text { text: buffer, .. }
            | Self::Refusal(buffer)
            | Self::Reasoning { text: buffer, .. } => buffer,
            Self::ToolCall { arguments, .. } => arguments,
            Self::Redacted(_) | Self::Picture(_) => &[],
        }
    }

    /// The pages that the block's text leans on.
    pub fn citations(&self) -> &[KeptCitation] {
        match self {
            Self::Text { citations, .. } => citations,
            Self::Reasoning { .. }
            | Self::Refusal(_)
            | Self::Redacted(_)
            | Self::Picture(_)
            | Self::ToolCall { .. } => &[],
        }
    }
}

/// About what a block or a citation costs beside its texts.
pub(super) const BLOCK: usize = 64;

impl Answer {
    /// Adds what `event`, which came at a time, says.
    pub fn add(&mut self, event: &Event<'_>, at: Timestamp) {
        self.times.note(event, at);
        match event {
            Event::Open { block, .. } => {
                let block = AnswerBlock::new(*block);
                self.size += block.size();
                self.blocks.push(block);
            }
            Event::Delta { index, .. } | Event::Citation { index, .. } | Event::Signature { index, .. } => {
                let block = usize::try_from(*index).ok().and_then(|at| self.blocks.get_mut(at));
                if let Some(block) = block {
                    self.size += block.add(event);
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::StopSequence(text) => text.write_into(self.stop_sequence.insert(String::new())),
            Event::Finish(finish) => self.finish = Some(*finish),
            Event::Fail(failure) => self.failure = Some(failure.clone()),
            Event::Start | Event::Close { .. } | Event::Other { .. } | Event::Aside { .. } => {}
        }
    }

    /// The text of all blocks of one kind, one behind the other; `None` if there is none.
    pub fn joined(&self, kind: fn(&AnswerBlock) -> bool) -> Option<String> {
        let mut blocks = self.blocks.iter().filter(|block| kind(block)).peekable();
        blocks.peek()?;
        Some(blocks.map(AnswerBlock::escaped).collect())
    }

    /// The URLs of the pictures, in order.
    pub fn pictures(&self) -> impl Iterator<Item = Text<'_>> {
        self.blocks.iter().filter_map(|block| match block {
            AnswerBlock::Picture(url) => Some(Text::Escaped(url)),
            AnswerBlock::Text { .. }
            | AnswerBlock::Reasoning { .. }
            | AnswerBlock::Refusal(_)
            | AnswerBlock::Redacted(_)
            | AnswerBlock::ToolCall { .. } => None,
        })
    }

    /// The tool calls in order: id, name, arguments as an escaped text.
    pub fn tool_calls(&self) -> impl Iterator<Item = (&str, &str, Text<'_>)> {
        self.blocks.iter().filter_map(|block| match block {
            AnswerBlock::ToolCall { id, name, .. } => {
                Some((id.as_str(), name.as_str(), Text::Escaped(block.escaped())))
            }
            AnswerBlock::Text { .. }
            | AnswerBlock::Reasoning { .. }
            | AnswerBlock::Refusal(_)
            | AnswerBlock::Redacted(_)
            | AnswerBlock::Picture(_) => None,
        })
    }
}
