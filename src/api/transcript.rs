//! What a record says so far, read back from its frames.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::label::Label;
use crate::journal::Record;
use crate::relay::now;
use crate::wire::{Answer, Decode as _, Decoder, Flow, Frame, Splitter};

/// The answers of running streams that were asked for, so that who polls has only what is new read for them.
#[derive(Default)]
pub struct Transcripts(Mutex<HashMap<String, Transcript>>);

/// How many of them are remembered, how large, and for how long after somebody asked. The others are read anew.
const REMEMBERED: usize = 16;
const REMEMBERED_BYTES: usize = 4 << 20;
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// An answer as far as it was read.
struct Transcript {
    splitter: Splitter,
    decoder: Decoder,
    answer: Answer,
    /// The number of the last frame that was read.
    last: u64,
    over: bool,
    asked: Instant,
}

impl Transcripts {
    /// Shows the answer so far. Of a record whose oldest frames are gone, what the others say. It is read without the lock, for
    /// that may take long: who asks meanwhile reads it too.
    pub(super) fn read<T>(&self, record: &Record, label: &Label, show: impl FnOnce(&Answer) -> T) -> T {
        let id = &record.meta().id;
        let runs = record.is_running();
        let known = self.0.lock().remove(id);
        let mut transcript = known.unwrap_or_else(|| Transcript::new(record, label));
        transcript.go_on(record);
        if !runs {
            transcript.end();
        }
        let shown = show(&transcript.answer);
        if runs && transcript.answer.size <= REMEMBERED_BYTES {
            transcript.asked = Instant::now();
            let mut known = self.0.lock();
            known.retain(|_, other| other.asked.elapsed() < REMEMBERED_FOR);
            if known.len() >= REMEMBERED {
                known.clear(); // whoever still polls has it read once more
            }
            known.insert(id.clone(), transcript);
        }
        shown
    }
}

impl fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transcripts")
    }
}

impl Transcript {
    fn new(record: &Record, label: &Label) -> Self {
        Self {
            splitter: Splitter::new(label.dialect().framing(), usize::MAX >> 1),
            decoder: Decoder::new(label.dialect(), &record.meta().id),
            answer: Answer::default(),
            last: 0,
            over: false,
            asked: Instant::now(),
        }
    }

    fn go_on(&mut self, record: &Record) {
        let (first, frames) = record.frames_after(self.last);
        self.last = first - 1 + frames.len() as u64;
        for frame in frames {
            self.splitter.push(frame);
            while let Ok(Some(event)) = self.splitter.next_frame() {
                self.add(&event);
            }
        }
    }

    fn end(&mut self) {
        if let Some(event) = self.splitter.finish() {
            self.add(&event);
        }
    }

    fn add(&mut self, event: &Frame) {
        if !self.over {
            let (at, answer) = (now(), &mut self.answer);
            let flow = self.decoder.decode(event, &mut |event| answer.add(&event, at));
            self.over = !matches!(flow, Ok(Flow::More));
        }
    }
}

/// The last event of a record that says something: some servers send a `[DONE]` behind a response that is over.
pub(super) fn last_event(record: &Record, label: &Label) -> Option<Frame> {
    let last = events_in(record.last_frame()?, label).pop()?;
    if last.data.trim_ascii() != b"[DONE]" {
        return Some(last);
    }
    let (_, frames) = record.frames_after(record.status().last.saturating_sub(2));
    events_in(frames.into_iter().next()?, label).pop()
}

/// The first event that is kept of a record.
pub(super) fn first_event(record: &Record, label: &Label) -> Option<Frame> {
    event_of(record.first_frame()?, label)
}

/// The first event of a frame.
pub(super) fn event_of(frame: Bytes, label: &Label) -> Option<Frame> {
    let mut events = events_in(frame, label);
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
