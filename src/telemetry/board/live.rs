//! Streams on the board: begun, with their first token, ended.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::telemetry::board::Board;
use crate::telemetry::clock::since_1970;

/// What is told of a stream from its beginning.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Stream {
    pub(in crate::telemetry) id: String,
    pub(in crate::telemetry) request_id: String,
    /// Whose it is: nobody else is told.
    pub(in crate::telemetry) owner: Option<String>,
    pub(in crate::telemetry) path: String,
    pub(in crate::telemetry) model: Option<String>,
}

/// A stream that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) owner: Option<String>,
    told: Map<String, Value>,
}

impl Running {
    pub(super) fn json(&self) -> Value {
        Value::Object(self.told.clone())
    }
}

/// Keeps a stream on the board until it has ended or is dropped.
#[derive(Debug)]
pub(in crate::telemetry) struct Live {
    board: Board,
    id: String,
    ended: bool,
}

impl Board {
    /// A stream begins.
    pub(in crate::telemetry) fn stream(&self, stream: Stream) -> Live {
        let Stream { id, request_id, owner, path, model } = stream;
        let started = since_1970().as_millis();
        let told = Map::from_iter([
            ("id".to_owned(), id.as_str().into()),
            ("model".to_owned(), model.into()),
            ("path".to_owned(), path.into()),
            ("requestId".to_owned(), request_id.into()),
            ("startedAt".to_owned(), u64::try_from(started).unwrap_or(u64::MAX).into()),
        ]);
        let mut state = self.0.lock();
        let message = || json!({ "stream": told, "type": "StreamStarted" });
        state.tell(message, |interest| interest.streams && interest.owner == owner);
        state.streams.insert(id.clone(), Running { owner, told });
        drop(state);
        Live { board: self.clone(), id, ended: false }
    }
}

impl Live {
    /// The backend has sent its first token.
    pub(in crate::telemetry) fn first_token(&self, backend: Option<&str>, after: Duration) {
        let mut state = self.board.0.lock();
        let Some(running) = state.streams.get_mut(&self.id) else { return };
        running.told.insert("backend".into(), backend.into());
        running.told.insert("firstTokenMs".into(), milliseconds(after).into());
        let (owner, told) = (running.owner.clone(), running.told.clone());
        let message = || json!({ "stream": told, "type": "StreamFirstToken" });
        state.tell(message, |interest| interest.streams && interest.owner == owner);
    }

    /// The stream is over; `reason` is one word for how.
    pub(in crate::telemetry) fn ended(&mut self, reason: &str, after: Duration) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.board.0.lock();
        let Some(Running { owner, mut told }) = state.streams.remove(&self.id) else { return };
        told.insert("end".into(), reason.into());
        told.insert("durationMs".into(), milliseconds(after).into());
        let message = || json!({ "stream": told, "type": "StreamEnded" });
        state.tell(message, |interest| interest.streams && interest.owner == owner);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ended("internal", Duration::ZERO);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::telemetry::board::Interest;

    #[test]
    fn a_stream_is_told_to_its_owner_alone() {
        let board = Board::default();
        let mut mine = board.listen(Interest::all(Some("alice".into()))).unwrap();
        let mut other = board.listen(Interest::all(Some("bob".into()))).unwrap();
        let stream = Stream { id: "s".into(), owner: Some("alice".into()), ..Stream::default() };
        let mut live = board.stream(stream);
        live.first_token(Some("one"), Duration::from_millis(7));
        live.ended("done", Duration::from_millis(9));
        drop(live);
        let told: Vec<_> = std::iter::from_fn(|| mine.next().now_or_never()).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[3].contains("\"end\":\"done\"") && told[3].contains("\"firstTokenMs\":7"), "{told:?}");
        assert_eq!(std::iter::from_fn(|| other.next().now_or_never()).count(), 1);
    }
}
