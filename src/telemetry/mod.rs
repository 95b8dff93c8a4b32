//! What the gateway tells about itself: typed metrics, one access line per request, and the log; and what it must never tell.

mod access;
mod id;
mod log;
mod metrics;
mod secret;

pub use access::{Access, End};
pub use id::random_id;
pub use log::{Config, Format, start};
pub use metrics::Metrics;
pub use secret::{Secret, Source as SecretSource};
