//! What the fuzz targets reach of how proxies tell of their clients. Built with `--cfg fuzzing` alone.

use std::io;
use std::net::IpAddr;

use http::HeaderMap;

use crate::server::Proxies;
use crate::server::proxy_protocol;

/// The length of a PROXY header, and whom it names; `None` if there is more to come.
pub fn proxy_header(bytes: &[u8]) -> io::Result<Option<(usize, Option<IpAddr>)>> {
    proxy_protocol::parse(bytes)
}

/// The client of a request that came from `peer`.
pub fn client(proxies: &Proxies, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
    proxies.client(peer, headers)
}
