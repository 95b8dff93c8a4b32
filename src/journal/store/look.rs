//! How a stream stands in the store.

use bytes::Bytes;

use crate::journal::new::StoreError;
use crate::journal::record::Ended;
use crate::journal::store::names::StreamKeys;
use crate::journal::store::stream::ended;
use crate::journal::store::{PATIENT, Store, millis};

/// How a stream stands, and frames of it.
#[derive(Debug)]
pub(super) struct Look {
    /// The digest of whose it is.
    pub(super) owner: Bytes,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: usize,
    pub(super) ended: Option<Ended>,
    pub(super) deleted: bool,
    pub(super) viewer: Option<(String, u64)>,
    /// Does its writer live?
    pub(super) alive: bool,
    /// As it is stored; empty if it was not asked for or is gone.
    pub(super) head: Bytes,
    /// The number of the first of `frames`.
    pub(super) from: u64,
    pub(super) frames: Vec<Bytes>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The frames behind this one.
    pub(super) after: u64,
    /// How many of them.
    pub(super) count: u64,
    /// Somebody reads them.
    pub(super) reads: bool,
    pub(super) head: bool,
}

/// How many frames are asked for at once.
pub(super) const PAGE: u64 = 512;

impl Store {
    /// `None`: the store knows nothing of it.
    pub(super) async fn look(&self, id: &str, question: Question) -> Result<Option<Look>, StoreError> {
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.look.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head).key(keys.lease).key(keys.readers);
        let mark = if question.reads { millis(self.0.lease / 4) } else { 0 };
        script.arg(question.after).arg(question.count).arg(mark).arg(u8::from(question.head));
        let mut connection = self.connection()?;
        let reply: Vec<Bytes> = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        if reply.is_empty() {
            return Ok(None);
        }
        let Some((mut look, frames)) = read(&reply) else {
            self.0.metrics.store_error();
            return Err(StoreError::Refused);
        };
        self.read_frames(id, question.after, frames, &mut look);
        Ok(Some(look))
    }

    /// Takes frames up to the first gap. What is no frame of this stream is passed over: it leaves a gap, if anything.
    fn read_frames(&self, id: &str, after: u64, frames: &[Bytes], look: &mut Look) {
        let seal = self.seal(id);
        look.from = after + 1;
        for pair in frames.chunks_exact(2) {
            let [name, stored] = pair else { continue };
            let number = number_of(name);
            let frame = number.and_then(|number| seal.open(number, stored));
            let (Some(number), Some(frame)) = (number, frame) else {
                self.0.metrics.store_error();
                continue;
            };
            if look.frames.is_empty() {
                look.from = number;
            }
            if number != look.from + look.frames.len() as u64 {
                break; // there is a gap: it is seen at its place, the next time
            }
            look.frames.push(frame);
        }
    }
}

/// The members in the order of the script, and what follows them.
pub(super) fn read(reply: &[Bytes]) -> Option<(Look, &[Bytes])> {
    let (state, frames) = reply.split_at_checked(12)?;
    let [owner, first, last, bytes, end, reason, deleted, turn, viewer, _writer, alive, head] = state else {
        return None;
    };
    let viewer = String::from_utf8(viewer.to_vec()).ok().filter(|viewer| !viewer.is_empty());
    let look = Look {
        owner: owner.clone(),
        first: number(first)?,
        last: number(last)?,
        bytes: usize::try_from(number(bytes)?).ok()?,
        ended: ended(end, reason),
        deleted: !deleted.is_empty(),
        viewer: viewer.zip(number(turn)),
        alive: alive == "1",
        head: head.clone(),
        from: 0,
        frames: Vec::new(),
    };
    Some((look, frames))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number of a frame, by the name of its entry: `n-0`.
pub(super) fn number_of(name: &[u8]) -> Option<u64> {
    number(name.strip_suffix(b"-0")?)
}
