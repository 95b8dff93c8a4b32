//! What the fuzz targets reach of how the doctor reads an answer. Built with `--cfg fuzzing` alone.

use bytes::Bytes;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::doctor::decode::Decoding;
use crate::doctor::receive::Events;
use crate::doctor::refusal;
use crate::doctor::trace::Stamp;
use crate::wire::Framing;

/// The data of the events of a body that comes in these pieces; the error that ends it comes last.
pub fn events(pieces: Vec<Bytes>, framing: Framing, coding: Option<&str>) -> Vec<Result<String, String>> {
    let mut decoding = Decoding::new(coding);
    let pieces =
        pieces.into_iter().map(move |piece| decoding.decode(&piece).map_err(|error| error.to_string()));
    let mut events = Events::new(stream::iter(pieces).boxed_local(), framing);
    let mut read = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        let is_last = event.is_err();
        read.push(event);
        if is_last {
            break;
        }
    }
    read
}

/// The words of a refusal, and whether a text carries a stamp.
pub fn words(kind: &str, body: &[u8]) -> (Option<String>, bool) {
    (refusal::reason(kind, body), Stamp::find(&String::from_utf8_lossy(body)).is_some())
}
