//! Anthropic Messages: requests read and written, streams decoded and encoded, whole answers written, tokens estimated.

mod billing;
mod blocks;
mod decode;
mod encode;
mod estimate;
mod history;
mod hosted;
mod line;
mod open;
mod parse;
mod reason;
mod schema;
mod turns;
mod usage;
mod whole;
mod write;

pub use billing::without_billing;
pub use decode::Decoder;
pub use encode::Encoder;
pub use estimate::estimate_tokens;
pub use history::own_history;
pub use parse::parse;
pub use usage::read_usage;
pub use whole::whole;
pub use write::write;
