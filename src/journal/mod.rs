//! The journal: the frames of a stream between the relay that writes them and the connections that read them. It keeps bytes and
//! numbers and knows neither JSON nor HTTP, so a replay is what was written.
//!
//! ```text
//! relay → Writer → live:   one reader, frames are forgotten as they are read, a slow reader holds up the backend
//!                → Record: any number of readers from any frame on, kept for a while behind the end
//! ```
//!
//! Records are found by their id, by the conversation they belong to, and by the key of the request that made them, always
//! within what belongs to one owner. Where replicas share a store, each finds the records of all: the one that writes a record
//! copies it to the store behind its readers' backs, and the others fill a mirror of it, which their readers read. A channel has
//! any number of writers: with a store it stands there, and all who read it read mirrors.

mod channels;
mod config;
mod ledger;
mod library;
mod list;
mod live;
mod new;
mod record;
mod shelf;
#[cfg_attr(not(feature = "redis"), path = "no_store.rs")]
mod store;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

pub use channels::Published;
pub use config::{Config, StoreKind, StoreUrl};
pub use library::Journal;
pub use list::{Entry, Listed, Page};
pub use new::{Busy, ChannelError, Created, Key, New, OpenError};
pub use record::{AliasOf, Ended, Gone, Meta, Record, Status, Trimmed, Viewer};
#[cfg(all(fuzzing, feature = "redis"))]
#[doc(hidden)]
pub use store::fuzzing;

/// Opens a stream that is not recorded. `bound` is how many bytes may wait for the reader before the writer is held up.
pub fn open(bound: usize) -> (Writer, Reader) {
    let (writer, reader) = live::open(bound);
    (Writer(WriterKind::Live(writer)), Reader(ReaderKind::Live(reader)))
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its terminator.
    Done,
    /// With an error frame: the body must not end as if it were complete.
    Failed,
}

/// How things stand behind an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    Room,
    /// The bound is reached: wait for room.
    Full,
    /// Nobody reads any more, or the stream was cancelled: [`Writer::abandoned`] says which.
    Abandoned,
}

/// What a reader is given next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Frame(Bytes),
    /// The last frame of a stream that failed.
    LastWords(Bytes),
    Done,
    /// The writer went away without an end, or the reader fell behind what is kept.
    Lost,
    /// The replica that wrote it is gone, and with it the stream.
    ProducerLost,
    /// A newer viewer has taken this one's place.
    Superseded,
}

/// The side that appends. Dropping it without [`Writer::close`] or [`Writer::fail`] breaks the stream off.
#[derive(Debug)]
pub struct Writer(WriterKind);

#[derive(Debug)]
enum WriterKind {
    Live(live::Writer),
    Recorded(record::Writer),
}

/// The side that reads. Dropping it abandons a stream that is not recorded.
#[derive(Debug)]
pub struct Reader(ReaderKind);

#[derive(Debug)]
enum ReaderKind {
    Live(live::Reader),
    Recorded(record::Reader),
}

impl Writer {
    fn recorded(record: Arc<Record>) -> Self {
        Self(WriterKind::Recorded(record::Writer::new(record)))
    }

    /// Must the stream's end be told even if nobody reads it now?
    pub fn is_recorded(&self) -> bool {
        matches!(self.0, WriterKind::Recorded(_))
    }

    /// Adds frames, and wakes the readers once.
    pub fn append(&self, frames: impl IntoIterator<Item = Bytes>) -> Backlog {
        match &self.0 {
            WriterKind::Live(writer) => writer.append(frames),
            WriterKind::Recorded(writer) => writer.append(frames),
        }
    }

    /// Notes what the stream has cost. Not for its readers: they may not have asked.
    pub fn tokens(&self, input: u64, output: u64) {
        match &self.0 {
            WriterKind::Live(_) => {}
            WriterKind::Recorded(writer) => writer.tokens(input, output),
        }
    }

    /// Ends a stream that is complete.
    pub fn close(self) {
        match &self.0 {
            WriterKind::Live(writer) => writer.end(None, End::Done),
            WriterKind::Recorded(writer) => writer.end(None, Ended::done()),
        }
    }

    /// Ends a stream that failed, with its last words; `reason` is one word for why.
    pub fn fail(self, frame: Bytes, reason: &'static str) {
        match &self.0 {
            WriterKind::Live(writer) => writer.end(Some(frame), End::Failed),
            WriterKind::Recorded(writer) => writer.end(Some(frame), Ended::failed(reason, true)),
        }
    }

    /// Waits until fewer than the bound's bytes wait for the reader, or it is gone. Cancel safe.
    pub async fn room(&self) {
        match &self.0 {
            WriterKind::Live(writer) => writer.room().await,
            WriterKind::Recorded(_) => {} // a slow reader of a record holds up nobody
        }
    }

    /// Waits until nobody reads any more, and for as long as the record says, or until the stream is cancelled. Cancel safe.
    pub async fn abandoned(&self) -> Gone {
        match &self.0 {
            WriterKind::Live(writer) => {
                writer.abandoned().await;
                Gone::Left
            }
            WriterKind::Recorded(writer) => writer.abandoned().await,
        }
    }
}

impl Reader {
    /// The next frame or the end. Cancel safe.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        match &mut self.0 {
            ReaderKind::Live(reader) => reader.poll_next(cx),
            ReaderKind::Recorded(reader) => reader.poll_next(cx),
        }
    }

    /// One more frame that has come already, if it has no more bytes than `max`. Last words are not among them: they are an end.
    pub fn ready(&mut self, max: usize) -> Option<Bytes> {
        match &mut self.0 {
            ReaderKind::Live(reader) => reader.ready(max),
            ReaderKind::Recorded(reader) => reader.ready(max),
        }
    }

    /// How many bytes have come and were not read yet.
    pub fn waiting(&self) -> usize {
        match &self.0 {
            ReaderKind::Live(reader) => reader.waiting(),
            ReaderKind::Recorded(reader) => reader.waiting(),
        }
    }

    /// The number of the last frame of a record that was given; 0 if none was.
    pub fn position(&self) -> u64 {
        match &self.0 {
            ReaderKind::Live(_) => 0,
            ReaderKind::Recorded(reader) => reader.position(),
        }
    }
}
