//! Where a connection stands between its requests: what it may wait for, and for how long.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::server::strict::Violation;

/// How long a connection may stand open between two requests: longer than the pools of proxies keep theirs, so that it is they
/// who close it.
pub(super) const IDLE: Duration = Duration::from_secs(90);

/// A handle on where a connection stands.
#[derive(Clone, Debug)]
pub(super) struct Phase(Arc<Mutex<Stand>>);

#[derive(Debug)]
struct Stand {
    state: State,
    /// Why the client is sent away.
    dismissed: Option<Violation>,
    /// The client has sent what nobody will read.
    broken: bool,
    /// How the connection is closed.
    close: Close,
    /// HTTP is over, and something else is spoken.
    upgraded: bool,
    /// Who waits for the end of an answer.
    waker: Option<Waker>,
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    Usual,
    /// Behind the last answer, while the client may still be sending.
    Lingering,
    /// By a reset: an answer broke off whose only end is that of the connection.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of a request has come.
    Idle(Instant),
    /// A request's head is coming.
    Head(Instant),
    /// A request is served; its answer's head is not out.
    Serving,
    /// An answer's body is on its way.
    Answering,
}

/// What a connection has waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Idle,
    Head,
}

impl Phase {
    pub(super) fn new() -> Self {
        let state = State::Idle(Instant::now());
        let (dismissed, waker) = (None, None);
        let (broken, close, upgraded) = (false, Close::Usual, false);
        Self(Arc::new(Mutex::new(Stand { state, dismissed, broken, close, upgraded, waker })))
    }

    /// Bytes came from the client.
    pub(super) fn bytes_came(&self) {
        let mut stand = self.0.lock();
        if let State::Idle(_) = stand.state {
            stand.state = State::Head(Instant::now());
        }
    }

    /// A request's head is complete.
    pub(super) fn serves(&self) {
        self.0.lock().state = State::Serving;
    }

    /// Its answer is known; the connection is idle again when the answer's body is dropped. `unframed`: nothing but the end of the
    /// connection ends it (RFC 9112 section 6.3, for clients of HTTP/1.0).
    pub(super) fn answers<B>(&self, body: B, unframed: bool) -> Answering<B> {
        self.0.lock().state = State::Answering;
        Answering { body, phase: self.clone(), unframed }
    }

    /// Is there a request whose answer's head is not out?
    pub(super) fn is_serving(&self) -> bool {
        self.0.lock().state == State::Serving
    }

    /// Is there a request that is not answered in full?
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.0.lock().state, State::Serving | State::Answering)
    }

    /// Waits until no request is served. For one task.
    pub(super) fn poll_unoccupied(&self, cx: &Context<'_>) -> Poll<()> {
        let mut stand = self.0.lock();
        if matches!(stand.state, State::Serving | State::Answering) {
            stand.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// From here on something else than HTTP is spoken.
    pub(super) fn upgrades(&self) {
        self.0.lock().upgraded = true;
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.0.lock().upgraded
    }

    /// The client has sent what nobody will read.
    pub(super) fn breaks(&self) {
        self.0.lock().broken = true;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0.lock().broken
    }

    /// The connection ends with this answer, and the client may still be sending.
    pub(super) fn cuts_short(&self) {
        self.0.lock().close = Close::Lingering;
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.0.lock().close == Close::Lingering
    }

    /// Did an answer break off that the client cannot tell from a whole one, if the connection ends as usual?
    pub(super) fn is_truncated(&self) -> bool {
        self.0.lock().close == Close::Reset
    }

    /// The client is to be sent away, and told why.
    pub(super) fn dismiss(&self, why: Violation) {
        self.0.lock().dismissed = Some(why);
    }

    pub(super) fn dismissed(&self) -> Option<Violation> {
        self.0.lock().dismissed
    }

    /// Waits until the client has taken too long. To be polled by the connection's task: it changes its phase in no other.
    pub(super) async fn expired(&self, header_timeout: Duration) -> Expired {
        let mut sleep = std::pin::pin!(sleep_until(Instant::now() + IDLE));
        let mut seen = None;
        poll_fn(|cx| {
            let state = self.0.lock().state;
            let (due, what) = match state {
                State::Idle(since) => (since + IDLE, Expired::Idle),
                State::Head(since) => (since + header_timeout, Expired::Head),
                State::Serving | State::Answering => return Poll::Pending,
            };
            if seen.replace(state) != Some(state) {
                sleep.as_mut().reset(due);
            }
            sleep.as_mut().poll(cx).map(|()| what)
        })
        .await
    }
}

/// The body of an answer: the connection is idle behind it.
#[derive(Debug)]
pub(super) struct Answering<B> {
    body: B,
    phase: Phase,
    unframed: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if self.unframed && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.phase.0.lock().close = Close::Reset;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        let mut stand = self.phase.0.lock();
        stand.state = State::Idle(Instant::now());
        if let Some(waker) = stand.waker.take() {
            waker.wake();
        }
    }
}
