//! What a record says so far, read back from its frames.

use bytes::Bytes;

use crate::api::label::Label;
use crate::journal::Record;
use crate::relay::now;
use crate::wire::{Answer, Decode as _, Decoder, Flow, Frame, Splitter};

/// The answer so far. Of a record whose oldest frames are gone, what the others say.
pub(super) fn read(record: &Record, label: &Label) -> Answer {
    let mut answer = Answer::default();
    let mut decoder = Decoder::new(label.dialect(), &record.meta().id);
    for frame in events(record, label) {
        let at = now();
        match decoder.decode(&frame, &mut |event| answer.add(&event, at)) {
            Ok(Flow::More) => {}
            Ok(Flow::Ended | Flow::Truncated) | Err(_) => break,
        }
    }
    answer
}

/// The events of a record.
fn events(record: &Record, label: &Label) -> Vec<Frame> {
    let mut splitter = Splitter::new(label.dialect().framing(), usize::MAX >> 1);
    let mut events = Vec::new();
    for frame in record.frames() {
        splitter.push(frame);
        while let Ok(Some(event)) = splitter.next_frame() {
            events.push(event);
        }
    }
    events.extend(splitter.finish());
    events
}

/// The last event of a record.
pub(super) fn last_event(record: &Record, label: &Label) -> Option<Frame> {
    events_in(record.last_frame()?, label).pop()
}

/// The first event that is kept of a record.
pub(super) fn first_event(record: &Record, label: &Label) -> Option<Frame> {
    let mut events = events_in(record.first_frame()?, label);
    (!events.is_empty()).then(|| events.swap_remove(0))
}

fn events_in(frame: Bytes, label: &Label) -> Vec<Frame> {
    let mut splitter = Splitter::new(label.dialect().framing(), usize::MAX >> 1);
    splitter.push(frame);
    let mut events = Vec::new();
    while let Ok(Some(event)) = splitter.next_frame() {
        events.push(event);
    }
    events.extend(splitter.finish());
    events
}
