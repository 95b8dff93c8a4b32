//! The access line: what one request was and how it ended. The record is shared by everyone who works on the request; the line
//! is written when the last of them lets go, so that a stream has exactly one, at its very end.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::ClientAddress;
use crate::telemetry::Metrics;
use crate::telemetry::board::{Board, Live, Stream};

/// A handle on the record of one request.
#[derive(Clone, Debug)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    request_id: String,
    method: String,
    path: String,
    door: &'static str,
    started: Instant,
    metrics: Metrics,
    /// Where the request stands in line, from 1 on; 0 where it does not wait.
    place: AtomicUsize,
    /// How much of the prompt the backend has read, in percent and one more; 0 where nothing is known of it.
    prefilled: AtomicUsize,
    /// Says whether more may be generated.
    ceiling: OnceLock<Ceiling>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    status: u16,
    address: Option<ClientAddress>,
    caller: Option<String>,
    /// To whom belongs what the request makes.
    owner: Option<String>,
    model: Option<String>,
    backend: Option<String>,
    attempts: u32,
    first_content: Option<Duration>,
    events: u64,
    tokens: Option<(u64, u64)>,
    /// Letters that were seen of the answer.
    letters: u64,
    /// The recorded stream that answers.
    recorded: Option<String>,
    /// Was a model asked, and for a stream?
    asks: Option<bool>,
    /// Its place on the board.
    live: Option<Live>,
    end: Option<End>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the terminator of success.
    Done,
    /// The client left first.
    ClientGone,
    /// It failed; the word is the failure's code.
    Failed(&'static str),
}

/// Says of a number of letters whether more may follow.
struct Ceiling(Box<dyn Fn(u64) -> bool + Send + Sync>);

impl fmt::Debug for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ceiling")
    }
}

/// What a request has cost.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// How often a backend was asked.
    pub attempts: u32,
    /// Tokens read and written, as the backend told.
    pub usage: Option<(u64, u64)>,
    /// Letters that were seen of the answer.
    pub letters: u64,
    /// Was it seen as it came?
    pub streamed: bool,
    /// Did the backend fail?
    pub failed: bool,
}

impl End {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientGone => "client_gone",
            Self::Failed(code) => code,
        }
    }

    fn who_left_first(self) -> &'static str {
        match self {
            Self::Done => "none",
            Self::ClientGone => "client",
            Self::Failed(code) if code.starts_with("upstream") => "backend",
            Self::Failed(_) => "gateway",
        }
    }
}

