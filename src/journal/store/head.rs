//! What is known of a stream from its beginning, as bytes.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::journal::record::Meta;

/// The first byte of what is no channel.
const STREAM: u8 = 1;
/// The first byte of a channel, whose name follows.
const CHANNEL: u8 = 2;

pub(super) fn write(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(meta.label.len() + 128);
    match &meta.channel {
        None => out.put_u8(STREAM),
        Some(name) => {
            out.put_u8(CHANNEL);
            put(&mut out, name.as_bytes());
        }
    }
    put(&mut out, meta.id.as_bytes());
    for text in [&meta.owner, &meta.conversation] {
        out.put_u8(text.is_some().into());
        put(&mut out, text.as_deref().unwrap_or_default().as_bytes());
    }
    out.put_u64(millis(meta.created.duration_since(UNIX_EPOCH).unwrap_or_default()));
    out.put_u8(meta.linger.is_some().into());
    out.put_u64(millis(meta.linger.unwrap_or_default()));
    out.put_u64(millis(meta.retention));
    put(&mut out, &meta.label);
    out
}

/// `None`: it is something else.
pub(super) fn read(mut bytes: Bytes) -> Option<Meta> {
    let from = &mut bytes;
    let channel = match from.try_get_u8().ok()? {
        STREAM => None,
        CHANNEL => Some(text(from)?),
        _ => return None,
    };
    let id = text(from)?;
    let mut optional = || {
        let there = from.try_get_u8().ok()? == 1;
        text(from).map(|text| there.then_some(text))
    };
    let (owner, conversation) = (optional()?, optional()?);
    let created = UNIX_EPOCH.checked_add(Duration::from_millis(from.try_get_u64().ok()?))?;
    let lingers = from.try_get_u8().ok()? == 1;
    let linger = Duration::from_millis(from.try_get_u64().ok()?);
    let retention = Duration::from_millis(from.try_get_u64().ok()?);
    let label = take(from)?;
    let linger = lingers.then_some(linger);
    Some(Meta { id, owner, conversation, channel, created, linger, retention, label })
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u64(bytes.len() as u64);
    out.put_slice(bytes);
}

fn take(from: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(from.try_get_u64().ok()?).ok()?;
    (length <= from.len()).then(|| from.split_to(length))
}

fn text(from: &mut Bytes) -> Option<String> {
    String::from_utf8(take(from)?.to_vec()).ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for channel in [None, Some("job-7".into())] {
            let meta = Meta {
                id: "abc".into(),
                owner: Some("alice".into()),
                conversation: None,
                channel,
                created: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
                linger: Some(Duration::from_mins(1)),
                retention: Duration::from_mins(10),
                label: Bytes::from("{}"),
            };
            let written = Bytes::from(write(&meta));
            assert_eq!(format!("{:?}", read(written.clone()).unwrap()), format!("{meta:?}"));
            for end in 0..written.len() {
                assert!(read(written.slice(..end)).is_none());
            }
        }
        assert!(read(Bytes::from("junk that was written by somebody else")).is_none());
    }
}
