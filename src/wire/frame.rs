//! Frames: one event as bytes, as it was split off a backend's stream or written for a client.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

/// One event of a backend's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The whole event in the plainest lawful form, its end included: what a client of the same dialect is sent. A slice of
    /// what arrived where that was plain already.
    pub raw: Bytes,
    /// The value of the SSE `event:` field.
    pub event: Option<Bytes>,
    /// The payload: the joined `data:` lines, or the line without its end.
    pub data: Bytes,
}

impl Frame {
    /// Is the payload complete? Asked of a last event that lacks its end.
    pub fn is_complete(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<&RawValue>(&self.data).is_ok()
    }
}

/// Frames being written: one buffer, and where each frame in it ends.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
    ends: Vec<usize>,
}

impl Frames {
    /// The buffer, to write one frame into; [`Frames::end`] must follow.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The frame that is being written.
    pub fn unfinished(&self) -> &[u8] {
        self.buffer.get(self.ends.last().copied().unwrap_or(0)..).unwrap_or_default()
    }

    /// Replaces the frame that is being written.
    pub fn rewrite(&mut self, frame: &[u8]) {
        self.buffer.truncate(self.ends.last().copied().unwrap_or(0));
        self.buffer.put_slice(frame);
    }

    /// What was written since the last end is one frame.
    pub fn end(&mut self) {
        self.ends.push(self.buffer.len());
    }

    /// Adds one frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.buffer.put_slice(frame);
        self.end();
    }

    /// Takes all of it out as one piece.
    pub fn joined(&mut self) -> Bytes {
        self.ends.clear();
        self.buffer.split().freeze()
    }

    /// Takes the frames out, each as a slice of one allocation.
    pub fn drain(&mut self) -> impl Iterator<Item = Bytes> {
        // Many events of a backend are nothing to the client: they must not cost an allocation.
        let mut rest = if self.ends.is_empty() { Bytes::new() } else { self.buffer.split().freeze() };
        let mut start = 0;
        self.ends.drain(..).map(move |end| {
            let frame = rest.split_to(end - start);
            start = end;
            frame
        })
    }
}
