//! What the fuzz targets share: a stream of a backend on its way to clients of every dialect, and other readers of what they read.

pub mod events;
pub mod members;
pub mod plain;

use bytes::Bytes;
use streamgate::wire::{
    Decode as _, Decoder, Dialect, Encode as _, Encoder, Flow, Frame, Frames, Identity, Splitter, Style,
    Timestamp,
};

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

/// Decodes a body of `from`, and encodes what it says for every client. What is written must be whole frames of lawful JSON.
pub fn translate(from: Dialect, body: &[u8]) {
    let frames = frames(from, body, usize::MAX);
    for to in DIALECTS {
        let identity = Identity { id: "x".into(), model: "m".into(), ..Identity::default() };
        let Some(mut encoder) = Encoder::new(to, &identity, Style { usage: true, ..Style::default() }) else {
            continue;
        };
        let mut decoder = Decoder::new(from, "s");
        let mut out = Frames::default();
        for frame in &frames {
            let flow = decoder.decode(frame, &mut |event| {
                drop(encoder.encode(&event, Timestamp::default(), &mut out));
            });
            if !matches!(flow, Ok(Flow::More)) {
                break;
            }
        }
        encoder.finish(Timestamp::default(), &mut out);
        check(to, &out.joined());
    }
}

fn check(dialect: Dialect, written: &[u8]) {
    let mut splitter = Splitter::new(dialect.framing(), usize::MAX >> 1);
    splitter.push(Bytes::copy_from_slice(written));
    while let Ok(Some(frame)) = splitter.next_frame() {
        assert!(frame.is_complete(), "{dialect:?}: {frame:?}");
    }
    assert_eq!(splitter.finish(), None, "{dialect:?}: something is left behind the last frame");
}
