//! From a frame of the backend to frames for the client: the same bytes where both speak one dialect, translated where they do
//! not. In both cases the frame is decoded, for the meter and to know how the answer stands.

use std::sync::Arc;

use bytes::Bytes;

use crate::relay::meter::Meter;
use crate::relay::{Client, HELD_BYTES, now, too_large, truncated};
use crate::upstream::Backend;
use crate::wire::{
    Code, Decode as _, Decoder, Dialect, Encode as _, EncodeError, Encoder, Event, Failure, Flow, Frame,
    Frames, Names, Timestamp, Translation, beside_usage, is_seen, progress, without_progress,
};

/// How the frames of one answer are rewritten.
#[derive(Debug)]
pub(super) struct Rewrite {
    backend: Arc<Backend>,
    decoder: Decoder,
    to: To,
    /// Is a `[DONE]` to end a response?
    done: bool,
}

#[derive(Debug)]
enum To {
    Same {
        dialect: Dialect,
        hide_usage: bool,
        /// The gateway asked for progress, not the client.
        hide_progress: bool,
        /// An error that is not the last frame of its dialect, and what it says: the two go out together.
        held: Option<(Bytes, Failure)>,
    },
    Other(Box<Translator>),
}

/// Writes the answer anew, in the dialect of the client.
#[derive(Debug)]
struct Translator {
    names: Names,
    translation: Translation,
    encoder: Encoder,
    frames: Frames,
}

impl Translator {
    fn pass(&mut self, event: Event<'_>, at: Timestamp) -> Result<(), EncodeError> {
        let Self { names, translation, encoder, frames } = self;
        translation.pass(&names.restore(event), &mut |event| encoder.encode(event, at, frames))
    }
}

/// How the answer stands behind a frame.
#[derive(Debug)]
pub(super) enum Step {
    More,
    /// It is complete, terminator included.
    Ended,
    Failed(Failure),
    /// The backend's own error frame is the client's dialect already.
    FailedSame {
        frame: Bytes,
        failure: Failure,
    },
}

impl Rewrite {
    /// `begun`: what has written the first words of the answer already.
    pub(super) fn new(
        backend: Arc<Backend>,
        (dialect, names): (Dialect, Names),
        client: &Client,
        begun: Option<Encoder>,
    ) -> Self {
        let encoder = (dialect != client.dialect)
            .then(|| begun.or_else(|| Encoder::new(client.dialect, &client.identity, client.style)))
            .flatten();
        let to = match encoder {
            Some(encoder) => {
                let translation = Translation::new(&client.identity.echo, client.dialect);
                To::Other(Box::new(Translator { names, translation, encoder, frames: Frames::default() }))
            }
            None => To::Same {
                dialect,
                hide_usage: dialect.has_stream_options() && !client.style.usage,
                hide_progress: false,
                held: None,
            },
        };
        let decoder = Decoder::new(dialect, &client.identity.id);
        let done = client.responses_done && client.dialect == Dialect::OpenAiResponses;
        Self { backend, decoder, to, done }
    }

    /// Progress is not shown; and the answer ends at so many tokens, if its backend does not say so.
    pub(super) fn told_besides(&mut self, hides_progress: bool, limit: Option<u64>) {
        self.decoder.limited(limit);
        if let To::Same { hide_progress, .. } = &mut self.to {
            *hide_progress = hides_progress;
        }
    }

    /// Rewrites one frame into `out`.
    pub(super) fn frame(&mut self, frame: Frame, meter: &mut Meter, out: &mut Vec<Bytes>) -> Step {
        if frame.data.is_empty() {
            return Step::More; // a blank event is somebody's keep-alive, and breaks clients
        }
        let step = match &mut self.to {
            To::Same { .. } => self.same(frame, meter, out),
            To::Other(_) => self.translated(&frame, meter, out),
        };
        let too_much = matches!(step, Step::More) && self.held() > HELD_BYTES;
        if too_much { Step::Failed(too_large()) } else { step }
    }

    /// Bytes that are kept until they can be told.
    fn held(&self) -> usize {
        let encoder = match &self.to {
            To::Same { .. } => 0,
            To::Other(to) => to.encoder.held() + to.translation.held(),
        };
        encoder + self.decoder.held()
    }

