//! The frames of a record that are kept, one behind another, with their numbers.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Frames, numbered from 1. The oldest go first.
#[derive(Debug)]
pub(super) struct Frames {
    kept: VecDeque<Bytes>,
    /// The number of the first frame that is kept.
    first: u64,
    bytes: usize,
    /// Bytes of all frames there ever were.
    ever: u64,
    /// Where the next frames go.
    page: BytesMut,
}

/// Frames are copied, many to a page: as they come they are parts of what was read from a socket, and one small frame would keep
/// all of a large buffer.
const PAGE: usize = 4096;
/// What is larger has a place of its own.
const SMALL: usize = PAGE / 4;

impl Default for Frames {
    fn default() -> Self {
        Self { kept: VecDeque::new(), first: 1, bytes: 0, ever: 0, page: BytesMut::new() }
    }
}

impl Frames {
    /// The number of the first frame that is kept, or of the next one.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the last frame there ever was.
    pub(super) fn last(&self) -> u64 {
        self.first + self.kept.len() as u64 - 1
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of all frames there ever were.
    pub(super) fn ever(&self) -> u64 {
        self.ever
    }

    pub(super) fn get(&self, number: u64) -> Option<&Bytes> {
        self.kept.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// What is kept of the frames behind frame `after`.
    pub(super) fn behind(&self, after: u64) -> impl Iterator<Item = &Bytes> {
        let seen = after.saturating_add(1).saturating_sub(self.first);
        self.kept.iter().skip(usize::try_from(seen).unwrap_or(usize::MAX))
    }

    pub(super) fn oldest(&self) -> Option<&Bytes> {
        self.kept.front()
    }

    pub(super) fn newest(&self) -> Option<&Bytes> {
        self.kept.back()
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        let kept = if frame.len() > SMALL {
            Bytes::copy_from_slice(frame)
        } else {
            if self.page.capacity() < frame.len() {
                self.page = BytesMut::with_capacity(PAGE);
            }
            self.page.extend_from_slice(frame);
            self.page.split().freeze()
        };
        self.bytes += frame.len();
        self.ever += frame.len() as u64;
        self.kept.push_back(kept);
    }

    /// Drops the oldest frame, unless it is the only one; gives its size.
    pub(super) fn pop(&mut self) -> Option<usize> {
        if self.kept.len() < 2 {
            return None;
        }
        let size = self.kept.pop_front()?.len();
        self.first += 1;
        self.bytes -= size;
        Some(size)
    }

    /// Drops all frames; the next one has the number `next`. Gives the bytes that were freed.
    pub(super) fn restart(&mut self, next: u64) -> usize {
        self.kept = VecDeque::new();
        self.page = BytesMut::new();
        self.first = next;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Buffer {
        bytes: Vec<u8>,
        _alive: Arc<()>,
    }

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    #[test]
    fn a_frame_does_not_keep_what_it_was_read_with() {
        let mut frames = Frames::default();
        let alive = Arc::new(());
        for size in [10, SMALL + 1] {
            let read = Bytes::from_owner(Buffer { bytes: vec![7; 1 << 20], _alive: Arc::clone(&alive) });
            frames.push(&read.slice(..size));
        }
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(frames.bytes(), 10 + SMALL + 1);
    }

    #[test]
    fn frames_keep_their_numbers() {
        let mut frames = Frames::default();
        assert_eq!((frames.first(), frames.last()), (1, 0));
        for number in 1..=1000_u32 {
            frames.push(number.to_string().as_bytes());
        }
        assert_eq!(frames.get(1000).unwrap(), "1000");
        assert_eq!((frames.get(0), frames.get(1001)), (None, None));
        assert_eq!(frames.pop(), Some(1));
        assert_eq!((frames.first(), frames.last(), frames.get(1)), (2, 1000, None));
        assert_eq!(frames.behind(998).collect::<Vec<_>>(), ["999", "1000"]);
        assert_eq!(frames.behind(0).count(), 999);
        assert_eq!(frames.behind(u64::MAX).count(), 0);
        assert_eq!(frames.restart(5000) as u64, frames.ever() - 1);
        frames.push(b"x");
        assert_eq!((frames.first(), frames.last(), frames.bytes()), (5000, 5000, 1));
        assert_eq!(frames.pop(), None, "the newest of all stays");
    }
}
