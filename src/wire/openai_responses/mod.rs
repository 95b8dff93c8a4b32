//! OpenAI Responses: requests read and written, streams decoded and encoded, whole answers written.

mod custom;
mod decode;
mod echo;
mod encode;
mod failed;
mod history;
mod input;
mod item;
mod items;
mod output;
mod parse;
mod response;
mod usage;
mod whole;
mod write;

pub use decode::Decoder;
pub use echo::Echo;
pub use encode::Encoder;
pub use history::own_history;
pub use parse::{check_background, parse};
pub use usage::read_usage;
pub use whole::whole;
pub use write::write;
