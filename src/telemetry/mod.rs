//! What the gateway tells about itself: typed metrics, one access line per request, the log, and the board of what goes on; and
//! what it must never tell.

mod access;
mod address;
mod board;
mod clock;
mod id;
mod log;
mod metrics;
mod redact;
mod secret;
mod shares;

pub use access::{Access, End, Spent};
pub use address::ClientAddress;
pub use board::{Board, Download, Interest, Listener};
pub use clock::since_1970;
pub use id::random_id;
pub use log::{Config, DroppedLines, Format, Log, start};
pub use metrics::{Live, Metrics};
pub use redact::Redactor;
pub use secret::{Secret, Source as SecretSource};
pub use shares::{Shares, Taken};
