//! Where a reader stands in a record: the id of an event, `<stream>.<n>`.

use http::HeaderMap;
use http::header::HeaderName;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// An event of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) stream: String,
    pub(super) number: u64,
}

impl Cursor {
    /// Reads `Last-Event-ID`. What is none of our ids says nothing: it may be meant for somebody else.
    pub(super) fn of_header(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(LAST_EVENT_ID)?.to_str().ok()?)
    }

    /// Reads an id: 26 lower-case letters and digits, a dot, a number.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (stream, number) = id.split_once('.')?;
        let lawful = stream.len() == 26
            && stream.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && (1..=19).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit());
        lawful.then(|| Some(Self { stream: stream.into(), number: number.parse().ok()? }))?
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.stream, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_ids_are_taken() {
        let stream = "abcdefghijklmnopqrstuvwxy2";
        let cursor = Cursor::parse(&format!("{stream}.17")).unwrap();
        assert_eq!((cursor.number, cursor.to_string()), (17, format!("{stream}.17")));
        for id in ["", ".", "x.1", &format!("{stream}."), &format!("{stream}.-1"), &format!("{stream}.1.2")] {
            assert_eq!(Cursor::parse(id), None, "{id}");
        }
        assert_eq!(Cursor::parse(&format!("{stream}.99999999999999999999")), None);
        assert_eq!(Cursor::parse(&format!("{}.1", stream.to_uppercase())), None);
    }
}
