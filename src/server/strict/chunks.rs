//! A body in chunks (RFC 9112 section 7.1), as strict as its grammar: no blanks around sizes, no bare CR or LF, and no trailer
//! that another hop could merge into the headers.

use crate::server::strict::Violation;
use crate::server::strict::head::field;

/// Where in a chunked body the next byte is.
#[derive(Debug)]
pub(super) enum Chunks {
    /// In a size, behind so many digits.
    Size(u64, u8),
    /// In what is said behind a size, of which so many bytes came.
    Extension(u64, usize),
    /// Behind the CR of a size line.
    SizeEnd(u64),
    Data(u64),
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the CR behind it.
    DataEnded,
    /// In the trailers: the line that is coming in, and how many bytes came before it.
    Trailer(Vec<u8>, usize),
}

/// What extensions of a chunk, and all trailers, may come to.
const MOST: usize = 16 * 1024;
/// The largest chunk, in bytes: no body is taken that is near it, and to wait for one is to wait for nothing (RFC 9112 section 7.1).
const LARGEST: u64 = i32::MAX as u64;
const SIZE: Violation = Violation::new("the size of a chunk is not one");
const TOO_LARGE: Violation = Violation { status: 413, words: "a chunk is larger than any body may be" };
const ENDS: Violation = Violation::new("a chunk does not end with CRLF");
const EXTENSION: Violation = Violation::new("an extension of a chunk is not lawful");
const TRAILER: Violation = Violation::new("a trailer of the request is not lawful");

impl Default for Chunks {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

impl Chunks {
    /// Says how many bytes belong to the body, and whether it ends with them.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Violation)> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            if let Self::Data(left) = self {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += used;
                *left -= used as u64;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                continue;
            }
            if self.step(byte).map_err(|violation| (at, violation))? {
                return Ok((at + 1, true));
            }
            at += 1;
        }
        Ok((at, false))
    }

    /// Takes a byte that is not data. Is it the last one?
    fn step(&mut self, byte: u8) -> Result<bool, Violation> {
        *self = match (&mut *self, byte) {
            (Self::Size(size, digits), _) if byte.is_ascii_hexdigit() => {
                if *digits == 16 {
                    return Err(SIZE);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = (*size << 4) | u64::from(digit);
                if size > LARGEST {
                    return Err(TOO_LARGE);
                }
                Self::Size(size, *digits + 1)
            }
            (Self::Size(size, 1..), b';') => Self::Extension(*size, 0),
            (Self::Size(size, 1..) | Self::Extension(size, _), b'\r') => Self::SizeEnd(*size),
            (Self::Size(..), _) => return Err(SIZE),
            (Self::Extension(size, said), _)
                if *said < MOST && (byte == b'\t' || (b' '..0x7f).contains(&byte)) =>
            {
                Self::Extension(*size, *said + 1)
            }
            (Self::Extension(..), _) => return Err(EXTENSION),
            (Self::SizeEnd(0), b'\n') => Self::Trailer(Vec::new(), 0),
            (Self::SizeEnd(size), b'\n') => Self::Data(*size),
            (Self::DataEnd, b'\r') => Self::DataEnded,
            (Self::DataEnded, b'\n') => Self::Size(0, 0),
            (Self::Trailer(line, before), _) => {
                line.push(byte);
                if *before + line.len() > MOST {
                    return Err(TRAILER);
                }
                if byte != b'\n' {
                    return Ok(false);
                }
                let text = line.strip_suffix(b"\r\n").ok_or(TRAILER)?;
                if text.is_empty() {
                    return Ok(true);
                }
                check_trailer(text)?;
                Self::Trailer(Vec::new(), *before + line.len())
            }
            (Self::SizeEnd(_) | Self::DataEnd | Self::DataEnded | Self::Data(_), _) => return Err(ENDS),
        };
        Ok(false)
    }
}

/// Fields that say where a message ends, where it goes, who sends it or how it is read (RFC 9110 section 6.5.1).
const FORBIDDEN: [&str; 20] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-forwarded-for",
];

fn check_trailer(line: &[u8]) -> Result<(), Violation> {
    let (name, _) = field(line).ok_or(TRAILER)?;
    let forbidden = FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()));
    if forbidden { Err(TRAILER) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_by_the_grammar_end_where_it_says() {
        for body in
            ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "00a;b;c=\"d e\"\r\n0123456789\r\n0;x\r\nX-Y: z\r\n\r\n"]
        {
            let whole = format!("{body}GET");
            assert_eq!(Chunks::default().look(whole.as_bytes()), Ok((body.len(), true)), "{body:?}");
        }
    }

    #[test]
    fn a_chunk_that_no_body_can_hold_is_refused_at_its_size() {
        for size in ["80000000", "FFFFFFFFFFFFFFFF", "0000000100000000"] {
            assert_eq!(Chunks::default().look(size.as_bytes()).unwrap_err().1.status, 413, "{size}");
        }
        assert!(Chunks::default().look(b"000000007fffffff\r\n").is_ok());
    }

    #[test]
    fn what_another_hop_may_read_otherwise_is_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            " 3\r\nabc\r\n",
            "3\nabc\r\n",
            "3\r\r\nabc\r\n",
            "3;\x01\r\nabc\r\n",
            "3;a\nabc\r\n",
            "3;\u{e9}\r\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3\r\nabcX\n",
            "00000000000000003\r\nabc\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nContent-Length: 3\r\n\r\n",
            "0\r\nauthorization: Bearer x\r\n\r\n",
            "0\r\nHost: b\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\nX: y\n\r\n",
        ] {
            assert!(Chunks::default().look(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
