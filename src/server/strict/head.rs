//! The head of a request: its line, its fields, and what they say about the length of the body (RFC 9112 sections 2 to 6).

use crate::server::strict::Violation;

/// A head that is coming in.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The line that is coming in. hyper stops reading at its own limit, so it does not grow beyond that.
    line: Vec<u8>,
    seen: Option<Seen>,
}

/// How long the body behind a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
}

/// What a head has said so far that matters here.
#[derive(Debug, Default)]
struct Seen {
    http_1_0: bool,
    /// That of an absolute target.
    authority: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.seen.is_none()
    }

    /// Says how many bytes belong to the head, and the body's length if it ends with them.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<(usize, Option<Length>), (usize, Violation)> {
        let mut used = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let before = used;
            used += piece.len();
            self.line.extend_from_slice(piece);
            let Some(line) = self.line.strip_suffix(b"\n") else { break };
            let failed = |violation| (before, violation);
            let line = line.strip_suffix(b"\r").ok_or_else(|| failed(BARE_LF))?;
            match &mut self.seen {
                None if line.is_empty() => {} // before a request line (section 2.2)
                None => self.seen = Some(request_line(line).map_err(failed)?),
                Some(seen) if line.is_empty() => {
                    let length = seen.length().map_err(failed)?;
                    *self = Self::default();
                    return Ok((used, Some(length)));
                }
                Some(seen) => seen.field(line).map_err(failed)?,
            }
            self.line.clear();
        }
        Ok((used, None))
    }
}

const BARE_LF: Violation = Violation::new("a line of the request ends with a bare LF");
const LINE: Violation = Violation::new("the request line is not one of HTTP/1.1");
const TARGET: Violation = Violation::new("the request target is in a form that is not served");
const FIELD: Violation = Violation::new("a header line is not a name, a colon and a value");
const HOST: Violation = Violation::new("the request needs one valid Host");
const LENGTH: Violation = Violation::new("the Content-Length is not one number");
const TWO_LENGTHS: Violation =
    Violation::new("the request has both a Content-Length and a Transfer-Encoding");
const CODING: Violation =
    Violation { status: 501, words: "the only Transfer-Encoding that is known is one `chunked`" };
const OLD_CODING: Violation = Violation::new("HTTP/1.0 has no Transfer-Encoding");

fn request_line(line: &[u8]) -> Result<Seen, Violation> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(LINE);
    };
    let http_1_0 = version == b"HTTP/1.0";
    if !is_token(method) || !(http_1_0 || version == b"HTTP/1.1") {
        return Err(LINE);
    }
    if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') || method == b"CONNECT" {
        return Err(TARGET);
    }
    let authority = match target {
        b"*" if method == b"OPTIONS" => None,
        [b'/', ..] => None,
        _ => Some(authority(target).ok_or(TARGET)?.to_vec()),
    };
    Ok(Seen { http_1_0, authority, ..Seen::default() })
}

/// The authority of an absolute target.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let at = target.windows(3).position(|three| three == b"://")?;
    let (scheme, rest) = target.split_at_checked(at)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    rest.get(3..)?.split(|byte| b"/?".contains(byte)).next()
}

impl Seen {
    fn field(&mut self, line: &[u8]) -> Result<(), Violation> {
        let (name, value) = field(line).ok_or(FIELD)?;
        if name.eq_ignore_ascii_case(b"host") {
            if !is_host(value) || self.host.replace(value.to_vec()).is_some() {
                return Err(HOST);
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).ok_or(LENGTH)?;
            if self.length.replace(length).is_some() {
                return Err(LENGTH);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(CODING);
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn length(&self) -> Result<Length, Violation> {
        match (&self.authority, &self.host) {
            // HTTP/1.0 knows no Host
            (_, None) if !self.http_1_0 => return Err(HOST),
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => return Err(HOST),
            _ => {}
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(TWO_LENGTHS),
            (None, true) if self.http_1_0 => Err(OLD_CODING),
            (None, true) => Ok(Length::Chunked),
            (length, false) => Ok(Length::Known(length.unwrap_or(0))),
        }
    }
}

/// A name and its value, if the line is a field: no folding, no blank before the colon, no control bytes.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = trimmed(value.get(1..)?);
    let lawful = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    (is_token(name) && value.iter().all(lawful)).then_some((name, value))
}

/// Without the blanks around it: spaces and tabs, and nothing else (RFC 9110 section 5.6.3).
fn trimmed(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !is_blank(byte)).unwrap_or(start);
    value.get(start..=end).unwrap_or_default()
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_host(host: &[u8]) -> bool {
    !host.is_empty()
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> Result<Length, u16> {
        let looked = Head::default().look(head.as_bytes());
        looked.map(|(_, length)| length.expect("a whole head")).map_err(|(_, violation)| violation.status)
    }

    #[test]
    fn lengths_are_one_number_or_one_chunked() {
        let with = |fields: &str| status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(with(""), Ok(Length::Known(0)));
        assert_eq!(with("Content-Length: 12\r\n"), Ok(Length::Known(12)));
        assert_eq!(with("transfer-encoding: Chunked\r\n"), Ok(Length::Chunked));
        assert_eq!(with("Content-Length:\t 12 \t\r\nX: \r\nY:\r\n"), Ok(Length::Known(12)));
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 1\r\n",
            " Content-Length: 1\r\n",
            "X: a\r\n b\r\n",
            "X: a\0b\r\n",
            "X: a\rb\r\n",
            "X: a\r\r\n",
            "X: \x0ca\r\n",
            "Content-Length: 1\r\r\n",
            "Content-Length: \x0c1\r\n",
            "X\r\n",
            "X: a\n",
            "Host: a\r\n",
        ] {
            assert_eq!(with(fields), Err(400), "{fields:?}");
        }
        for coding in [
            "gzip, chunked",
            "chunked, chunked",
            "xchunked",
            "identity",
            "",
            "chunked;q=1",
            "\x0bchunked",
            "\x0cchunked",
        ] {
            let refused = with(&format!("Transfer-Encoding: {coding}\r\n")).unwrap_err();
            assert!([400, 501].contains(&refused), "{coding:?}");
        }
    }

    #[test]
    fn request_lines_have_three_words_and_a_target_that_is_served() {
        for line in ["GET / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://a/b HTTP/1.1", "GET //a HTTP/1.1"] {
            assert!(status(&format!("{line}\r\nHost: a\r\n\r\n")).is_ok(), "{line}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET / HTTP/1.2",
            "GET / HTTP/2.0",
            "GET / http/1.1",
            "GET /",
            "GET * HTTP/1.1",
            "GET a:80 HTTP/1.1",
            "GET http://b/ HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /é HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "G@T / HTTP/1.1",
        ] {
            assert_eq!(status(&format!("{line}\r\nHost: a\r\n\r\n")), Err(400), "{line}");
        }
    }

    #[test]
    fn http_1_0_needs_no_host_and_has_no_codings() {
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), Ok(Length::Known(0)));
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Err(400));
        assert_eq!(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    }
}
