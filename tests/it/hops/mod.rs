//! What stands between the gateway and its clients: real programs with the configurations that `streamgate snippet` prints.

mod every;
mod files;
mod guides;
mod http2;
#[cfg(feature = "redis")]
mod metrics;
mod nginx;
mod node;
mod silence;
mod times;
#[cfg(feature = "redis")]
mod topology;
