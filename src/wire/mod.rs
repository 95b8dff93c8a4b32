//! The dialects on the wire, without input or output: bytes in, events out, and back. No runtime, no client, no clock and no
//! randomness is named here, so that everything below can be tested and fuzzed alone.
//!
//! ```text
//! bytes → Splitter → Frame → Decoder → Event → Encoder → Frames (a stream)
//!                                            → Answer  → Bytes  (a whole answer)
//! body  → Envelope (peek) → Request → body of another dialect
//! ```

mod answer;
pub mod anthropic;
mod argument_stream;
mod balance;
mod buffer;
mod call_arguments;
mod call_ids;
mod calls;
mod citation;
mod codec;
mod demand;
mod dialect;
mod distinct;
mod edits;
mod envelope;
mod event;
mod extra;
mod failure;
mod frame;
mod function;
mod halves;
pub mod json;
mod lenient;
mod media;
mod members;
mod models;
mod names;
mod ndjson;
mod numbers;
mod offer;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
mod opening;
mod pattern;
mod progress;
mod published;
mod pulse;
mod remains;
mod request;
mod retreat;
mod schema;
mod seal;
mod sequence;
mod simpler;
mod sources;
mod splitter;
mod sse;
mod told_code;
mod told_failure;
mod translation;
mod turns;
mod unfold;

pub use answer::{Answer, AnswerBlock, KeptSeal, Times};
pub use call_arguments::Arguments;
pub use citation::{Citation, KeptCitation};
pub use codec::{
    Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Flow, Identity, failed, read_usage, whole,
};
pub use demand::Demand;
pub use dialect::{Dialect, Framing};
pub use distinct::{named, texts};
pub use edits::Edits;
pub use envelope::{Ask, Envelope, ModelKey, ParseError, Wish, streaming};
pub use event::{Block, Event, Finish, Timestamp, Usage};
pub use extra::{Extra, Extras, User};
pub use failure::{Code, Failure};
pub use frame::{Frame, Frames};
pub use json::Text;
pub use media::{Document, DocumentSource, Image};
pub use models::{SamplingOption, SamplingOptions};
pub use names::Names;
pub use offer::Offer;
pub use openai_chat::beside_usage;
pub use openai_responses::Echo;
pub use opening::opening;
pub use pattern::fits;
pub use progress::{progress, without_progress};
pub use published::Published;
pub use pulse::{KeepAliveAs, Pulse};
pub use request::{
    DEFAULT_MAX_TOKENS, Dropped, Effort, Format, Message, Part, PassedOn, Refused, Request, Role, Sampling,
    Server, Style, Thinking, Tool, ToolCall, ToolChoice, ToolResult, Written, own_history, parse_request,
    write_request,
};
pub use retreat::Retreat;
pub use seal::{Seal, Sealed};
pub use simpler::Simpler;
pub use splitter::{FrameTooLarge, Splitter};
pub use told_failure::{is_seen, read_failure, tells_failure};
pub use translation::Translation;
pub use unfold::unfold;
