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
    /// The pages that frames are kept in; the last one is being filled.
    pages: VecDeque<Page>,
    /// What was allocated for pages, and for frames that have no page.
    allocated: usize,
}

#[derive(Debug)]
struct Page {
    /// The number of the last frame in it.
    last: u64,
    size: usize,
}

/// Frames are copied, many to a page: as they come they are parts of what was read from a socket, and one small frame would keep
/// all of a large buffer. The first pages of a record are smaller: most records are small.
const PAGE: usize = 4096;
const FIRST_PAGE: usize = 512;
/// What is larger has a place of its own.
const SMALL: usize = PAGE / 4;
/// What an allocation of shared bytes takes beside them: the allocator's head, and the count of those who share them.
const ALLOCATION: usize = 64;
/// What a frame takes beside its bytes.
pub(super) const FRAME: usize = size_of::<Bytes>();

impl Default for Frames {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            first: 1,
            bytes: 0,
            ever: 0,
            page: BytesMut::new(),
            pages: VecDeque::new(),
            allocated: 0,
        }
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

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the frames take in memory.
    pub(super) fn memory(&self) -> usize {
        self.allocated + self.kept.capacity() * FRAME + self.pages.capacity() * size_of::<Page>()
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
            self.allocated += frame.len() + ALLOCATION;
            Bytes::copy_from_slice(frame)
        } else {
            if self.page.capacity() < frame.len() || self.pages.is_empty() {
                self.turn_page(frame.len());
            }
            let number = self.last() + 1;
            if let Some(page) = self.pages.back_mut() {
                page.last = number;
            }
            self.page.extend_from_slice(frame);
            self.page.split().freeze()
        };
        self.bytes += frame.len();
        self.ever += frame.len() as u64;
        self.kept.push_back(kept);
    }

    /// Begins a page with room for a frame of this size.
    fn turn_page(&mut self, frame: usize) {
        let before = self.pages.back().map_or(0, |page| page.size);
        self.pages.pop_back_if(|page| page.last < self.first).inspect(|page| {
            self.allocated -= page.size + ALLOCATION;
        });
        let size = (before * 2).max(frame.next_power_of_two()).clamp(FIRST_PAGE, PAGE);
        self.page = BytesMut::with_capacity(size);
        self.pages.push_back(Page { last: self.last(), size });
        self.allocated += size + ALLOCATION;
    }

    /// Drops the oldest frame, unless it is the only one; gives its size.
    pub(super) fn pop(&mut self) -> Option<usize> {
        if self.kept.len() < 2 {
            return None;
        }
        let size = self.kept.pop_front()?.len();
        self.first += 1;
        self.bytes -= size;
        if size > SMALL {
            self.allocated -= size + ALLOCATION;
        }
        // The last page is kept for the frames to come.
        while self.pages.len() > 1
            && let Some(page) = self.pages.pop_front_if(|page| page.last < self.first)
        {
            self.allocated -= page.size + ALLOCATION;
        }
        Some(size)
    }

    /// Drops all frames; the next one has the number `next`.
    pub(super) fn restart(&mut self, next: u64) {
        let ever = self.ever;
        *self = Self { first: next, ever, ..Self::default() };
    }

    /// There will be no more frames, or not soon: lets go of what is allocated and holds none.
    pub(super) fn shrink(&mut self) {
        self.page = BytesMut::new();
        if let Some(page) = self.pages.pop_back() {
            self.allocated -= page.size + ALLOCATION;
            let full = self.pages.back().map_or(0, |page| (page.last + 1).saturating_sub(self.first));
            let (full, last) = (usize::try_from(full).unwrap_or(usize::MAX), self.last());
            let in_it = |frame: &&mut Bytes| frame.len() <= SMALL;
            let size = self.kept.iter().skip(full).map(Bytes::len).filter(|size| *size <= SMALL).sum();
            let mut bytes = Vec::with_capacity(size);
            for frame in self.kept.iter_mut().skip(full).filter(in_it) {
                bytes.extend_from_slice(frame);
            }
            let mut bytes = Bytes::from(bytes);
            for frame in self.kept.iter_mut().skip(full).filter(in_it) {
                *frame = bytes.split_to(frame.len());
            }
            if size > 0 {
                self.pages.push_back(Page { last, size });
                self.allocated += size + ALLOCATION;
            }
        }
        self.kept.shrink_to_fit();
        self.pages.shrink_to_fit();
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
        frames.restart(5000);
        frames.push(b"x");
        assert_eq!((frames.first(), frames.last(), frames.bytes()), (5000, 5000, 1));
        assert_eq!(frames.pop(), None, "the newest of all stays");
    }

    /// What is left of every allocation that frames share, counted by their addresses.
    fn told_of(frames: &Frames) -> Vec<Vec<u8>> {
        frames.behind(0).map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn what_frames_take_in_memory_is_counted_by_what_was_allocated() {
        let mut frames = Frames::default();
        assert_eq!(frames.memory(), 0);
        frames.push(b"x");
        assert!((FIRST_PAGE..2 * FIRST_PAGE).contains(&frames.memory()), "{}", frames.memory());
        for _ in 0..10_000 {
            frames.push(b"x");
        }
        assert!(frames.memory() > 10_000 * (1 + FRAME), "{}", frames.memory());
        frames.restart(1);
        frames.push(&[7; SMALL + 1]);
        assert!(frames.memory() > SMALL && frames.memory() < 2 * SMALL, "{}", frames.memory());
    }

    #[test]
    fn memory_is_given_back_with_the_frames_whatever_their_sizes() {
        let mut frames = Frames::default();
        for round in 0..3000_usize {
            frames.push(&vec![7; [1, SMALL, SMALL + 1, 60, 5000, 300][round % 6]]);
            if round % 7 > 2 {
                frames.pop();
            }
        }
        let before = frames.memory();
        while frames.pop().is_some() {}
        frames.shrink();
        assert!(before > 1 << 20 && frames.memory() < 1000, "{before} bytes, then {}", frames.memory());
        let only = frames.newest().unwrap().len();
        assert_eq!((frames.bytes(), frames.len()), (only, 1));
    }

    #[test]
    fn a_record_that_has_ended_takes_little_more_than_its_bytes() {
        for count in [1, 3, 40, 1000] {
            let mut frames = Frames::default();
            for number in 0..count {
                frames.push(format!("data: {number}\n\n").as_bytes());
                frames.push(&vec![b'x'; if number % 9 == 4 { 2000 } else { 50 }]);
            }
            let said = told_of(&frames);
            frames.shrink();
            assert_eq!(told_of(&frames), said);
            let content = frames.bytes() + frames.len() * FRAME;
            let room = 200 + content / 2; // the ends of pages, and what counts those who share them
            assert!(frames.memory() <= content + room, "{count}: {} for {content}", frames.memory());
            frames.push(b"more");
            assert_eq!(frames.newest().unwrap(), "more");
            assert_eq!(frames.get(1).unwrap(), "data: 0\n\n");
        }
    }
}
