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
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trust(peer) {
            return peer;
        }
        let name = match self.header {
            Forwarding::XForwardedFor => X_FORWARDED_FOR,
            Forwarding::Forwarded => FORWARDED,
        };
        let mut client = peer;
        let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        for hop in lines.iter().rev().flat_map(|line| self.hops(line.as_bytes())) {
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
        let line = headers.get_all(name).iter().next_back()?.as_bytes();
        let hop = self.hops(line).into_iter().next()?;
        let scheme = match self.header {
            Forwarding::XForwardedFor => hop.trim_ascii(),
            Forwarding::Forwarded => member(hop, "proto")?,
        };
        let known = [Scheme::HTTP, Scheme::HTTPS];
        known.into_iter().find(|known| known.as_str().as_bytes().eq_ignore_ascii_case(scheme))
    }

    /// What the proxies have written into a line, the last of them first.
    fn hops<'l>(&self, line: &'l [u8]) -> Vec<&'l [u8]> {
        match self.header {
            Forwarding::XForwardedFor => line.rsplit(|byte| *byte == b',').collect(),
            Forwarding::Forwarded => rsplit_unquoted(line, b','),
        }
    }

    fn address(&self, hop: &[u8]) -> Option<IpAddr> {
        let node = match self.header {
            Forwarding::XForwardedFor => hop,
            Forwarding::Forwarded => member(hop, "for")?,
        };
        let node = std::str::from_utf8(node).ok()?.trim();
        let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
        let address = bare.parse().or_else(|_| node.parse().map(|address: SocketAddr| address.ip()));
        address.ok().map(|address: IpAddr| address.to_canonical())
    }
}

/// A member of an element of `Forwarded`, if it stands there once.
fn member<'h>(hop: &'h [u8], wanted: &str) -> Option<&'h [u8]> {
    let pairs = rsplit_unquoted(hop, b';');
    let mut values = pairs.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        let value = value.get(1..)?.trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()).then_some(bare.unwrap_or(value))
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The parts of a text, the last one first, between the separators that stand in no quoted string (RFC 7239 section 4): a proxy
/// quotes there what its client asked for. It is read from its end, for what stands at its beginning may be the client's own, and
/// its quotes need not come in pairs.
fn rsplit_unquoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut end, mut quoted) = (Vec::new(), text.len(), false);
    for (at, byte) in text.iter().enumerate().rev() {
        if *byte == b'"' {
            let before = text.get(..at).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            quoted = !quoted || backslashes % 2 == 1;
        } else if *byte == separator && !quoted {
            parts.extend(text.get(at + 1..end));
            end = at;
        }
    }
    parts.extend(text.get(..end));
    parts
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

    #[test]
    fn what_a_proxy_quotes_of_a_request_names_nobody() {
        let of = |lines: &[&str]| client(Forwarding::Forwarded, "10.0.0.1", lines);
        for told in [
            r#"for=198.51.100.7;host="a, for=203.0.113.9""#,
            r#"for=198.51.100.7;host="a,for=203.0.113.9;x=""#,
            r#"host=";for=203.0.113.9;x=";for=198.51.100.7"#,
            r#"for=198.51.100.7;host="\", for=203.0.113.9;x=\"""#,
            r#"for=198.51.100.7;host="\\";proto=http"#,
            r#"for="203.0.113.9, for=198.51.100.7;host="b""#,
            r#"for=203.0.113.9;host="x, for=198.51.100.7"#,
        ] {
            assert_eq!(of(&[told]), "198.51.100.7", "{told}");
        }
        assert_eq!(of(&["for=203.0.113.9;for=198.51.100.7"]), "10.0.0.1", "it names two");
    }
}
