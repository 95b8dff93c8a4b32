//! Newline-delimited JSON: one object a line; blank lines, spaces around a line and CRLF are read over.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::buffer::Buffer;
use crate::wire::frame::Frame;

/// Where the scanner stands in the line at the start of the buffer.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Up to here no newline was found.
    scanned: usize,
}

impl Lines {
    /// Takes the next line that is not blank off the buffer.
    pub(super) fn next_frame(&mut self, buffer: &mut Buffer) -> Option<Frame> {
        loop {
            let Some(found) = memchr::memchr(b'\n', buffer.bytes().get(self.scanned..)?) else {
                self.scanned = buffer.len();
                return None;
            };
            let line = buffer.split_to(self.scanned + found + 1);
            self.scanned = 0;
            if let Some(frame) = read(&line) {
                return Some(frame);
            }
        }
    }

    /// The body has ended: the line that was not.
    pub(super) fn finish(&mut self, buffer: &mut Buffer) -> Option<Frame> {
        self.scanned = 0;
        read(&buffer.split_to(usize::MAX))
    }
}

fn read(line: &Bytes) -> Option<Frame> {
    let data = line.slice_ref(line.trim_ascii());
    if data.is_empty() {
        return None;
    }
    let behind = line.len() - line.trim_ascii_start().len() + data.len();
    let raw = if line.get(behind..) == Some(b"\n") {
        line.slice(behind - data.len()..)
    } else {
        let mut out = BytesMut::with_capacity(data.len() + 1);
        out.put_slice(&data);
        out.put_u8(b'\n');
        out.freeze()
    };
    Some(Frame { raw, event: None, data })
}
