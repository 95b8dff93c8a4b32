//! OpenAI chat completions, and what of it the legacy completions share: requests read and written, streams decoded and
//! encoded, whole answers written.

mod assembly;
mod beside_usage;
mod chunk;
mod decode;
mod encode;
mod messages;
mod parse;
mod reason;
mod sealed;
mod slot;
mod thinking;
mod tools;
mod turns;
mod whole;
mod write;

pub use assembly::Assembly;
pub use beside_usage::beside_usage;
pub use decode::Decoder;
pub use encode::Encoder;
pub use parse::parse;
pub use whole::{read_usage, whole};
pub use write::write;
pub(super) use write::write_format;
