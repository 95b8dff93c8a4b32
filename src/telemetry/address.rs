//! Who calls, as far as it is known.

use std::net::IpAddr;

/// The address of the client, behind proxies that are trusted. Among the extensions of a request, unless it is unknown: a client
/// on a Unix socket has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);
