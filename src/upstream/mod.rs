//! The backends: who they are, how one is asked, and in which order they are tried.

mod attempt;
mod backend;
mod body;
mod catalog;
mod client;
mod demo;
mod forward;
mod manage;
mod plan;
mod pool;
mod slots;

pub use attempt::{Attempted, Opened};
pub use backend::{Api, Backend, Config};
pub use body::{FrameStream, Next, StreamError};
pub use catalog::{Catalog, Model};
pub use client::{ClientError, build as build_client};
pub use forward::{Answered, Forward};
pub use manage::Errand;
pub use plan::{Candidate, Plan};
pub use pool::Pool;
pub use slots::{Slot, Slots, Turn};