impl Access {
    /// Begins the record of a request. `path` goes into the log: without its query, which may hold a key.
    pub fn new(request_id: String, method: &str, path: &str, door: &'static str, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            request_id,
            method: method.into(),
            path: path.into(),
            door,
            started: Instant::now(),
            metrics,
            place: AtomicUsize::new(0),
            prefilled: AtomicUsize::new(0),
            ceiling: OnceLock::new(),
            record: Mutex::default(),
        }))
    }

    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// When the request came.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    pub fn answered(&self, status: u16) {
        self.0.record.lock().status = status;
        self.0.metrics.request(self.0.door, status);
    }

    /// The request comes from here.
    pub fn address(&self, address: ClientAddress) {
        self.0.record.lock().address = Some(address);
    }

    /// The holder of the key called `name`; what the request makes belongs to `owner`.
    pub fn caller(&self, name: &str, owner: &str) {
        let mut record = self.0.record.lock();
        (record.caller, record.owner) = (Some(name.into()), Some(owner.into()));
    }

    pub fn model(&self, name: &str) {
        self.0.record.lock().model = Some(name.chars().take(128).collect());
    }

    /// The request waits for a backend, as the first, second or so in line; `None`: no longer.
    pub fn queued(&self, place: Option<usize>) {
        self.0.place.store(place.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Where the request stands in line, if it waits.
    pub fn place(&self) -> Option<usize> {
        Some(self.0.place.load(Ordering::Relaxed)).filter(|place| *place > 0)
    }

    /// The backend has read so much of the prompt, in percent.
    pub fn prefilled(&self, percent: u8) {
        self.0.prefilled.store(usize::from(percent) + 1, Ordering::Relaxed);
    }

    /// How much of the prompt the backend has read, in percent, if it tells and has said nothing else yet.
    pub fn prefill(&self) -> Option<usize> {
        self.0.prefilled.load(Ordering::Relaxed).checked_sub(1)
    }

    /// A backend is tried.
    pub fn attempt(&self, backend: &str) {
        self.0.prefilled.store(0, Ordering::Relaxed);
        let mut record = self.0.record.lock();
        record.backend = Some(backend.into());
        record.attempts += 1;
    }

    /// Of those that were tried, this one answers.
    pub fn served_by(&self, backend: &str) {
        let mut record = self.0.record.lock();
        if record.backend.as_deref() != Some(backend) {
            record.backend = Some(backend.into());
        }
    }

    /// The first content of the answer came.
    pub fn first_content(&self) {
        self.0.prefilled.store(0, Ordering::Relaxed);
        let elapsed = self.0.started.elapsed();
        let mut record = self.0.record.lock();
        record.first_content = Some(elapsed);
        if let Some(live) = &record.live {
            live.first_token(record.backend.as_deref(), elapsed);
        }
        drop(record);
        self.0.metrics.first_token(elapsed);
    }

    pub fn tokens(&self, input: u64, output: u64) {
        self.0.record.lock().tokens = Some((input, output));
        self.0.metrics.tokens(input, output);
    }

    /// Has `ceiling` asked, as an answer grows, whether it may grow on.
    pub fn limit(&self, ceiling: impl Fn(u64) -> bool + Send + Sync + 'static) {
        drop(self.0.ceiling.set(Ceiling(Box::new(ceiling)))); // there is one for a request
    }

    /// So many letters were seen of the answer. `false`: no more of them.
    pub fn letters(&self, letters: u64) -> bool {
        self.0.record.lock().letters = letters;
        self.0.ceiling.get().is_none_or(|Ceiling(goes_on)| goes_on(letters))
    }

    /// What the request has cost, as far as is known by now.
    pub fn spent(&self) -> Spent {
        let record = self.0.record.lock();
        Spent {
            attempts: record.attempts,
            usage: record.tokens,
            letters: record.letters,
            streamed: record.asks == Some(true),
            failed: matches!(record.end, Some(End::Failed(code)) if code.starts_with("upstream")),
        }
    }

    /// A model is asked, for a stream or for a whole answer.
    pub fn asks(&self, stream: bool) {
        self.0.record.lock().asks = Some(stream);
    }

    /// A recorded stream answers.
    pub fn recorded(&self, id: &str) {
        self.0.record.lock().recorded = Some(id.into());
    }

    /// The stream called `id` begins, for those who watch the board.
    pub fn begins(&self, board: &Board, id: &str) {
        let mut record = self.0.record.lock();
        record.live = Some(board.stream(Stream {
            id: id.to_owned(),
            request_id: self.0.request_id.clone(),
            owner: record.owner.clone(),
            path: self.0.path.clone(),
            model: record.model.clone(),
        }));
    }

    /// So many events were read of the backend.
    pub fn events(&self, events: u64) {
        self.0.record.lock().events = events;
    }

    /// The answer is over. The first call counts; without any, the client left first.
    pub fn ended(&self, end: End) {
        self.0.record.lock().end(end, &self.0.metrics, self.0.started);
    }
}

impl Record {
    fn end(&mut self, end: End, metrics: &Metrics, started: Instant) {
        if self.end.is_none() {
            self.end = Some(end);
            if let Some(mut live) = self.live.take() {
                live.ended(end.reason(), started.elapsed());
            }
            if self.asks == Some(true) {
                metrics.stream_ended(end.reason());
            }
        }
    }
}

/// nginx's status for a client that left before it was answered.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Drop for Shared {
    fn drop(&mut self) {
        let record = self.record.get_mut();
        if record.status == 0 {
            record.status = CLIENT_CLOSED_REQUEST;
            self.metrics.request(self.door, record.status);
        }
        if record.asks.is_some() {
            record.end(End::ClientGone, &self.metrics, self.started);
        }
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            request_id = self.request_id,
            method = self.method,
            path = self.path,
            status = record.status,
            address = record.address.map(|ClientAddress(ip)| tracing::field::display(ip)),
            caller = record.caller,
            model = record.model,
            backend = record.backend,
            attempts = (record.attempts > 0).then_some(record.attempts),
            ttft_ms = record.first_content.map(milliseconds),
            duration_ms = milliseconds(self.started.elapsed()),
            events = record.end.is_some().then_some(record.events),
            tokens_in = record.tokens.map(|(input, _)| input),
            tokens_out = record.tokens.map(|(_, output)| output),
            stream = record.asks,
            recorded = record.recorded,
            end = record.end.map(End::reason),
            left_first = record.end.map(End::who_left_first),
            "access"
        );
    }
}
