//! The bytes that wait to be split: the last chunk as it came where nothing was left of the one before, so that the usual case
//! (a chunk is one event, or several) copies nothing.

use bytes::{Bytes, BytesMut};

/// Bytes in order, taken off at the front.
#[derive(Debug)]
pub(super) enum Buffer {
    /// A chunk, or what is left of it.
    Chunk(Bytes),
    /// What was left of several.
    Joined(BytesMut),
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Chunk(Bytes::new())
    }
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Chunk(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Adds a chunk at the end.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            *self = Self::Chunk(chunk);
            return;
        }
        if let Self::Chunk(bytes) = self {
            *self = Self::Joined(BytesMut::from(bytes.as_ref()));
        }
        if let Self::Joined(bytes) = self {
            bytes.extend_from_slice(&chunk);
        }
    }

    /// Takes bytes off the front, at most as many as there are.
    pub(super) fn split_to(&mut self, at: usize) -> Bytes {
        let at = at.min(self.len());
        match self {
            Self::Chunk(bytes) => bytes.split_to(at),
            Self::Joined(bytes) => bytes.split_to(at).freeze(),
        }
    }
}
