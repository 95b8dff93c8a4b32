//! Puts the blocks of an answer one after the other, for dialects in which only one may be open: what comes of another block
//! meanwhile waits until the open one is closed. An answer that is in order already passes without a copy.

use std::collections::VecDeque;

use crate::wire::answer::AnswerBlock;
use crate::wire::event::Event;

/// Which block is open, and what waits for its end.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    open: Option<u32>,
    /// By index: blocks are opened in that order.
    waiting: VecDeque<Waiting>,
    /// Bytes that wait.
    held: usize,
}

#[derive(Debug)]
struct Waiting {
    index: u32,
    block: AnswerBlock,
    /// Bytes held for it.
    size: usize,
    closed: bool,
}

impl Sequence {
    /// Passes one event on, now or later.
    pub(super) fn pass(&mut self, event: &Event<'_>, mut emit: impl FnMut(&Event<'_>)) {
        match event {
            Event::Open { index, block } => {
                if self.open.is_some() {
                    let block = AnswerBlock::new(*block);
                    let size = block.size();
                    self.held += size;
                    self.waiting.push_back(Waiting { index: *index, block, size, closed: false });
                } else {
                    self.open = Some(*index);
                    emit(event);
                }
            }
            Event::Delta { index, .. } | Event::Citation { index, .. } | Event::Signature { index, .. } => {
                if self.open == Some(*index) {
                    emit(event);
                } else if let Some(waiting) = self.waiting(*index) {
                    let size = waiting.block.add(event);
                    waiting.size += size;
                    self.held += size;
                }
            }
            Event::Close { index } if self.open == Some(*index) => {
                self.open = None;
                emit(event);
                self.next(emit);
            }
            Event::Close { index } => {
                if let Some(waiting) = self.waiting(*index) {
                    waiting.closed = true;
                }
            }
            Event::Start
            | Event::Usage(_)
            | Event::StopSequence(_)
            | Event::Finish(_)
            | Event::Fail(_)
            | Event::Other { .. }
            | Event::Aside { .. } => emit(event),
        }
    }

    fn waiting(&mut self, index: u32) -> Option<&mut Waiting> {
        let at = self.waiting.binary_search_by_key(&index, |waiting| waiting.index).ok()?;
        self.waiting.get_mut(at)
    }

    /// Bytes that wait for the end of the open block.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Emits what waited, up to the first block that is still open.
    fn next(&mut self, mut emit: impl FnMut(&Event<'_>)) {
        while let Some(Waiting { index, block, size, closed }) = self.waiting.pop_front() {
            self.held -= size;
            block.replay(index, &mut emit);
            if !closed {
                self.open = Some(index);
                return;
            }
            emit(&Event::Close { index });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::event::Block;
    use crate::wire::json::Text;

    #[test]
    fn interleaved_blocks_come_one_after_the_other_with_all_they_hold() {
        let call = |name| Block::ToolCall { id: Text::Plain(name), name: Text::Plain(name) };
        let delta = |index, text| Event::Delta { index, text: Text::Plain(text) };
        let events = [
            Event::Open { index: 0, block: call("a") },
            Event::Open { index: 1, block: call("b") },
            Event::Open { index: 2, block: call("c") },
            delta(1, "b1"),
            delta(0, "a1"),
            delta(2, "c1"),
            delta(1, "b2"),
            Event::Close { index: 1 },
            delta(0, "a2"),
            Event::Close { index: 0 },
            delta(2, "c2"),
            Event::Close { index: 2 },
        ];
        let mut sequence = Sequence::default();
        let mut seen = Vec::new();
        for event in &events {
            sequence.pass(event, |event| {
                seen.push(match event {
                    Event::Open { index, .. } => format!("open {index}"),
                    Event::Delta { index, text } => format!("{index} {}", text.plain()),
                    Event::Start
                    | Event::Signature { .. }
                    | Event::Close { .. }
                    | Event::Usage(_)
                    | Event::Citation { .. }
                    | Event::StopSequence(_)
                    | Event::Finish(_)
                    | Event::Fail(_)
                    | Event::Other { .. }
                    | Event::Aside { .. } => format!("{event:?}"),
                });
            });
        }
        let close = |index| format!("{:?}", Event::Close { index });
        let expected = [
            "open 0",
            "0 a1",
            "0 a2",
            &close(0),
            "open 1",
            "1 b1b2",
            &close(1),
            "open 2",
            "2 c1",
            "2 c2",
            &close(2),
        ];
        assert_eq!(seen, expected);
    }
}
