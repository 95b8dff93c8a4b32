//! What the fuzz targets share: a stream of a backend on its way to clients of every dialect, and other readers of what they read.

mod answers;
pub mod events;
pub mod members;
pub mod plain;

pub use answers::translate;
use bytes::Bytes;
use streamgate::wire::{Dialect, Frame, Splitter};

/// The dialects that are translated.
pub const DIALECTS: [Dialect; 5] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::OllamaChat,
    Dialect::OllamaGenerate,
];

/// The largest event that is taken.
const LIMIT: usize = 1 << 16;

/// The frames of a body that comes in pieces of `size` bytes, and what was left behind the last.
pub fn frames(dialect: Dialect, body: &[u8], size: usize) -> Vec<Frame> {
    let mut splitter = Splitter::new(dialect.framing(), LIMIT);
    let mut frames = Vec::new();
    for piece in body.chunks(size.max(1)) {
        splitter.push(Bytes::copy_from_slice(piece));
        loop {
            match splitter.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames.extend(splitter.finish());
    frames
}

/// What is written must be whole frames.
fn check(dialect: Dialect, written: &[u8]) {
    let mut splitter = Splitter::new(dialect.framing(), usize::MAX >> 1);
    splitter.push(Bytes::copy_from_slice(written));
    while let Ok(Some(frame)) = splitter.next_frame() {
        assert!(frame.is_complete(), "{dialect:?}: {frame:?}");
    }
    assert_eq!(splitter.finish(), None, "{dialect:?}: something is left behind the last frame");
}
