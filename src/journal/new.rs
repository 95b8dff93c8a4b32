//! A record that is to be made or found, and what came of it.

use std::sync::Arc;

use crate::journal::Writer;
use crate::journal::record::{AliasOf, Meta, Record};
use crate::telemetry::Taken;

/// Why a record is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is none of this id, or it is somebody else's.
    Unknown,
    /// It is not kept any more.
    Expired,
    /// It may be on another replica, but the store does not answer.
    Away,
}

/// Why a channel is not published on, read or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The store does not answer, and nobody knows whether it did what it was asked.
    #[error("the store of channels does not answer")]
    Away,
    /// The store has something else in this place.
    #[error("the store of channels refuses this")]
    Refused,
    /// There are as many as may be.
    #[error("there are as many channels as may be")]
    Full,
    /// Its owner has as many as one may have.
    #[error("the owner has as many channels as one may have")]
    OverShare,
}

impl From<Taken> for ChannelError {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::All => Self::Full,
            Taken::Share => Self::OverShare,
        }
    }
}

impl From<StoreError> for ChannelError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away => Self::Away,
            StoreError::Refused => Self::Refused,
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// It is not there, is too slow, or takes nothing now.
    #[error("the store does not answer")]
    Away,
    /// It has something else in this place.
    #[error("the store refuses this")]
    Refused,
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away => Self::Away,
            StoreError::Refused => Self::Unknown,
        }
    }
}

/// Who asks for a record: the owner of a key, or nobody in particular where there are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a>(pub(super) Option<&'a str>);

impl Asker<'_> {
    pub(super) fn may_see(self, owner: Option<&str>) -> bool {
        self.0 == owner
    }
}

/// What the key of a request stands for in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) fingerprint: [u8; 32],
    pub(super) id: String,
}

/// A record that is to be made.
#[derive(Debug)]
pub struct New {
    pub meta: Meta,
    /// The key of the request that makes it.
    pub key: Option<Key>,
    /// What becomes of it if the conversation is busy.
    pub busy: Busy,
    /// How it is found by what its backend calls it, if it is to be.
    pub alias: Option<AliasOf>,
}

/// What tells that a request is the same as an earlier one.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    /// A digest of what was asked: the same key may not stand for two things.
    pub fingerprint: [u8; 32],
}

/// What becomes of a new stream in a conversation whose last one still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// It begins, and is told of the other.
    Begin,
    /// The same, to wait for the other: not if as many wait as may.
    Wait,
    /// It does not begin.
    Yield,
}

/// What came of a record that was to be made.
#[derive(Debug)]
pub enum Created {
    New {
        writer: Writer,
        record: Arc<Record>,
        /// The one of the same conversation that still runs.
        before: Option<Arc<Record>>,
    },
    /// The conversation has one that still runs.
    Busy(Arc<Record>),
    /// An earlier request with the same key and content is answered by this one.
    Repeats(Arc<Record>),
    /// An earlier request with the same key had another content.
    Differs,
    /// As many of its conversation run or wait as may.
    LineFull,
    /// What runs takes all the memory that there is for records.
    NoRoom,
    /// What its owner runs takes all that one owner may.
    OverShare,
}

/// How many streams of one conversation may run or wait for their turn.
pub(super) const IN_LINE: usize = 256;
