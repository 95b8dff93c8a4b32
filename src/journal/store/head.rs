//! What is known of a stream from its beginning, as bytes.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::journal::record::Meta;
use crate::journal::record::PIECE;

/// The first byte of what is no channel.
const STREAM: u8 = 1;
/// The first byte of a channel, whose name follows.
const CHANNEL: u8 = 2;

/// How much of the label stands in the first piece: what a list of streams shows of it.
const FIRST: usize = 16 << 10;

/// One piece of what is written, and whether it is the last; `None`: there are no more.
pub(super) fn piece(meta: &Meta, index: u64) -> Option<(Bytes, bool)> {
    let label = &meta.label;
    if index == 0 {
        let first = label.get(..FIRST).unwrap_or(label);
        let mut out = start(meta);
        out.put_slice(first);
        return Some((out.into(), first.len() == label.len()));
    }
    let from = usize::try_from(index - 1).ok()?.checked_mul(PIECE)?.checked_add(FIRST)?;
    let to = from.checked_add(PIECE)?.min(label.len());
    (from < to).then(|| (label.slice(from..to), to == label.len()))
}

/// All but the label.
fn start(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(meta.label.len().min(FIRST) + 256);
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
    out.put_u64(meta.label.len() as u64);
    out
}

/// `None`: it is something else.
pub(super) fn read(bytes: Bytes) -> Option<Meta> {
    let (mut meta, length) = read_start(bytes)?;
    let whole = meta.label.len() as u64 >= length;
    meta.label.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    whole.then_some(meta)
}

/// The same of a beginning: with as much of the label as stands there, and the length that it has.
pub(super) fn read_start(mut bytes: Bytes) -> Option<(Meta, u64)> {
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
    let length = from.try_get_u64().ok()?;
    let linger = lingers.then_some(linger);
    Some((Meta { id, owner, conversation, channel, created, linger, retention, label: bytes }, length))
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

    fn meta(channel: Option<String>, label: Bytes) -> Meta {
        Meta {
            id: "abc".into(),
            owner: Some("alice".into()),
            conversation: None,
            channel,
            created: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
            linger: Some(Duration::from_mins(1)),
            retention: Duration::from_mins(10),
            label,
        }
    }

    fn pieces(meta: &Meta) -> Vec<(Bytes, bool)> {
        (0..).map_while(|index| piece(meta, index)).collect()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for channel in [None, Some("job-7".into())] {
            let meta = meta(channel, Bytes::from("{}"));
            let [(written, true)] = &pieces(&meta)[..] else { panic!("it is small") };
            assert_eq!(format!("{:?}", read(written.clone()).unwrap()), format!("{meta:?}"));
            for end in 0..written.len() {
                assert!(read(written.slice(..end)).is_none());
            }
        }
        assert!(read(Bytes::from("junk that was written by somebody else")).is_none());
    }

    #[test]
    fn a_large_label_goes_in_pieces_and_the_first_of_them_tells_whose_it_is() {
        for size in [FIRST, FIRST + 1, FIRST + PIECE, FIRST + PIECE * 2 + 7] {
            let label: Bytes = (0..=250).cycle().take(size).collect();
            let meta = meta(None, label.clone());
            let all = pieces(&meta);
            assert!(all.iter().all(|(piece, _)| piece.len() <= PIECE));
            assert!(all.iter().rev().skip(1).all(|(_, last)| !last) && all.last().unwrap().1);
            let (start, length) = read_start(all[0].0.clone()).unwrap();
            assert_eq!((start.owner, start.label), (meta.owner.clone(), label.slice(..FIRST)));
            assert_eq!(length, size as u64);
            let whole: Vec<u8> = all.iter().flat_map(|(piece, _)| piece.to_vec()).collect();
            assert_eq!(read(whole.into()).unwrap().label, label);
            assert_eq!((all.len() > 1, read(all[0].0.clone()).is_some()), (size > FIRST, size == FIRST));
        }
    }
}
