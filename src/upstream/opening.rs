//! The beginning of an answer. What it is, its bytes say and not its label: servers answer with a whole completion where a
//! stream was asked for, label events as JSON, and give pages and texts with status 200.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use crate::telemetry::Access;
use crate::upstream::backend::Backend;
use crate::upstream::body::{FrameStream, Next, StreamError};
use crate::upstream::plan::Candidate;
use crate::upstream::refused::Attempted;
use crate::wire::{Code, Decode as _, Decoder, Event, Flow, Frame, Framing, progress, read_failure, unfold};

/// How much an answer may say before its first content.
const HELD_BYTES: usize = 1 << 20;
/// The largest whole answer that is taken for a stream.
const WHOLE_BYTES: usize = 64 << 20;
/// How much is read of what is no answer.
const PAGE_BYTES: usize = 64 << 10;
const EARLY: &str = "the backend ended its answer before its first token";

/// What the first bytes that say something are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// Events or lines, as they were asked for.
    Frames,
    /// An object where events were asked for: a whole answer, or an error.
    Json,
    /// A page, a text, a list or a string.
    Other,
}

/// The first bytes of an answer.
#[derive(Debug, Default)]
pub(super) struct First(SmallVec<[u8; 8]>);

impl First {
    /// Adds what came. `None`: more must come before it can be told.
    pub(super) fn add(&mut self, bytes: &[u8], framing: Framing, labelled: bool) -> Option<Looks> {
        for byte in bytes {
            let blank = byte.is_ascii_whitespace() || BOM.contains(byte);
            if !(self.0.is_empty() && blank) {
                self.0.push(*byte);
            }
            if let Some(looks) = self.looks(framing, labelled) {
                return Some(looks);
            }
        }
        None
    }

    fn looks(&self, framing: Framing, labelled: bool) -> Option<Looks> {
        let first = *self.0.first()?;
        match (framing, first) {
            (_, b'<') | (Framing::Sse, b'[' | b'"') => Some(Looks::Other),
            (Framing::Ndjson, _) | (Framing::Sse, b':') => Some(Looks::Frames),
            (Framing::Sse, b'{') => Some(Looks::Json),
            // Other fields are lawful where it is said to be an event stream.
            (Framing::Sse, _) if labelled => Some(Looks::Frames),
            (Framing::Sse, _) => {
                let begins = |field: &&&[u8]| field.starts_with(&self.0) || self.0.starts_with(field);
                match FIELDS.iter().find(begins) {
                    Some(field) if self.0.len() < field.len() => None,
                    Some(_) => Some(Looks::Frames),
                    None => Some(Looks::Other),
                }
            }
        }
    }
}

/// A byte order mark, which may stand before anything.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
/// The fields of events, and the one by which older llama.cpp tells its errors.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

/// Reads up to the first content, or to an answer that ends well without any. False: there is progress alone, for a client that
/// wants it.
pub(super) async fn read(
    frames: &mut FrameStream,
    candidate: &Candidate,
    labelled: bool,
    access: &Access,
) -> Result<(Vec<Frame>, bool), Attempted> {
    let (looks, early) = frames.looks(candidate.dialect.framing(), labelled).await?;
    if looks == Looks::Other {
        return Err(no_answer(early, frames, candidate).await);
    }
    if looks == Looks::Json {
        frames.limit(WHOLE_BYTES);
    }
    frames.feed(early);
    let mut reading = Reading::new(candidate, access, looks == Looks::Json);
    loop {
        let shown = reading.shown.filter(|_| reading.progressed);
        let Some(next) = next_before(frames, shown).await else {
            return Ok((reading.held, false));
        };
        let (frame, last) = match next? {
            Next::Frame(frame) => (Some(frame), false),
            Next::End(frame) => (frame, true),
        };
        let mut content = false;
        if let Some(frame) = frame.filter(|frame| !frame.data.is_empty()) {
            content = reading.take(frame, last)?;
        }
        if content || reading.size > HELD_BYTES {
            return Ok((reading.held, true));
        }
        if last {
            return Err(Attempted::retryable(Code::UpstreamTruncated, EARLY));
        }
    }
}

/// The next frame; `None`: it has not come by then.
async fn next_before(frames: &mut FrameStream, at: Option<Instant>) -> Option<Result<Next, StreamError>> {
    match at {
        Some(at) => timeout_at(at, frames.next()).await.ok(),
        None => Some(frames.next().await),
    }
}

/// What came so far.
struct Reading<'c> {
    candidate: &'c Candidate,
    access: &'c Access,
    decoder: Decoder,
    held: Vec<Frame>,
    size: usize,
    /// Nothing was read yet.
    first: bool,
    /// The body is JSON without any field.
    whole: bool,
    /// When progress is shown, and whether there is any. Who asked for it wants it then; the head is out by that time.
    shown: Option<Instant>,
    progressed: bool,
}

