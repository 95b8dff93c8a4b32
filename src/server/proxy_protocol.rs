//! The header that a load balancer writes before the first byte of a connection: the PROXY protocol, versions 1 and 2.

use std::io;
use std::net::IpAddr;

use bytes::BytesMut;
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;

use crate::server::socket::Socket;

/// The longest header, with all that load balancers add to it.
const MOST: usize = 4096;

/// The longest line of version 1, with its end (PROXY protocol, section 2.1).
const LONGEST_LINE: usize = 107;

/// Reads the header. `None` if the proxy speaks for itself (its health checks), or for a client without an address.
pub(super) async fn read(socket: &mut Socket) -> io::Result<Option<IpAddr>> {
    let mut buffer = BytesMut::new();
    while buffer.len() < MOST {
        if socket.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((length, client)) = parse(&buffer)? {
            let rest = buffer.split_off(length);
            socket.put_back(rest);
            return Ok(client);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the PROXY header is too long"))
}

/// The length of the header, and whom it names; `None` if there is more to come.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Option<IpAddr>)>> {
    match ProxyHeader::parse(bytes, ParseConfig::default()) {
        // The library gives up on a line without an end at this length, and takes a longer one that comes in one piece.
        Ok((_, length)) if length > LONGEST_LINE && bytes.starts_with(b"PROXY") => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the line of the PROXY protocol is too long"))
        }
        Ok((header, length)) => {
            let client = header.proxied_address().map(|address| address.source.ip().to_canonical());
            Ok(Some((length, client)))
        }
        Err(Error::BufferTooShort) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n";
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\x02\x01\x12\x67\x01\xbb";

    #[test]
    fn both_versions_name_the_client_and_leave_what_is_behind_them() {
        let client = Some("198.51.100.7".parse().unwrap());
        for header in [V1, V2] {
            let whole = [header, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&whole).unwrap(), Some((header.len(), client)));
            for cut in 1..header.len() {
                assert_eq!(parse(&header[..cut]).unwrap(), None, "{cut}");
            }
        }
    }

    #[test]
    fn proxies_may_speak_for_themselves() {
        let local = [&V2[..12], b"\x20\0\0\0"].concat();
        assert_eq!(parse(&local).unwrap(), Some((16, None)));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n").unwrap(), Some((15, None)));
    }

    #[test]
    fn a_line_is_refused_at_the_same_length_however_it_comes() {
        for (length, whole) in [(107, true), (108, false), (300, false)] {
            let line = format!("{:x<1$}\r\n", "PROXY UNKNOWN ", length - 2);
            assert_eq!(
                parse(line.as_bytes()).is_ok_and(|read| read == Some((length, None))),
                whole,
                "{length}"
            );
            assert_eq!(parse(&line.as_bytes()[..length - 1]).is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        assert!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
        assert!(parse(b"PROXY TCP4 a b c d\r\n").is_err());
    }
}
