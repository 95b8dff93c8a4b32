//! Ollama's own API, `/api/chat` and `/api/generate`: requests read and written, streams decoded and encoded, whole answers
//! written.

mod decode;
mod encode;
mod parse;
mod progress;
mod turns;
mod whole;
mod write;

pub use decode::Decoder;
pub use encode::{Encoder, silent_line};
pub use parse::{parse_chat, parse_generate};
pub use progress::Progress;
pub use whole::{read_usage, whole};
pub use write::write;

/// Which of the two routes: they differ in where the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Chat,
    Generate,
}
