//! Who calls: the peer of the connection, or the one whom proxies that are trusted name.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Request};
use ipnet::IpNet;
use serde::Deserialize;

use crate::telemetry::ClientAddress;

/// The header in which trusted proxies say whom they forward. Only this one: what they do not write themselves, they pass on
/// from whoever calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// The proxies that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    pub trusted: Vec<IpNet>,
    pub header: Forwarding,
}

/// Where the requests of a connection come from.
#[derive(Clone, Debug)]
pub(super) struct Origin<'p> {
    /// `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
    pub(super) proxies: &'p Proxies,
    /// Is TLS spoken here?
    pub(super) tls: bool,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Proxies {
    /// Is the peer one of them? Who may open a Unix socket is trusted: its file says who may.
    pub(super) fn trust(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.trusted.iter().any(|net| net.contains(&peer)))
    }

    /// The client: the last address that is not a trusted proxy's, seen from here.
    fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trust(peer) {
            return peer;
        }
        let name = match self.header {
            Forwarding::XForwardedFor => X_FORWARDED_FOR,
            Forwarding::Forwarded => FORWARDED,
        };
        let mut client = peer;
        let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        for hop in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            // What is behind a word that is no address was written by nobody knows whom.
            let Some(address) = self.address(hop) else { break };
            client = Some(address);
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    /// By which scheme the client came to the trusted proxy that calls.
    fn scheme(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Scheme> {
        if !self.trust(peer) {
            return None;
        }
        let name = match self.header {
            Forwarding::XForwardedFor => X_FORWARDED_PROTO,
            Forwarding::Forwarded => FORWARDED,
        };
        let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        let hop = line.rsplit(',').next()?;
        let scheme = match self.header {
            Forwarding::XForwardedFor => hop.trim(),
            Forwarding::Forwarded => member(hop, "proto")?,
        };
        let known = [Scheme::HTTP, Scheme::HTTPS];
        known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(scheme))
    }

    fn address(&self, hop: &[u8]) -> Option<IpAddr> {
        let hop = std::str::from_utf8(hop).ok()?.trim();
        let node = match self.header {
            Forwarding::XForwardedFor => hop,
            Forwarding::Forwarded => member(hop, "for")?,
        };
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let address = bare.parse().or_else(|_| node.parse().map(|address: SocketAddr| address.ip()));
        address.ok().map(|address: IpAddr| address.to_canonical())
    }
}

/// What a proxy says in `Forwarded` (RFC 7239 section 4).
fn member<'h>(hop: &'h str, wanted: &str) -> Option<&'h str> {
    hop.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
    })
}

impl Origin<'_> {
    /// Puts the client's address among the extensions of its request, and the scheme that the client has called, where it is known.
    pub(super) fn stamp<B>(&self, request: &mut Request<B>) {
        if let Some(client) = self.proxies.client(self.peer, request.headers()) {
            request.extensions_mut().insert(ClientAddress(client));
        }
        let named = self.proxies.scheme(self.peer, request.headers());
        if let Some(scheme) = named.or_else(|| self.tls.then_some(Scheme::HTTPS)) {
            request.extensions_mut().insert(scheme);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: Forwarding, peer: &str, lines: &[&str]) -> String {
        let proxies =
            Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], header };
        let name = match header {
            Forwarding::XForwardedFor => "x-forwarded-for",
            Forwarding::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        proxies.client(Some(peer.parse().unwrap()), &headers).unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
        let of = |peer, lines: &[&str]| client(Forwarding::XForwardedFor, peer, lines);
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["203.0.113.9", "198.51.100.7 , 10.0.0.2"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(of("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(of("::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn the_scheme_is_what_a_trusted_proxy_says() {
        let of = |header, peer: &str, name, line: &str| {
            let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap()], header };
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), line.parse().unwrap())]);
            proxies.scheme(Some(peer.parse().unwrap()), &headers)
        };
        let (plain, rfc) = (Forwarding::XForwardedFor, Forwarding::Forwarded);
        assert_eq!(of(plain, "10.0.0.1", "x-forwarded-proto", "HTTPS"), Some(Scheme::HTTPS));
        assert_eq!(of(plain, "10.0.0.1", "x-forwarded-proto", "https, http"), Some(Scheme::HTTP));
        assert_eq!(of(plain, "10.0.0.1", "x-forwarded-proto", "wss"), None);
        assert_eq!(of(plain, "192.0.2.1", "x-forwarded-proto", "https"), None);
        assert_eq!(
            of(rfc, "10.0.0.1", "forwarded", "for=a;proto=http, for=b;Proto=\"https\""),
            Some(Scheme::HTTPS)
        );
        assert_eq!(of(rfc, "10.0.0.1", "x-forwarded-proto", "https"), None);
    }

    #[test]
    fn forwarded_is_read_where_it_is_the_one_that_proxies_write() {
        let of = |peer, lines: &[&str]| client(Forwarding::Forwarded, peer, lines);
        assert_eq!(of("10.0.0.1", &["for=198.51.100.7;proto=https"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["proto=https; For=\"[2001:db8::1]:4711\", for=10.0.0.2"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["for=203.0.113.9, for=_hidden"]), "10.0.0.1");
        assert_eq!(of("192.0.2.1", &["for=198.51.100.7"]), "192.0.2.1");
    }
}
