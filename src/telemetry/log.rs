//! The log on stderr, written by a thread of its own: a pipe that nobody reads, or a disk that is full, must hold up no stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter like `info,streamgate::upstream=debug`.
    pub level: String,
    pub format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Text }
    }
}

impl Config {
    /// What is wrong with `level`, if anything is.
    pub fn problem(&self) -> Option<String> {
        EnvFilter::try_new(&self.level).err().map(|error| error.to_string())
    }
}

/// How many lines may wait to be written. Those that come while as many wait are dropped, and counted.
const WAITING_LINES: usize = 8192;

/// A log that runs. Dropping it writes the lines that wait, as far as somebody takes them within a second.
#[derive(Debug)]
pub struct Log {
    _writer: WorkerGuard,
    /// How many lines were dropped.
    pub dropped: DroppedLines,
}

/// How many lines of the log were dropped: there was no room for them, or they could not be written.
#[derive(Clone, Debug)]
pub struct DroppedLines {
    unwritten: Arc<AtomicU64>,
    waiting: ErrorCounter,
}

impl DroppedLines {
    pub(super) fn count(&self) -> u64 {
        self.waiting.dropped_lines() as u64 + self.unwritten.load(Ordering::Relaxed)
    }
}

/// Standard error, and how many lines it did not take.
struct Stderr(Arc<AtomicU64>);

impl Stderr {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // it keeps nothing back
    }
}

/// Starts the log of the process. A second one in the same process writes nothing.
pub fn start(config: &Config) -> Log {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let unwritten = Arc::<AtomicU64>::default();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(Stderr(Arc::clone(&unwritten)));
    let dropped = DroppedLines { unwritten, waiting: writer.error_counter() };
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_target(false)
        .with_writer(writer);
    let started = match config.format {
        Format::Text => base.with_ansi(false).try_init(),
        Format::Json => base.json().flatten_event(true).try_init(),
    };
    drop(started); // a log is running already
    Log { _writer: guard, dropped }
}