impl<'c> Reading<'c> {
    fn new(candidate: &'c Candidate, access: &'c Access, whole: bool) -> Self {
        Self {
            candidate,
            access,
            decoder: Decoder::new(candidate.dialect, ""),
            held: Vec::new(),
            size: 0,
            first: true,
            whole,
            shown: candidate.progress_after.map(|after| Instant::now() + after),
            progressed: false,
        }
    }

    /// Takes a frame; true if it is content. A whole answer is taken as the events that it would have been.
    fn take(&mut self, frame: Frame, last: bool) -> Result<bool, Attempted> {
        let first = std::mem::replace(&mut self.first, false);
        let unfolded = first.then(|| unfold(self.candidate.dialect, &frame.data, self.whole)).flatten();
        let mut content = false;
        for frame in unfolded.unwrap_or_else(|| vec![frame]) {
            let read = progress(&frame);
            if let Some(read) = read {
                self.access.prefilled(read.percent);
                self.progressed = true;
            }
            let alone = read.is_some_and(|read| read.alone);
            content |= self.hear(&frame, alone, last)?;
            if !alone || self.shown.is_some() {
                self.size += frame.raw.len();
                self.held.push(frame);
            }
        }
        Ok(content)
    }

    /// Is it content? `alone`: it tells of progress and nothing else, also of a further choice.
    fn hear(&mut self, frame: &Frame, alone: bool, last: bool) -> Result<bool, Attempted> {
        let (mut content, mut failure) = (false, None);
        let flow = self.decoder.decode(frame, &mut |event| {
            content |= event.is_content();
            if let Event::Fail(failed) = event {
                failure = Some(failed);
            }
        });
        if let Some(failure) = failure {
            return Err(Attempted::told(&self.candidate.backend, failure));
        }
        if matches!(flow, Ok(Flow::Truncated)) {
            return Err(Attempted::retryable(Code::UpstreamTruncated, EARLY));
        }
        if flow.is_err() && !last {
            let words = "the backend answered with something that is not an event of its API";
            return Err(Attempted::retryable(Code::UpstreamError, words));
        }
        Ok((content && !alone) || matches!(flow, Ok(Flow::Ended)) || self.decoder.complete())
    }
}

/// Tells what stands in place of an answer: a list or a string may be an error, anything else is none of this API.
async fn no_answer(early: Vec<Bytes>, frames: &mut FrameStream, candidate: &Candidate) -> Attempted {
    let mut body = BytesMut::from(early.concat().as_slice());
    while let Ok(Some(chunk)) = frames.bytes().await {
        body.extend_from_slice(&chunk);
        if body.len() > PAGE_BYTES {
            break;
        }
    }
    let body = candidate.backend.scrub(&body.freeze());
    strange(&candidate.backend, &body.slice(..body.len().min(PAGE_BYTES / 2)))
}

/// The failure of an answer with status 200 that is none of its API.
pub(super) fn strange(backend: &Backend, body: &Bytes) -> Attempted {
    let said = read_failure(body);
    if matches!(body.trim_ascii().first(), Some(b'[' | b'"')) && said.status.is_some() {
        return Attempted::told(backend, said);
    }
    let words =
        format!("the backend `{}` answered with something that is no answer: {}", backend.name, said.message);
    Attempted::retryable(Code::UpstreamError, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(bytes: &str, labelled: bool) -> Option<Looks> {
        let mut first = First::default();
        let whole = first.add(bytes.as_bytes(), Framing::Sse, labelled);
        let mut cut = First::default();
        let pieces = bytes.as_bytes().chunks(1).find_map(|byte| cut.add(byte, Framing::Sse, labelled));
        assert_eq!(whole, pieces, "{bytes}");
        whole
    }

    #[test]
    fn the_first_bytes_tell_what_an_answer_is() {
        for (bytes, labelled, wanted) in [
            ("data: {}\n\n", false, Some(Looks::Frames)),
            ("\u{feff}data:{}", false, Some(Looks::Frames)),
            (" \n\n{\"id\":1}", true, Some(Looks::Json)),
            (": hello\n", false, Some(Looks::Frames)),
            ("event: x\n", false, Some(Looks::Frames)),
            ("id: 1\n", false, Some(Looks::Frames)),
            ("<html>", true, Some(Looks::Other)),
            ("[{}]", true, Some(Looks::Other)),
            ("upstream connect error", false, Some(Looks::Other)),
            ("x-vendor: 1\n", true, Some(Looks::Frames)),
            ("dat", false, None),
            ("\n\n", false, None),
        ] {
            assert_eq!(looks(bytes, labelled), wanted, "{bytes}");
        }
    }
}
