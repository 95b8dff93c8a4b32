//! The dialects on the wire, without input or output: bytes in, events out, and back. No runtime, no client, no clock and no
//! randomness is named here, so that everything below can be tested and fuzzed alone.
//!
//! ```text
//! bytes → Splitter → Frame → Decoder → Event → Encoder → Frames (a stream)
//!                                            → Answer  → Bytes  (a whole answer)
//! body  → Envelope (peek) → Request → body of another dialect
//! ```

mod answer;
mod buffer;
mod codec;
mod dialect;
mod envelope;
mod event;
mod failure;
mod frame;
pub mod json;
mod ndjson;
pub mod ollama;
pub mod openai_chat;
mod request;
mod splitter;
mod sse;

pub use answer::{Answer, AnswerBlock, Times};
pub use codec::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Flow, Identity, whole};
pub use dialect::{Dialect, Framing};
pub use envelope::{Envelope, ModelKey, ParseError};
pub use event::{Block, Event, Finish, Timestamp, Usage};
pub use failure::{Code, Failure, read_failure};
pub use frame::{Frame, Frames};
pub use json::Text;
pub use request::{
    Dropped, Effort, Format, Image, Message, Part, Refused, Request, Role, Sampling, Style, Tool, ToolCall,
    ToolChoice, parse_request, write_request,
};
pub use splitter::{FrameTooLarge, Splitter};
