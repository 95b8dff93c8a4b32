//! Numbers on events, so that a reader who comes back can say what it has seen: `id: <stream>.<n>` (WHATWG HTML section 9.2.6).

use std::ops::RangeInclusive;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::wire::Framing;

/// How the frames of a record are written for a reader that may come back.
#[derive(Debug)]
pub struct Numbering {
    /// The id of the stream.
    pub stream: String,
    /// How the frames are framed in the record. Lines become events: a line has no place for a number.
    pub framing: Framing,
}

/// What stands in the place of a number in the id of the words that a stream is lost. They are no event of it, and no replica
/// knows which events the readers of another have seen: who comes back without this id has not read them, and is told again.
pub const LOST: &str = "lost";

/// Milliseconds after which an `EventSource` shall come back: from here on, spread by the stream's id over so many more. Who was
/// cut off together shall not come back together, and a replay shall be the same to the byte.
const RETRY: u32 = 500;
const SPREAD: u32 = 1000;

impl Numbering {
    /// Writes frame `number`.
    pub(super) fn write(&self, number: u64, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frame.len() + self.room());
        self.put(number, frame, &mut out);
        out.freeze()
    }

    /// Writes frame `number` behind what there is.
    pub(super) fn put(&self, number: u64, frame: &[u8], out: &mut BytesMut) {
        self.id(itoa::Buffer::new().format(number), out);
        // Never in a block of its own: openai-python takes every blank line for an event once it has seen an id.
        if number == 1 {
            out.put_slice(b"retry: ");
            out.put_slice(itoa::Buffer::new().format(self.retry()).as_bytes());
            out.put_u8(b'\n');
        }
        self.event(frame, out);
    }

    /// How many bytes frames have more with their numbers than without.
    pub fn added(&self, frames: RangeInclusive<u64>) -> u64 {
        let first = if frames.contains(&1) { format!("retry: {}\n", self.retry()).len() } else { 0 };
        let around = match self.framing {
            Framing::Sse => 0,
            Framing::Ndjson => b"data: \n".len(),
        };
        let fixed = b"id: .\n".len() + self.stream.len() + around;
        let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
        frames.map(|number| (fixed + digits(number)) as u64).sum::<u64>() + first as u64
    }

    /// How many bytes the number of a frame has, at most.
    pub(super) fn room(&self) -> usize {
        self.stream.len() + 48
    }

    /// Writes the words that the stream is lost.
    pub fn lost(&self, words: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(words.len() + self.room());
        self.id(LOST, &mut out);
        self.event(words, &mut out);
        out.freeze()
    }

    fn id(&self, number: &str, out: &mut BytesMut) {
        out.put_slice(b"id: ");
        out.put_slice(self.stream.as_bytes());
        out.put_u8(b'.');
        out.put_slice(number.as_bytes());
        out.put_u8(b'\n');
    }

    fn retry(&self) -> u32 {
        let id = self.stream.bytes();
        RETRY + id.fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % SPREAD
    }

    /// Writes a frame that is no part of the record, and has no number.
    pub(super) fn aside(&self, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frame.len() + 8);
        self.event(frame, &mut out);
        out.freeze()
    }

    fn event(&self, frame: &[u8], out: &mut BytesMut) {
        match self.framing {
            Framing::Sse => out.put_slice(frame),
            Framing::Ndjson => {
                for line in frame.split(|byte| matches!(byte, b'\n' | b'\r')) {
                    if !line.is_empty() {
                        out.put_slice(b"data: ");
                        out.put_slice(line);
                        out.put_u8(b'\n');
                    }
                }
                out.put_u8(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbering(framing: Framing) -> Numbering {
        Numbering { stream: "abc".into(), framing }
    }

    #[test]
    fn the_first_event_says_when_to_come_back() {
        let numbering = numbering(Framing::Sse);
        assert_eq!(numbering.write(1, b"data: x\n\n"), "id: abc.1\nretry: 854\ndata: x\n\n");
        assert_eq!(numbering.write(8, b"event: e\ndata: y\n\n"), "id: abc.8\nevent: e\ndata: y\n\n");
    }

    #[test]
    fn the_words_that_a_stream_is_lost_have_an_id_of_their_own() {
        assert_eq!(numbering(Framing::Sse).lost(b"data: gone\n\n"), "id: abc.lost\ndata: gone\n\n");
        assert_eq!(numbering(Framing::Ndjson).lost(b"{}\n"), "id: abc.lost\ndata: {}\n\n");
    }

    #[test]
    fn lines_become_events() {
        let numbering = numbering(Framing::Ndjson);
        assert_eq!(numbering.write(2, b"{\"a\":1}\n"), "id: abc.2\ndata: {\"a\":1}\n\n");
    }
}
