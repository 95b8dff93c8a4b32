//! The bytes of a body as its sender wrote them: gzip is undone piece by piece, so that it shows when each event could be read.

use std::io::{self, Write as _};

use flate2::write::MultiGzDecoder;

/// Undoes the coding of one body.
#[derive(Debug)]
pub(super) struct Decoding {
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Pieces with which a member of gzip began.
    members: usize,
    /// What may be the beginning of a byte order mark; `None` behind the start.
    start: Option<Vec<u8>>,
}

impl Decoding {
    /// For a body with this `Content-Encoding`.
    pub(super) fn new(coding: Option<&str>) -> Self {
        let gzip = coding.is_some_and(|coding| coding.to_ascii_lowercase().contains("gzip"));
        Self { gzip: gzip.then(|| MultiGzDecoder::new(Vec::new())), members: 0, start: Some(Vec::new()) }
    }

    /// What can be read of the body now that this has come.
    pub(super) fn decode(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        let plain = match &mut self.gzip {
            None => chunk.to_vec(),
            Some(gzip) => {
                self.members += usize::from(chunk.starts_with(MEMBER));
                gzip.write_all(chunk)?;
                gzip.flush()?;
                std::mem::take(gzip.get_mut())
            }
        };
        Ok(self.without_mark(plain))
    }

    /// How many members of gzip the body has, as far as each came in a piece of its own.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// The reader of events does not survive a byte order mark.
    fn without_mark(&mut self, plain: Vec<u8>) -> Vec<u8> {
        let Some(mut start) = self.start.take() else { return plain };
        start.extend(plain);
        if start.len() < MARK.len() && MARK.starts_with(&start) {
            self.start = Some(start);
            return Vec::new();
        }
        match start.strip_prefix(MARK) {
            Some(rest) => rest.to_vec(),
            None => start,
        }
    }
}

/// How a member of gzip begins (RFC 1952 section 2.3.1): inside of one that is a coincidence of one in sixteen millions.
const MEMBER: &[u8] = &[0x1F, 0x8B, 8];
const MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_a_compressor_flushed_can_be_read_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut decoding = Decoding::new(Some("gzip"));
        for event in ["data: one\n\n", "data: two\n\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let flushed = std::mem::take(encoder.get_mut());
            assert_eq!(decoding.decode(&flushed).unwrap(), event.as_bytes());
        }
    }

    #[test]
    fn members_are_read_as_one_body_and_counted() {
        for members in 1..4 {
            let mut decoding = Decoding::new(Some("gzip"));
            for number in 0..members {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                write!(encoder, "data: {number}\n\n").unwrap();
                let read = decoding.decode(&encoder.finish().unwrap()).unwrap();
                assert_eq!(read, format!("data: {number}\n\n").as_bytes());
            }
            assert_eq!(decoding.members(), members);
        }
    }

    #[test]
    fn a_byte_order_mark_is_left_out_however_it_is_cut() {
        for cut in 0..6 {
            let (one, two) = b"\xEF\xBB\xBFdata".split_at(cut);
            let mut decoding = Decoding::new(None);
            let mut read = decoding.decode(one).unwrap();
            read.extend(decoding.decode(two).unwrap());
            assert_eq!(read, b"data", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_gzip_is_an_error() {
        assert!(Decoding::new(Some("gzip")).decode(b"data: this is plain text\n\n").is_err());
    }
}
