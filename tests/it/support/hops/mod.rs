//! What stands between a client and the gateway: real programs, with what `streamgate snippet` prints or set up as others do it,
//! and one of our own that holds streams up in the way that a test names.

pub(crate) mod bare;
mod program;
mod running;
mod scripted;
pub(crate) mod servers;

pub(crate) use program::Program;
#[cfg(feature = "redis")]
pub(crate) use program::nginx_around;
pub(crate) use running::{Hop, found};
pub(crate) use scripted::{Habit, Scripted};
