//! Streamgate is a reverse proxy gateway for streams of language models: a stream that passes through it does not stall, does
//! not get lost, does not lie about how it ended, and does not leak.
//!
//! The modules in the order in which a request meets them:
//!
//! - [`cli`] and [`config`] say what is to run, [`app`] builds it;
//! - [`server`] accepts the connection and speaks HTTP;
//! - [`edge`] gives the request an id, finds its route and its caller, and admits or refuses it;
//! - [`api`] does what the endpoint is for: for a chat request it plans which backends may be asked what;
//! - [`relay`] is one task per stream: it has [`upstream`] open a backend and moves frames into the [`journal`];
//! - [`downstream`] reads the journal and writes to the client;
//! - [`wire`] knows the dialects, [`telemetry`] tells what happened;
//! - [`doctor`] stands outside: it measures the way from clients to the gateway.
//!
//! A module names only those below it; `tests/it/layers.rs` holds it to that.

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod doctor;
pub mod downstream;
pub mod edge;
#[cfg_attr(
    not(feature = "redis"),
    expect(
        dead_code,
        unused_imports,
        reason = "only a store that is built in copies records and fills mirrors"
    )
)]
pub mod journal;
pub mod relay;
pub mod server;
pub mod snippet;
pub mod telemetry;
pub mod upstream;
pub mod wire;
