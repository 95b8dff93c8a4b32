//! What is known of a recorded stream: from its beginning, as it stands, and of those who read it.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::End;

/// What is known of a recorded stream from its beginning.
#[derive(Clone, Debug)]
pub struct Meta {
    /// 128 random bits; never reused, and no credential.
    pub id: String,
    /// Whose it is: what stands for an API key, or nothing where there are none.
    pub owner: Option<String>,
    /// What the client calls the conversation.
    pub conversation: Option<String>,
    /// What the channel is called that it is: then it has any number of writers, on all replicas, and no end of its own.
    pub channel: Option<String>,
    pub created: SystemTime,
    /// How long the stream goes on when nobody reads it; `None`: to its end.
    pub linger: Option<Duration>,
    /// How long it is kept behind its end.
    pub retention: Duration,
    /// What its writer wants to know of it later.
    pub label: Bytes,
}

/// How a record ended, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub end: End,
    /// One word for why it failed.
    pub reason: Option<Cow<'static, str>>,
    /// The last frame says that it failed, and why.
    pub(in crate::journal) words: bool,
    pub(in crate::journal) at: Instant,
}

impl Ended {
    pub(in crate::journal) fn done() -> Self {
        Self { end: End::Done, reason: None, words: false, at: Instant::now() }
    }

    pub(in crate::journal) fn failed(reason: impl Into<Cow<'static, str>>, words: bool) -> Self {
        Self { end: End::Failed, reason: Some(reason.into()), words, at: Instant::now() }
    }

    /// The replica that wrote it is gone.
    pub(in crate::journal) fn lost() -> Self {
        Self::failed(PRODUCER_LOST, false)
    }

    /// How long it has been over.
    pub fn ago(&self) -> Duration {
        self.at.elapsed()
    }

    pub fn is_lost(&self) -> bool {
        self.reason.as_deref() == Some(PRODUCER_LOST)
    }
}

/// The reason of streams whose replica is gone.
pub(in crate::journal) const PRODUCER_LOST: &str = "producer_lost";

/// Why a writer should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nobody reads any more.
    Left,
    /// It was asked to.
    Cancelled,
    /// Another stream of the conversation took its place.
    Superseded,
    /// The other replicas took this one for dead, and told the readers so.
    Lost,
}

impl Gone {
    pub(in crate::journal) fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Lost => PRODUCER_LOST,
        }
    }

    pub(in crate::journal) fn of_word(word: &[u8]) -> Option<Self> {
        [Self::Cancelled, Self::Superseded].into_iter().find(|gone| gone.word().as_bytes() == word)
    }
}

/// How a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number of the first frame that is kept.
    pub first: u64,
    /// The number of the last frame; 0 if there is none yet.
    pub last: u64,
    pub bytes: usize,
    pub readers: usize,
    pub ended: Option<Ended>,
    /// Tokens that went in and came out, once they are known.
    pub tokens: Option<(u64, u64)>,
}

/// Somebody who reads with a name of their own, so that they can come back and be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub id: String,
    /// Takes the place of every other viewer.
    pub exclusive: bool,
    /// It reads by a signed address: it displaces nobody, and its name is not that of a viewer with a key.
    pub(in crate::journal) guest: bool,
    /// How many had taken a place on any replica when this one came.
    pub(in crate::journal) turn: u64,
}

impl Viewer {
    pub fn new(id: String, exclusive: bool) -> Self {
        Self { id, exclusive, guest: false, turn: 0 }
    }

    /// Somebody who reads by a signed address, under a name or none.
    #[must_use]
    pub fn guest(viewer: Option<Self>) -> Self {
        let id = viewer.map(|viewer| viewer.id).unwrap_or_default();
        Self { id, exclusive: false, guest: true, turn: 0 }
    }

    pub(in crate::journal) fn is_named(&self) -> bool {
        !self.id.is_empty()
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// What was asked for is no longer kept; `earliest` is the first frame that is.
    Earlier { earliest: u64 },
    /// A newer viewer has taken this one's place, for ever.
    Superseded,
    /// As many read it as may.
    Full,
}
