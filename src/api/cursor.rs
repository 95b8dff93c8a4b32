//! Where a reader stands in a record: the id of an event, `<stream>.<n>`, or `<stream>.lost` behind the words that it is lost.

use http::HeaderMap;
use http::header::HeaderName;

use crate::downstream::LOST;

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a reader has seen of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) stream: String,
    pub(super) seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// As far as the frame of this number.
    Frame(u64),
    /// That no more will come, for the replica that wrote it is gone.
    Lost,
}

impl Seen {
    pub(super) const NOTHING: Self = Self::Frame(0);

    /// The number of the last frame that was seen, or more than there are.
    pub(super) fn frame(self) -> u64 {
        match self {
            Self::Frame(number) => number,
            Self::Lost => u64::MAX,
        }
    }
}

impl Cursor {
    /// Reads `Last-Event-ID`. What is none of our ids says nothing: it may be meant for somebody else.
    pub(super) fn of_header(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(LAST_EVENT_ID)?.to_str().ok()?)
    }

    pub(super) fn new(stream: &str, number: u64) -> Self {
        Self { stream: stream.into(), seen: Seen::Frame(number) }
    }

    /// Reads an id: 26 lower-case letters and digits, a dot, a number or the word.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (stream, seen) = id.split_once('.')?;
        let lawful = stream.len() == 26
            && stream.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_number = (1..=19).contains(&seen.len()) && seen.bytes().all(|byte| byte.is_ascii_digit());
        let seen = match seen {
            LOST => Seen::Lost,
            number if is_number => Seen::Frame(number.parse().ok()?),
            _ => return None,
        };
        lawful.then(|| Self { stream: stream.into(), seen })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seen {
            Seen::Frame(number) => write!(f, "{}.{number}", self.stream),
            Seen::Lost => write!(f, "{}.{LOST}", self.stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_ids_are_taken() {
        let stream = "abcdefghijklmnopqrstuvwxy2";
        let cursor = Cursor::parse(&format!("{stream}.17")).unwrap();
        assert_eq!((cursor.seen, cursor.to_string()), (Seen::Frame(17), format!("{stream}.17")));
        let cursor = Cursor::parse(&format!("{stream}.lost")).unwrap();
        assert_eq!((cursor.seen, cursor.to_string()), (Seen::Lost, format!("{stream}.lost")));
        for id in ["", ".", "x.1", &format!("{stream}."), &format!("{stream}.-1"), &format!("{stream}.1.2")] {
            assert_eq!(Cursor::parse(id), None, "{id}");
        }
        for id in ["x.lost", ".lost", &format!("{stream}lost"), &format!("{stream}.1.lost")] {
            assert_eq!(Cursor::parse(id), None, "{id}");
        }
        assert_eq!(Cursor::parse(&format!("{stream}.99999999999999999999")), None);
        assert_eq!(Cursor::parse(&format!("{}.1", stream.to_uppercase())), None);
    }
}
