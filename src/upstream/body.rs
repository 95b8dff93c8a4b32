//! A backend's answer as it comes: bytes off the socket, or of the built-in model, split into frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::telemetry::{Metrics, Redactor};
use crate::upstream::demo;
use crate::upstream::opening::{First, Looks};
use crate::upstream::refused::is_worth_retrying;
use crate::upstream::slots::Slot;
use crate::upstream::standing::Turn;
use crate::wire::{Code, Failure, Frame, FrameTooLarge, Framing, Splitter};

/// Where the bytes come from.
#[derive(Debug)]
pub(super) enum Body {
    /// Without the head of the response, which would keep the buffer that it was read into.
    Http(reqwest::Body),
    Demo(Box<demo::Answer>),
}

/// The frames of an answer.
#[derive(Debug)]
pub struct FrameStream {
    body: Body,
    splitter: Splitter,
    metrics: Metrics,
    /// Takes the key out that the backend was shown.
    redactor: Option<Arc<Redactor>>,
    /// What the backend is kept busy with.
    slot: Option<Slot>,
    /// Its backend is busy with it while this lives.
    turn: Option<Turn>,
}

/// What came next.
#[derive(Debug)]
pub enum Next {
    Frame(Frame),
    /// The body has ended cleanly. What was left of it, if anything: an event that lacks its end.
    End(Option<Frame>),
}

/// How much and how long is read behind a terminator.
const REST_BYTES: usize = 64 << 10;
const REST: Duration = Duration::from_secs(1);

/// The answer broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    #[error("the backend's connection broke off")]
    Broken,
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
}

impl FrameStream {
    pub(super) fn new(body: Body, framing: Framing, limit: usize, metrics: Metrics) -> Self {
        Self {
            body,
            splitter: Splitter::new(framing, limit),
            metrics,
            redactor: None,
            turn: None,
            slot: None,
        }
    }

    /// Holds a slot until the answer is over.
    pub(super) fn holding(mut self, slot: Option<Slot>) -> Self {
        self.slot = slot;
        self
    }

    /// Takes a secret out of every frame.
    pub(super) fn redacting(mut self, redactor: Option<&Arc<Redactor>>) -> Self {
        self.redactor = redactor.cloned();
        self
    }

    /// Reads on until it can be told what the answer is; gives what came, to be fed back.
    pub(super) async fn looks(
        &mut self,
        framing: Framing,
        labelled: bool,
    ) -> Result<(Looks, Vec<Bytes>), StreamError> {
        let (mut first, mut early) = (First::default(), Vec::new());
        while let Some(chunk) = self.bytes().await? {
            let looks = first.add(&chunk, framing, labelled);
            // Some send blank lines while they work; a byte order mark may come in pieces.
            if !chunk.trim_ascii().is_empty() {
                early.push(chunk);
            }
            if let Some(looks) = looks {
                return Ok((looks, early));
            }
        }
        Ok((Looks::Frames, early))
    }

    /// Bytes that came before the answer was known.
    pub(super) fn feed(&mut self, early: Vec<Bytes>) {
        for chunk in early {
            self.splitter.push(chunk);
        }
    }

    /// The next bytes as they come, past the frames.
    pub(super) async fn bytes(&mut self) -> Result<Option<Bytes>, StreamError> {
        let chunk = self.body.chunk().await?;
        self.metrics.bytes_in(chunk.as_ref().map_or(0, Bytes::len));
        Ok(chunk)
    }

    /// An event may be so large.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.splitter.limit(bytes);
    }

    /// From now on the answer counts as what its backend is busy with.
    pub(super) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// The answer has failed behind its first content: its backend's health suffers if it is to blame, and not the request.
    pub fn failed(&mut self, failure: &Failure) {
        let broke = matches!(failure.code, Code::UpstreamStalled | Code::UpstreamTruncated);
        let told = failure.code == Code::UpstreamError && !failure.is_unsupported();
        let blame = broke || (told && failure.status.is_none_or(is_worth_retrying));
        if let Some(turn) = self.turn.as_mut().filter(|_| blame) {
            turn.broke_off();
        }
    }

    /// The next frame that has come already. Never waits.
    pub fn ready(&mut self) -> Result<Option<Frame>, StreamError> {
        Ok(self.splitter.next_frame()?.map(|frame| self.redacted(frame)))
    }

    /// The next frame, or the end. Cancel safe: what was read stays in the splitter.
    pub async fn next(&mut self) -> Result<Next, StreamError> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(Next::Frame(frame));
            }
            match self.bytes().await? {
                Some(chunk) => self.splitter.push(chunk),
                None => {
                    let tail = self.splitter.finish();
                    return Ok(Next::End(tail.map(|frame| self.redacted(frame))));
                }
            }
        }
    }

    /// One search per frame, of backends that have a key.
    fn redacted(&self, frame: Frame) -> Frame {
        let Some(redactor) = self.redactor.as_ref().filter(|redactor| redactor.may_be_in(&frame.raw)) else {
            return frame;
        };
        let Frame { raw, event, data } = frame;
        let event = event.map(|event| redactor.redact(&event));
        Frame { raw: redactor.redact(&raw), event, data: redactor.redact(&data) }
    }

    /// Reads what lies behind the terminator, so that the connection can be used again; not for long, and not much.
    pub async fn rest(mut self: Box<Self>) {
        // Its backend is done, and has nothing more to do.
        self.turn = None;
        self.slot = None;
        let reading = async {
            let mut budget = REST_BYTES;
            while let Ok(Some(chunk)) = self.body.chunk().await {
                budget = budget.saturating_sub(chunk.len());
                if budget == 0 {
                    return;
                }
            }
        };
        drop(timeout(REST, reading).await); // too late or too much: the connection is closed
    }
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        match self {
            Self::Http(body) => loop {
                let Some(frame) = body.frame().await else { return Ok(None) };
                let frame = frame.map_err(|error| {
                    tracing::debug!(error = %error.without_url(), "the backend's connection broke off");
                    StreamError::Broken
                })?;
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data)); // trailers mean nothing here
                }
            },
            Self::Demo(answer) => answer.chunk().await,
        }
    }
}
