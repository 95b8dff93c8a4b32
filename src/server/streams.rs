//! The streams of one HTTP/2 connection: each is a task, and each can be ended alone.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::server::Tasks;
use crate::server::connection::LAST_WORDS;

/// The streams of a connection; a clone is a handle.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    tasks: Tasks,
    book: Arc<Mutex<Book>>,
    /// The last stream has ended.
    unoccupied: Arc<Notify>,
}

#[derive(Debug)]
struct Book {
    open: Vec<Arc<Stream>>,
    /// The stream whose task comes next: hyper asks the service, and spawns what it gets.
    next: Option<Arc<Stream>>,
    /// Since when there is no stream.
    idle: Instant,
    /// Since when a head is coming.
    head: Option<Instant>,
    flood: bool,
    /// New streams are refused.
    closing: bool,
}

#[derive(Debug)]
struct Stream {
    /// Ends it, after its last words.
    hangup: CancellationToken,
    /// Ends it at once.
    end: CancellationToken,
    /// Since when the client has not taken what it was last given.
    waits: Mutex<Option<Instant>>,
}

/// An open stream.
#[derive(Debug)]
pub(super) struct Open {
    streams: Streams,
    stream: Arc<Stream>,
}

/// The body of an answer on a stream.
#[derive(Debug)]
pub(super) struct Flowing<B> {
    body: B,
    open: Open,
}

/// What a connection has waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Idle,
    Head,
}

impl Streams {
    pub(super) fn new(tasks: Tasks) -> Self {
        let (open, next, idle) = (Vec::new(), None, Instant::now());
        let book = Book { open, next, idle, head: None, flood: false, closing: false };
        Self { tasks, book: Arc::new(Mutex::new(book)), unoccupied: Arc::default() }
    }

    /// Refuses new streams from now on.
    pub(super) fn close(&self) {
        self.book.lock().closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.book.lock().closing
    }

    /// Waits until no stream runs, and what was written last has had a moment to leave. Cancel safe; for one task.
    pub(super) async fn unoccupied(&self) {
        loop {
            while !self.book.lock().open.is_empty() {
                self.unoccupied.notified().await;
            }
            sleep(FLUSH).await;
            if self.book.lock().open.is_empty() {
                return;
            }
        }
    }

    /// A request has come. To be called before its task is spawned, with no other request between.
    pub(super) fn open(&self) -> Open {
        let stream = Arc::new(Stream {
            hangup: CancellationToken::new(),
            end: CancellationToken::new(),
            waits: Mutex::default(),
        });
        let mut book = self.book.lock();
        book.open.push(Arc::clone(&stream));
        book.next = Some(Arc::clone(&stream));
        drop(book);
        Open { streams: self.clone(), stream }
    }

    /// A head is coming since then, or none is.
    pub(super) fn head_open(&self, since: Option<Instant>) {
        self.book.lock().head = since;
    }

    /// The client sends too many frames of the wrong kinds.
    pub(super) fn floods(&self) {
        self.book.lock().flood = true;
    }

    pub(super) fn is_flooded(&self) -> bool {
        self.book.lock().flood
    }

    /// Ends the streams whose clients have taken nothing for `limit`, and says how many there were.
    pub(super) fn end_stuck(&self, limit: Duration) -> usize {
        let book = self.book.lock();
        let stuck = book.open.iter().filter(|stream| {
            let since = *stream.waits.lock();
            !stream.end.is_cancelled() && since.is_some_and(|since| since.elapsed() >= limit)
        });
        stuck.inspect(|stream| stream.end.cancel()).count()
    }

    /// Has the connection waited too long?
    pub(super) fn overdue(&self, head: Duration, idle: Duration) -> Option<Overdue> {
        let book = self.book.lock();
        if book.head.is_some_and(|since| since.elapsed() >= head) {
            return Some(Overdue::Head);
        }
        (book.open.is_empty() && book.idle.elapsed() >= idle).then_some(Overdue::Idle)
    }
}

impl Open {
    /// Ends the stream, after its last words.
    pub(super) fn hangup(&self) -> CancellationToken {
        self.stream.hangup.clone()
    }

    pub(super) fn answers<B>(self, body: B) -> Flowing<B> {
        Flowing { body, open: self }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut book = self.streams.book.lock();
        book.open.retain(|stream| !Arc::ptr_eq(stream, &self.stream));
        book.idle = Instant::now();
        if book.open.is_empty() {
            self.streams.unoccupied.notify_one();
        }
    }
}

/// How long the last frames of a stream may take from its body to the socket.
const FLUSH: Duration = Duration::from_millis(50);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, task: F) {
        let stream = self.book.lock().next.take();
        self.tasks.spawn(async move {
            let ended = async {
                let Some(stream) = stream else { return pending().await };
                tokio::select! {
                    biased;
                    () = stream.end.cancelled() => {}
                    () = async { stream.hangup.cancelled().await; sleep(LAST_WORDS).await } => {}
                }
            };
            tokio::select! {
                biased;
                () = task => {}
                () = ended => {} // the task is dropped, and the stream is reset
            }
        });
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Flowing<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// hyper asks again when the client has room for more: until then, what was given last waits.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        *self.open.stream.waits.lock() = matches!(polled, Poll::Ready(Some(_))).then(Instant::now);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
