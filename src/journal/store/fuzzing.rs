//! What the fuzz targets reach of how the store's replies are read. Built with `--cfg fuzzing` alone.

use bytes::Bytes;

use crate::journal::record::Meta;
use crate::journal::store::seal::Seal;
use crate::journal::store::{head, index, look, names, stream};

/// A head of a stream, and how it is written again if it is small.
pub fn head(stored: Bytes) -> Option<(Meta, Option<Bytes>)> {
    let meta = head::read(stored)?;
    let written = head::piece(&meta, 0).filter(|(_, last)| *last).map(|(written, _)| written);
    Some((meta, written))
}

/// The first and the last number of a stream as it stands, and how many members follow.
pub fn look(key: Option<&[u8; 32]>, reply: &[Bytes]) -> Option<(u64, u64, usize)> {
    look::read(&Seal::new(key, "abc"), reply).map(|(look, frames)| (look.first, look.last, frames.len()))
}

/// The number of a frame and the index of its piece, by the name of its entry.
pub fn place_of(name: &[u8]) -> Option<(u64, u64)> {
    look::place_of(name)
}

/// What the key of a request stands for.
pub fn claim(stored: &[u8]) -> Option<([u8; 32], String)> {
    index::read_claim(stored).map(|claim| (claim.fingerprint, claim.id))
}

/// Is this a reply to an append?
pub fn appended(reply: &[Bytes]) -> bool {
    stream::appended(reply).is_some()
}

/// The stream that is told of on a channel.
pub fn stream_of(channel: &str) -> Option<&str> {
    names::stream_of(channel)
}

/// Seals a frame of a stream.
pub fn close(key: Option<&[u8; 32]>, stream: &str, number: u64, frame: &[u8]) -> Option<Vec<u8>> {
    Seal::new(key, stream).close(number, frame)
}

/// Opens what is stored as a frame of a stream.
pub fn open(key: Option<&[u8; 32]>, stream: &str, number: u64, stored: &Bytes) -> Option<Bytes> {
    Seal::new(key, stream).open(number, stored)
}