    fn same(&mut self, frame: Frame, meter: &mut Meter, out: &mut Vec<Bytes>) -> Step {
        let To::Same { dialect, hide_usage, hide_progress, held } = &mut self.to else {
            return Step::More;
        };
        let mut failed = None;
        let flow = self.decoder.decode(&frame, &mut |event| match event {
            Event::Usage(usage) => meter.usage(usage),
            Event::Fail(failure) => failed = Some(failure),
            Event::Delta { .. } | Event::Open { .. } | Event::Other { .. } => meter.content(&event),
            Event::Start
            | Event::Aside { .. }
            | Event::Signature { .. }
            | Event::Close { .. }
            | Event::Citation { .. }
            | Event::StopSequence(_)
            | Event::Finish(_) => {}
        });
        match (held.take(), failed, flow.as_ref().ok()) {
            (None, None, _) => {}
            // Responses: `response.failed` follows.
            (None, Some(failure), Some(Flow::More))
                if *dialect == Dialect::OpenAiResponses && is_seen(*dialect, &frame) =>
            {
                *held = Some((self.backend.scrub(&frame.raw), failure));
                return Step::More;
            }
            (Some((first, _)), Some(failure), Some(Flow::Ended)) => {
                let frame = [first, self.backend.scrub(&frame.raw)].concat().into();
                return Step::FailedSame { frame, failure };
            }
            (Some((_, failure)), ..) => return Step::Failed(self.backend.scrub_failure(failure)),
            // An error that the clients would not see is told anew; to those of Responses it takes two events.
            (None, Some(failure), _)
                if *dialect == Dialect::OpenAiResponses || !is_seen(*dialect, &frame) =>
            {
                return Step::Failed(self.backend.scrub_failure(failure));
            }
            (None, Some(failure), _) => {
                return Step::FailedSame { frame: self.backend.scrub(&frame.raw), failure };
            }
        }
        if matches!(flow, Ok(Flow::Truncated)) {
            return Step::Failed(truncated());
        }
        let told = if *hide_progress { progress(&frame) } else { None };
        if let Some(told) = told {
            out.extend((!told.alone).then(|| without_progress(&frame)));
        } else if *hide_usage && self.decoder.usage_alone() {
            out.extend(beside_usage(*dialect, &frame.data));
        } else {
            out.push(frame.raw);
        }
        // What is not understood is passed on all the same: the client may know it.
        if matches!(flow, Ok(Flow::Ended)) { Step::Ended } else { Step::More }
    }

    fn translated(&mut self, frame: &Frame, meter: &mut Meter, out: &mut Vec<Bytes>) -> Step {
        let To::Other(to) = &mut self.to else {
            return Step::More;
        };
        let at = now();
        let (mut failed, mut refused) = (None, None);
        let flow = self.decoder.decode(frame, &mut |event| {
            if let Event::Usage(usage) = event {
                meter.usage(usage);
            }
            meter.content(&event);
            if let Event::Fail(failure) = event {
                failed = Some(failure);
            } else if refused.is_none() {
                refused = to.pass(event, at).err();
            }
        });
        let step = match (failed, refused, flow) {
            (Some(failure), _, _) => Step::Failed(self.backend.scrub_failure(failure)),
            (None, Some(error), _) => Step::Failed(Failure::new(Code::UpstreamError, error.to_string())),
            (None, None, Err(error)) => Step::Failed(Failure::new(Code::UpstreamError, error.to_string())),
            (None, None, Ok(Flow::More)) => Step::More,
            (None, None, Ok(Flow::Truncated)) => Step::Failed(truncated()),
            (None, None, Ok(Flow::Ended)) => {
                to.encoder.finish(at, &mut to.frames);
                Step::Ended
            }
        };
        out.extend(to.frames.drain());
        step
    }

    /// An event that lacks its end: it counts if what it says is complete.
    pub(super) fn tail(&mut self, frame: Frame, meter: &mut Meter, out: &mut Vec<Bytes>) -> Step {
        if frame.is_complete() { self.frame(frame, meter, out) } else { Step::More }
    }

    /// The backend's body has ended cleanly, without a terminator.
    pub(super) fn end(&mut self, out: &mut Vec<Bytes>) -> Step {
        if let To::Same { held: Some((_, failure)), .. } = &self.to {
            return Step::Failed(self.backend.scrub_failure(failure.clone()));
        }
        if !self.decoder.complete() {
            return Step::Failed(truncated());
        }
        match &mut self.to {
            To::Same { dialect, .. } => {
                let terminator = dialect.terminator();
                if !terminator.is_empty() {
                    out.push(Bytes::from_static(terminator));
                }
            }
            To::Other(to) => {
                let at = now();
                let mut refused = None;
                self.decoder.end(&mut |event| {
                    if refused.is_none() {
                        refused = to.pass(event, at).err();
                    }
                });
                if let Some(error) = refused {
                    out.extend(to.frames.drain());
                    return Step::Failed(Failure::new(Code::UpstreamError, error.to_string()));
                }
                to.encoder.finish(at, &mut to.frames);
                out.extend(to.frames.drain());
            }
        }
        Step::Ended
    }

    /// May the last frame be followed by one that its dialect does not know, and that some servers send all the same?
    pub(super) fn may_be_done_twice(&self) -> bool {
        matches!(&self.to, To::Same { dialect: Dialect::OpenAiResponses, .. })
    }

    /// Is a `[DONE]` to be told that the backend does not send?
    pub(super) fn adds_done(&self) -> bool {
        self.done
    }

    /// Is the answer complete if nothing more comes?
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.complete()
    }

    /// What of the answer its client could not be told, by the backend's names for it.
    pub(super) fn lost(&self) -> &[String] {
        match &self.to {
            To::Same { .. } => &[],
            To::Other(to) => to.translation.lost(),
        }
    }

    /// What ends the client's stream if the answer fails here.
    pub(super) fn last_words(&mut self, failure: &Failure) -> Bytes {
        match &mut self.to {
            To::Same { .. } => self.decoder.last_words(failure),
            To::Other(to) => {
                to.encoder.fail(failure, &mut to.frames);
                to.frames.joined()
            }
        }
    }
}
