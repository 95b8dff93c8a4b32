//! OpenAI Responses: requests read and written, streams decoded and encoded, whole answers written.

mod compaction;
mod custom;
mod decode;
mod echo;
mod encode;
mod failed;
mod history;
mod hosted;
mod input;
mod item;
mod items;
mod known;
mod line;
mod namespace;
mod output;
mod parse;
mod response;
mod snapshot;
mod state;
mod usage;
mod whole;
mod write;

pub use decode::Decoder;
pub use echo::Echo;
pub use encode::Encoder;
pub use history::own_history;
pub use namespace::flatten;
pub use parse::parse;
pub use snapshot::Snapshot;
pub use state::{
    Outline, State, input_items, joined_items, outline, queued, response_in, sequence_number, stand_alone,
    with_status,
};
pub use usage::read_usage;
pub use whole::whole;
pub use write::{output_limit, write};
