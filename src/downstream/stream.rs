//! The body of a stream: frames as they come out of the journal, a keep-alive when the client has seen nothing for a while, and
//! an end that says how the answer ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::downstream::final_frame::{Written, final_frame};
use crate::downstream::numbering::Numbering;
use crate::journal::{Next, Reader};
use crate::telemetry::{Access, since_1970};
use crate::wire::{Pulse, Timestamp};

/// The answer failed: hyper closes the connection without the last chunk, and every client sees that something is missing.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub struct BrokenOff;

/// How a stream is written for one client.
#[derive(Debug)]
pub struct Manner {
    /// What is written when the client has seen nothing for a while.
    pub filler: &'static [u8],
    /// How long that is.
    pub keep_alive: Duration,
    /// The events that stand in for it.
    pub pulse: Option<Box<Pulse>>,
    /// The head goes out before there is content.
    pub early: bool,
    /// The event that tells a failure ends the stream by itself, so the body ends properly behind it; else it is broken off.
    pub fails_properly: bool,
    /// The events have numbers.
    pub numbering: Option<Box<Numbering>>,
    /// What a viewer is told whose place another has taken.
    pub superseded: Bytes,
    /// What a reader is told whose stream went away with its replica, as it is written.
    pub lost: Bytes,
    /// So many bytes are left out at the beginning.
    pub skip: u64,
}

impl Manner {
    /// The frames as they are, for a reader who cannot lose its place.
    pub fn plain(filler: &'static [u8], keep_alive: Duration) -> Self {
        let (superseded, lost) = (Bytes::new(), Bytes::new());
        let (early, fails_properly) = (false, false);
        let (pulse, numbering) = (None, None);
        Self { filler, keep_alive, pulse, early, fails_properly, numbering, superseded, lost, skip: 0 }
    }
}

/// A stream on its way to one client.
#[derive(Debug)]
pub struct StreamBody {
    reader: Reader,
    access: Access,
    manner: Manner,
    last_write: Instant,
    /// When the client saw an event last.
    last_event: Instant,
    /// The place in line that the client was told last.
    told: Option<usize>,
    sleep: Pin<Box<Sleep>>,
    until: Option<Until>,
    /// The timer knows this task.
    armed: bool,
    state: State,
}

/// What ends a stream from outside, and its last words.
struct Until(BoxFuture<'static, Bytes>);

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Until")
    }
}

#[derive(Debug)]
enum State {
    /// A keep-alive goes out with the head, for there is no content yet.
    Early,
    /// This goes out with the head.
    Greeting(Bytes),
    Running,
    /// The final frame of a failed answer is on its way.
    Failing(Written),
    /// It is written, and the client has a moment to read it before the body is broken off.
    Lingering,
    Ended,
}

/// What has come together is written together, up to so many bytes: what hyper does for every frame of a body costs more than a
/// copy.
const GATHERED: usize = 16 << 10;
/// How often a client that waits in line is told that it has moved.
const MOVES: Duration = Duration::from_secs(1);
/// The pause between the final frame of a failed answer and the break. Without it curl and nghttpx over HTTP/2, Traffic Server
/// and Bun lose that frame and the one before it when the reset comes; Codex and opencode show the break instead of the error;
/// and an `EventSource` forgets what it has not yet read, comes back for it, and would be told so for ever.
const LINGER: Duration = Duration::from_millis(300);
/// The longest time without an event where comments do not count: Codex has a clock of 300 s for it, langchain one of 120 s.
const WITHOUT_EVENT: Duration = Duration::from_mins(1);
/// How long a client that does not read may hold up the final frame.
const FINAL_FRAME: Duration = Duration::from_secs(10);

impl StreamBody {
    pub fn new(reader: Reader, access: Access, manner: Manner) -> Self {
        let state = if manner.early { State::Early } else { State::Running };
        let sleep = Box::pin(sleep(manner.keep_alive));
        let mut body = Self {
            reader,
            access,
            manner,
            last_write: Instant::now(),
            last_event: Instant::now(),
            told: None,
            sleep,
            until: None,
            armed: false,
            state,
        };
        let first = body.last_write + body.pause();
        body.sleep.as_mut().reset(first);
        body
    }

    /// Begins with something that is no part of what is read.
    #[must_use]
    pub fn greeting(mut self, greeting: Bytes) -> Self {
        self.state = State::Greeting(greeting);
        self
    }

    /// Ends with what `over` resolves to, whatever there is still to read.
    #[must_use]
    pub fn until(mut self, over: impl Future<Output = Bytes> + Send + 'static) -> Self {
        self.until = Some(Until(Box::pin(over)));
        self
    }

    /// The frame that was read last, as the client is to see it.
    fn numbered(&mut self, frame: Bytes) -> Bytes {
        self.see(&frame);
        let mut frame = match &self.manner.numbering {
            Some(numbering) => numbering.write(self.reader.position(), &frame),
            None => frame,
        };
        let skipped = usize::try_from(self.manner.skip).unwrap_or(usize::MAX).min(frame.len());
        self.manner.skip -= skipped as u64;
        frame.split_off(skipped)
    }

