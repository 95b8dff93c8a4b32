//! What the command line's tools ask of a running gateway, or of any other server that streams: requests whose answers are read
//! event by event, followed over cuts, and judged by how they end. Nothing here prints.

mod backoff;
mod connections;
mod error;
mod follow;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod load;
mod meaning;
mod messages;
mod pull;
mod server;
mod transport;

pub use backoff::Backoff;
pub use error::{ClientError, Missing, Refused, hint, shown};
pub use follow::{Follow, Outcome, Subject, Told};
pub use load::{Api, Ask, Failures, Load, Plan, Tally, comparison, described, told};
pub use meaning::{Meaning, Verdict};
pub use messages::{Message, Messages, Next, behind_a_line};
pub use pull::{Pull, Pulled};
pub use server::{Server, credentials};
pub use transport::{HttpVersion, Transport};
