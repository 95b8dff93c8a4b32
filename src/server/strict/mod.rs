//! The strict look at what a client sends, before hyper reads it: hops that read a request in two ways are how one is smuggled
//! past another. Sans-IO: bytes in, verdicts out.

mod chunks;
mod flood;
mod head;

use crate::server::strict::chunks::Chunks;
use crate::server::strict::head::{Head, Length};

pub use flood::Flood;

/// What is wrong with a request, for the one who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    pub status: u16,
    pub words: &'static str,
}

impl Violation {
    const fn new(words: &'static str) -> Self {
        Self { status: 400, words }
    }
}

/// The requests of one HTTP/1 connection, one behind the other, in pieces of any size.
#[derive(Debug, Default)]
pub struct Requests(State);

#[derive(Debug)]
enum State {
    Head(Head),
    Body(u64),
    Chunks(Chunks),
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// Where a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// So many of the bytes may still be read by others.
    pub pass: usize,
    /// The request whose head has passed is broken, rather than the next one.
    pub midway: bool,
    pub violation: Violation,
}

impl Requests {
    /// Looks at the next bytes. A request that begins in them and is broken in them passes with no byte.
    pub fn look(&mut self, bytes: &[u8]) -> Result<(), Found> {
        let mut began = matches!(&self.0, State::Head(head) if head.is_empty()).then_some(0);
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let (used, next) = self.0.look(rest).map_err(|(used, violation)| Found {
                pass: began.unwrap_or(at + used),
                midway: began.is_none() && !matches!(self.0, State::Head(_)),
                violation,
            })?;
            at += used;
            if let Some(next) = next {
                if matches!(next, State::Head(_)) {
                    began = Some(at);
                }
                self.0 = next;
            }
        }
        Ok(())
    }
}

impl Requests {
    /// Has a head begun that is not complete?
    pub fn is_in_head(&self) -> bool {
        matches!(&self.0, State::Head(head) if !head.is_empty())
    }
}

impl State {
    /// Says how many bytes belong to this state, and what comes behind them.
    fn look(&mut self, bytes: &[u8]) -> Result<(usize, Option<Self>), (usize, Violation)> {
        match self {
            Self::Head(head) => head.look(bytes).map(|(used, length)| {
                let next = length.map(|length| match length {
                    Length::Known(0) => Self::default(),
                    Length::Known(length) => Self::Body(length),
                    Length::Chunked => Self::Chunks(Chunks::default()),
                });
                (used, next)
            }),
            Self::Body(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                Ok((used, (*left == 0).then(Self::default)))
            }
            Self::Chunks(chunks) => {
                let (used, ended) = chunks.look(bytes)?;
                Ok((used, ended.then(Self::default)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn look(text: &str) -> Result<(), Found> {
        Requests::default().look(text.as_bytes())
    }

    #[test]
    fn requests_that_follow_each_other_pass() {
        let get = "GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let chunks = "3\r\nabc\r\nA;x=\"y z\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
        assert_eq!(look(&[get, post, CHUNKED, chunks, "\r\n", get].concat()), Ok(()));
    }

    #[test]
    fn a_broken_request_passes_with_no_byte_and_those_before_it_whole() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for broken in ["CONNECT a:1 HTTP/1.1\r\n", &[CHUNKED, "3\r\nabcd\r\n"].concat()] {
            let found = look(&[get, broken].concat()).unwrap_err();
            assert_eq!((found.pass, found.midway), (get.len(), false), "{broken}");
        }
    }

    #[test]
    fn a_body_that_breaks_behind_a_head_that_has_passed_is_broken_midway() {
        let mut requests = Requests::default();
        requests.look(CHUNKED.as_bytes()).unwrap();
        let found = requests.look(b"3\r\nabcd").unwrap_err();
        assert_eq!((found.pass, found.midway), (6, true));
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_how_the_bytes_are_cut(
            text in "(GET|POST) (/|\\*) HTTP/1.[01]\r\n(Host: a\r\n){0,2}(Content-Length: [0-2]\r\n|Transfer-Encoding: chunked\r\n){0,2}\r\n[0-2a\r\n;]{0,12}",
            cut in 1usize..9,
        ) {
            let whole = look(&text).map_err(|found| found.violation);
            let mut requests = Requests::default();
            let pieces = text.as_bytes().chunks(cut).try_for_each(|piece| requests.look(piece));
            prop_assert_eq!(whole, pieces.map_err(|found| found.violation));
        }
    }
}