    fn see(&mut self, frame: &Bytes) {
        if let Some(pulse) = &mut self.manner.pulse {
            pulse.see(frame);
        }
    }

    /// A frame as the client is to see it, and with it what has come in the meantime: a write for each would be no sooner there.
    fn gathered(&mut self, frame: Bytes) -> Bytes {
        let waiting = self.reader.waiting();
        if waiting == 0 || frame.len() >= GATHERED || self.manner.skip > 0 {
            return self.numbered(frame);
        }
        let mut out = BytesMut::with_capacity((frame.len() + waiting).min(GATHERED));
        let mut next = Some(frame);
        while let Some(frame) = next {
            self.see(&frame);
            match &self.manner.numbering {
                Some(numbering) => numbering.put(self.reader.position(), &frame, &mut out),
                None => out.extend_from_slice(&frame),
            }
            let room = self.manner.numbering.as_ref().map_or(0, |numbering| numbering.room());
            next = GATHERED.checked_sub(out.len() + room).and_then(|max| self.reader.ready(max));
        }
        out.freeze()
    }

    /// Ends with words that are no part of the stream.
    fn write_aside(&mut self, words: &Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let words = match &self.manner.numbering {
            Some(numbering) => numbering.aside(words),
            None => words.clone(),
        };
        self.write_last(words)
    }

    fn write_last(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let (frame, written) = final_frame(bytes);
        self.state = State::Failing(written);
        self.sleep.as_mut().reset(Instant::now() + FINAL_FRAME);
        self.write(frame)
    }

