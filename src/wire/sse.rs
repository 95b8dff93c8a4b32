//! Server-Sent Events, read as WHATWG HTML section 9.2.6 has them: lines ended by LF, CR or CRLF, blocks ended by a blank line.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::wire::buffer::Buffer;
use crate::wire::frame::Frame;
use crate::wire::told_failure::is_error;

/// Where the scanner stands in the block at the start of the buffer.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Start of the line that is not complete yet.
    line: usize,
    /// Up to here no line end was found.
    scanned: usize,
    /// The last line ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    fields: Fields,
}

/// JSON lines without any field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bare {
    #[default]
    None,
    Lines,
    /// They are an error, and fields follow in the same block: those do not count.
    Error,
}

#[derive(Debug, Default)]
struct Fields {
    event: Option<Range<usize>>,
    data: SmallVec<[Range<usize>; 2]>,
    /// The block is JSON without any field, as servers write it that fail before they know what was asked of them.
    bare: Bare,
    /// Something stands in the block that must be left out or written in another way.
    rewrite: bool,
}

impl Blocks {
    /// Takes the next block with data off the buffer.
    pub(super) fn next_frame(&mut self, buffer: &mut Buffer) -> Option<Frame> {
        loop {
            if self.after_cr && self.scanned == self.line {
                match buffer.bytes().get(self.line) {
                    None => return None,
                    Some(b'\n') => self.skip_newline(buffer),
                    Some(_) => {}
                }
                self.after_cr = false;
            }
            let unread = buffer.bytes().get(self.scanned..)?;
            let Some(found) = memchr::memchr2(b'\n', b'\r', unread) else {
                self.scanned = buffer.len();
                return None;
            };
            let end = self.scanned + found;
            let cr = buffer.bytes().get(end) == Some(&b'\r');
            self.fields.rewrite |= cr;
            self.after_cr = cr;
            let line = self.line..end;
            (self.line, self.scanned) = (end + 1, end + 1);
            if line.is_empty() {
                if let Some(frame) = self.take_block(buffer) {
                    return Some(frame);
                }
            } else {
                self.fields.read(buffer.bytes(), line);
                if self.fields.event.is_none() && self.fields.data.is_empty() {
                    self.drop_read(buffer); // comments and foreign fields need not wait for their block to end
                }
            }
        }
    }

    /// The body has ended: the block that was not.
    pub(super) fn finish(&mut self, buffer: &mut Buffer) -> Option<Frame> {
        let line = self.line..buffer.len();
        let line_feed_of_crlf = self.after_cr && buffer.bytes().get(self.line..) == Some(b"\n");
        if !line.is_empty() && !line_feed_of_crlf {
            self.fields.read(buffer.bytes(), line);
        }
        self.fields.rewrite = true;
        self.line = buffer.len();
        self.take_block(buffer)
    }

    /// The LF of a CRLF: dropped at the start of the buffer, otherwise a part of the line end.
    fn skip_newline(&mut self, buffer: &mut Buffer) {
        if self.line == 0 {
            drop(buffer.split_to(1));
        } else {
            (self.line, self.scanned) = (self.line + 1, self.line + 1);
        }
    }

    fn drop_read(&mut self, buffer: &mut Buffer) {
        drop(buffer.split_to(self.line));
        (self.line, self.scanned) = (0, 0);
        self.fields = Fields::default();
    }

    /// The block that a blank line has just ended; `None` if it has no data.
    fn take_block(&mut self, buffer: &mut Buffer) -> Option<Frame> {
        let block = buffer.split_to(self.line);
        (self.line, self.scanned) = (0, 0);
        std::mem::take(&mut self.fields).frame(block)
    }
}

impl Fields {
    fn read(&mut self, buffer: &[u8], line: Range<usize>) {
        let Some(bytes) = buffer.get(line.clone()) else {
            return;
        };
        if self.is_bare(buffer, bytes) {
            if self.bare == Bare::Lines {
                self.data.push(line);
            }
            return;
        }
        let colon = memchr::memchr(b':', bytes);
        let (name, mut value) = match colon {
            Some(at) => (bytes.get(..at), line.start + at + 1..line.end),
            None => (Some(bytes), line.end..line.end),
        };
        let spaced = buffer.get(value.start) == Some(&b' ') && !value.is_empty();
        value.start += usize::from(spaced);
        match name {
            Some(b"data") => self.data.push(value),
            Some(b"event") => {
                self.rewrite |= self.event.is_some() || !self.data.is_empty();
                self.event = Some(value);
            }
            // Older llama.cpp tells its errors in a field of that name: the same as an event `error`.
            Some(b"error") if buffer.get(value.start) == Some(&b'{') => {
                self.event = Some(line.start..line.start + b"error".len());
                self.data.push(value);
                self.rewrite = true;
            }
            // `id:` would claim a place in our own numbering, `retry:` our own timing; comments are made anew.
            Some(_) | None => self.rewrite = true,
        }
    }

    /// Is the line one of JSON without a field, or behind such that are an error? Asked of every line.
    fn is_bare(&mut self, buffer: &[u8], line: &[u8]) -> bool {
        let field = line.starts_with(b"data:") || line.starts_with(b"event:");
        match self.bare {
            Bare::None if line.first() == Some(&b'{') && self.event.is_none() && self.data.is_empty() => {
                (self.bare, self.rewrite) = (Bare::Lines, true);
            }
            Bare::Lines if field => {
                let lines: Vec<&[u8]> =
                    self.data.iter().filter_map(|range| buffer.get(range.clone())).collect();
                if is_error(&lines.join(&b'\n')) {
                    self.bare = Bare::Error;
                } else {
                    *self = Self { rewrite: true, ..Self::default() };
                }
            }
            Bare::None | Bare::Lines | Bare::Error => {}
        }
        self.bare != Bare::None
    }

    fn frame(self, block: Bytes) -> Option<Frame> {
        let mut event = self.event.filter(|range| !range.is_empty()).map(|range| block.slice(range));
        let data = match self.data.as_slice() {
            [] => return None,
            [one] => block.slice(one.clone()),
            several => {
                let lines: Vec<&[u8]> = several.iter().filter_map(|range| block.get(range.clone())).collect();
                Bytes::from(lines.join(&b'\n'))
            }
        };
        if self.bare != Bare::None && is_error(&data) {
            event = Some(Bytes::from_static(b"error"));
        }
        let raw = if self.rewrite { plainest(event.as_deref(), &data) } else { block };
        Some(Frame { raw, event, data })
    }
}

/// The plainest form of an event: `event:` if it has a name, then its data, each line behind one space, ended by LF.
fn plainest(event: Option<&[u8]>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16 + event.map_or(0, |name| name.len() + 8));
    if let Some(name) = event {
        out.put_slice(b"event: ");
        out.put_slice(name);
        out.put_u8(b'\n');
    }
    for line in data.split(|&byte| byte == b'\n') {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    out.freeze()
}
