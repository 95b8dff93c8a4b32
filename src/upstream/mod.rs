//! The backends: who they are, how one is asked, and in which order they are tried.

mod attempt;
mod backend;
mod balance;
mod body;
mod breaker;
mod budget;
mod catalog;
mod client;
mod config;
mod demo;
mod forward;
mod load;
mod manage;
mod plan;
mod pool;
mod probe;
mod race;
mod slots;
mod standing;
mod turns;

pub use attempt::{Attempted, Opened};
pub use backend::{Api, Backend, Config};
pub use balance::{Balance, Choice, Share};
pub use body::{FrameStream, Next, StreamError};
pub use breaker::Health;
pub use budget::Budget;
pub use catalog::{Catalog, Model};
pub use client::{ClientError, build as build_client};
pub use config::PoolConfig;
pub use forward::{Addressed, Answered, Forward};
pub use manage::Errand;
pub use plan::{Candidate, Plan};
pub use pool::Pool;
pub use slots::{Slot, Slots, Ticket};
pub use standing::{Standing, Standings, digest};
