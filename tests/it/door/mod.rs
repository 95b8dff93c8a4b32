//! The front door: what the gateway lets in from a public address, and how.

mod ambiguous;
mod certificates;
mod files;
mod floods;
mod hops;
mod http2;
mod limits;
mod origins;
mod peer;
mod proxies;
mod refused;
mod slow;
mod strict;
mod tls;
mod unix;

pub(crate) use certificates::Certificates;