    fn write(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.last_write = Instant::now();
        self.access.metrics().bytes_out(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn write_filler(&mut self) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.access.metrics().keep_alive();
        self.told = self.place();
        let says_why = self.manner.filler.starts_with(b":");
        let why = match (self.told, self.access.prefill().filter(|_| says_why)) {
            (Some(place), _) => Some(Bytes::from(format!(": queued {place}\n"))),
            (None, Some(percent)) => Some(Bytes::from(format!(": prefill {percent}%\n"))),
            (None, None) => None,
        };
        match (why, self.event()) {
            (Some(why), Some(event)) => self.write([why, event].concat().into()),
            (Some(bytes), None) | (None, Some(bytes)) => self.write(bytes),
            (None, None) => self.write(Bytes::from_static(self.manner.filler)),
        }
    }

    /// An event in place of a comment, where there is one: at every turn, or before a client has seen none for too long. It is no
    /// part of what is read, and has no number.
    fn event(&mut self) -> Option<Bytes> {
        let (now, pause) = (Instant::now(), self.pause());
        let pulse = self.manner.pulse.as_mut()?;
        if !pulse.is_steady() && now + pause <= self.last_event + WITHOUT_EVENT {
            return None;
        }
        let event = pulse.event(Timestamp::of(since_1970()))?;
        self.last_event = now;
        Some(match &self.manner.numbering {
            Some(numbering) => numbering.aside(&event),
            None => event,
        })
    }

    /// Where the client stands in line, if it waits and can be told.
    fn place(&self) -> Option<usize> {
        self.access.place().filter(|_| self.manner.filler.starts_with(b":"))
    }

    /// After how long it is looked whether there is something to say.
    fn pause(&self) -> Duration {
        if self.place().is_some() { self.manner.keep_alive.min(MOVES) } else { self.manner.keep_alive }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(Until(over)) = &mut self.until
            && let Poll::Ready(words) = over.as_mut().poll(cx)
        {
            self.until = None;
            return self.write_aside(&words);
        }
        match self.reader.poll_next(cx) {
            Poll::Ready(Next::Frame(frame)) => {
                let frames = self.gathered(frame);
                let written = self.write(frames);
                self.last_event = self.last_write;
                written
            }
            Poll::Ready(Next::LastWords(frame)) => {
                let frame = self.numbered(frame);
                self.write_last(frame)
            }
            Poll::Ready(Next::Superseded) => {
                let words = std::mem::take(&mut self.manner.superseded);
                self.write_aside(&words)
            }
            Poll::Ready(Next::ProducerLost) => {
                let words = std::mem::take(&mut self.manner.lost);
                self.write_last(words)
            }
            Poll::Ready(Next::Done) => {
                self.state = State::Ended;
                Poll::Ready(None)
            }
            Poll::Ready(Next::Lost) => {
                self.state = State::Ended;
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        // Armed and not elapsed: it wakes this task by itself, and need not be asked with every event.
        if self.armed && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let (now, pause) = (Instant::now(), self.pause());
            let due = self.last_write + self.manner.keep_alive;
            let moved = self.place().is_some_and(|place| self.told != Some(place));
            if now >= due || (moved && now >= self.last_write + pause) {
                self.sleep.as_mut().reset(now + pause);
                self.armed = false;
                return self.write_filler();
            }
            self.sleep.as_mut().reset(due.min(now + pause));
        }
        Poll::Pending
    }

    fn poll_failing(
        &mut self,
        written: &Written,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if written.poll(cx).is_pending() {
            ready!(self.sleep.as_mut().poll(cx));
            self.state = State::Ended;
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if self.manner.fails_properly {
            self.state = State::Ended;
            return Poll::Ready(None);
        }
        self.state = State::Lingering;
        self.sleep.as_mut().reset(Instant::now() + LINGER);
        self.poll_lingering(cx)
    }

    fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        ready!(self.sleep.as_mut().poll(cx));
        self.state = State::Ended;
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &self.state {
            State::Greeting(greeting) => {
                let greeting = greeting.clone();
                self.state = State::Running;
                self.write(greeting)
            }
            State::Early => {
                self.state = State::Running;
                self.last_event = Instant::now(); // clocks begin with the head
                self.write_filler()
            }
            State::Running => self.poll_running(cx),
            State::Failing(written) => {
                let written = written.clone();
                self.poll_failing(&written, cx)
            }
            State::Lingering => self.poll_lingering(cx),
            State::Ended => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        false // the end must be read: it says whether the answer is complete
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::journal::{Writer, open};
    use crate::telemetry::Metrics;
    use crate::wire::{Dialect, Identity, KeepAliveAs};

    const COMMENT: &[u8] = b": keep-alive\n";
    const EVERY: Duration = Duration::from_secs(5);

    fn body(dialect: Dialect) -> (Writer, StreamBody) {
        let (writer, reader) = open(1 << 20);
        let access = Access::new("r".into(), "POST", dialect.path(), "openai", Metrics::new());
        let pulse = Pulse::new(dialect, &Identity::default(), KeepAliveAs::Auto).map(Box::new);
        let manner = Manner { pulse, ..Manner::plain(dialect.keep_alive(), EVERY) };
        (writer, StreamBody::new(reader, access, manner))
    }

    /// What is written within this time, and when, in seconds from now on.
    async fn written(body: &mut StreamBody, within: Duration) -> Vec<(u64, Bytes)> {
        let start = Instant::now();
        let mut seen = Vec::new();
        while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(start + within, body.frame()).await {
            seen.push((start.elapsed().as_secs(), frame.into_data().unwrap()));
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_chat_stream_that_is_silent_has_an_event_within_each_minute_and_comments_between() {
        for dialect in [Dialect::OpenAiChat, Dialect::OpenAiCompletions] {
            let (writer, mut body) = body(dialect);
            let chunk = Bytes::from_static(b"data: {\"id\":\"c-9\",\"choices\":[]}\n\n");
            writer.append([chunk.clone()]);
            let seen = written(&mut body, Duration::from_secs(183)).await;
            assert_eq!(seen.first(), Some(&(0, chunk)));
            let events: Vec<u64> =
                seen.iter().skip(1).filter(|(_, bytes)| bytes != COMMENT).map(|(at, _)| *at).collect();
            assert_eq!(events, [60, 120, 180], "{dialect:?}");
            assert_eq!(seen.len(), 1 + 36, "something every five seconds");
            assert!(
                seen.iter().all(|(_, bytes)| bytes == COMMENT || bytes.starts_with(b"data: {\"id\":\"c-9\""))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chat_stream_that_speaks_has_comments_alone() {
        let (writer, mut body) = body(Dialect::OpenAiChat);
        for _ in 0..5 {
            writer.append([Bytes::from_static(b"data: {}\n\n")]);
            let seen = written(&mut body, Duration::from_secs(50)).await;
            assert!(seen.iter().skip(1).all(|(_, bytes)| bytes == COMMENT), "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_large_is_told_once_a_minute() {
        let created = |instructions: usize| {
            let text = "x".repeat(instructions);
            Bytes::from(format!(
                "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"instructions\":\"{text}\",\
                 \"output\":[]}}}}\n\n"
            ))
        };
        for (instructions, events) in [(100, 24), (60_000, 2)] {
            let (writer, mut body) = body(Dialect::OpenAiResponses);
            writer.append([created(instructions)]);
            let seen = written(&mut body, Duration::from_secs(123)).await;
            let told = seen.iter().filter(|(_, bytes)| bytes.starts_with(b"event: response.in_progress\n"));
            assert_eq!((told.count(), seen.len()), (events, 1 + 24), "{instructions}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_ended_may_be_polled_for_ever() {
        let (writer, mut body) = body(Dialect::OpenAiChat);
        writer.close();
        for _ in 0..3 {
            assert!(body.frame().now_or_never().unwrap().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_was_broken_off_may_be_polled_for_ever() {
        let (writer, mut body) = body(Dialect::OpenAiChat);
        writer.fail(Bytes::from_static(b"data: {\"error\":{}}\n\n"), "internal");
        drop(body.frame().await.unwrap().unwrap());
        assert!(body.frame().await.unwrap().is_err());
        for _ in 0..3 {
            assert!(body.frame().now_or_never().unwrap().is_none());
        }
    }
}
