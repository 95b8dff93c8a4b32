//! Numbers on events, so that a reader who comes back can say what it has seen: `id: <stream>.<n>` (WHATWG HTML section 9.2.6).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::wire::Framing;

/// How the frames of a record are written for a reader that may come back.
#[derive(Debug)]
pub struct Numbering {
    /// The id of the stream.
    pub stream: String,
    /// How the frames are framed in the record. Lines become events: a line has no place for a number.
    pub framing: Framing,
    /// Milliseconds after which an `EventSource` shall come back; said with the first event.
    pub retry: Option<u32>,
}

impl Numbering {
    /// Writes frame `number`.
    pub(super) fn write(&mut self, number: u64, frame: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(frame.len() + self.stream.len() + 48);
        out.put_slice(b"id: ");
        out.put_slice(self.stream.as_bytes());
        out.put_u8(b'.');
        out.put_slice(itoa::Buffer::new().format(number).as_bytes());
        out.put_u8(b'\n');
        // Never in a block of its own: openai-python takes every blank line for an event once it has seen an id.
        if let Some(retry) = self.retry.take() {
            out.put_slice(b"retry: ");
            out.put_slice(itoa::Buffer::new().format(retry).as_bytes());
            out.put_u8(b'\n');
        }
        self.event(frame, &mut out);
        out.freeze()
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
        Numbering { stream: "abc".into(), framing, retry: Some(1500) }
    }

    #[test]
    fn the_first_event_says_when_to_come_back() {
        let mut numbering = numbering(Framing::Sse);
        assert_eq!(numbering.write(7, b"data: x\n\n"), "id: abc.7\nretry: 1500\ndata: x\n\n");
        assert_eq!(numbering.write(8, b"event: e\ndata: y\n\n"), "id: abc.8\nevent: e\ndata: y\n\n");
    }

    #[test]
    fn lines_become_events() {
        let mut numbering = numbering(Framing::Ndjson);
        numbering.retry = None;
        assert_eq!(numbering.write(1, b"{\"a\":1}\n"), "id: abc.1\ndata: {\"a\":1}\n\n");
    }
}
