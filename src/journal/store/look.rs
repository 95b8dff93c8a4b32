//! How a stream stands in the store.

use bytes::Bytes;

use crate::journal::new::StoreError;
use crate::journal::record::{Ended, Meta, PIECE};
use crate::journal::store::end::{self, Told};
use crate::journal::store::names::StreamKeys;
use crate::journal::store::pieces::{Assembly, Stored};
use crate::journal::store::seal::{Place, Seal};
use crate::journal::store::{PATIENT, Store, millis};

/// How a stream stands, and frames of it.
#[derive(Debug)]
pub(super) struct Look {
    /// The digest of whose it is, if a replica wrote it.
    pub(super) owner: Option<Bytes>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: usize,
    pub(super) ended: Option<Ended>,
    /// The end is none that a replica wrote.
    forged: bool,
    pub(super) deleted: bool,
    pub(super) viewer: Option<(String, u64)>,
    /// Does its writer live?
    pub(super) alive: bool,
    /// The first piece of what is known from its beginning, as it is stored; empty if it was not asked for or is gone.
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
    /// How many of them, at most.
    pub(super) count: u64,
    /// Somebody reads them.
    pub(super) reads: bool,
    pub(super) head: bool,
}

/// How many frames are asked for at once.
pub(super) const PAGE: u64 = 512;

impl Look {
    /// How it ended. A channel whose end is not ours is lost: the next of its name begins anew.
    pub(super) fn end(&self, meta: &Meta) -> Option<Ended> {
        if self.forged && meta.channel.is_some() { Some(Ended::lost()) } else { self.ended.clone() }
    }

    /// Takes the next frame; `false`: there is a gap before it, which is seen at its place, the next time.
    fn push(&mut self, number: u64, frame: Bytes) -> bool {
        if self.frames.is_empty() {
            self.from = number;
        }
        let next = number == self.from.saturating_add(self.frames.len() as u64);
        if next {
            self.frames.push(frame);
        }
        next
    }
}

impl Store {
    /// `None`: the store knows nothing of it.
    pub(super) async fn look(&self, id: &str, question: Question) -> Result<Option<Look>, StoreError> {
        let keys = StreamKeys::new(id);
        let mut script = self.0.scripts.look.prepare_invoke();
        script.key(keys.meta).key(keys.frames).key(keys.head).key(keys.readers);
        let mark = if question.reads { millis(self.0.lease / 4) } else { 0 };
        script.arg(question.after).arg(question.count).arg(PIECE).arg(mark).arg(u8::from(question.head));
        let mut connection = self.connection()?;
        let reply: Vec<Bytes> = self.within(PATIENT, script.invoke_async(&mut connection)).await?;
        if reply.is_empty() {
            return Ok(None);
        }
        let seal = self.seal(id);
        let Some((mut look, frames)) = read(&seal, &reply) else {
            self.0.metrics.store_error();
            return Err(StoreError::Refused);
        };
        if look.forged {
            self.0.metrics.store_error();
            tracing::warn!(stream = id, "the store holds an end of this stream that no replica has written");
        }
        self.read_frames(id, (&seal, question.after), frames, &mut look).await?;
        Ok(Some(look))
    }

    /// Takes frames up to the first gap. What is no frame of this stream is passed over: it leaves a gap, if anything.
    async fn read_frames(
        &self,
        id: &str,
        (seal, after): (&Seal, u64),
        frames: &[Bytes],
        look: &mut Look,
    ) -> Result<(), StoreError> {
        look.from = after.saturating_add(1);
        let mut part: Option<(u64, Assembly)> = None;
        for pair in frames.chunks_exact(2) {
            let [name, stored] = pair else { continue };
            let whole = match (place_of(name), &mut part) {
                (Some((number, 0)), part) => match seal.read(number, stored) {
                    Some(Stored::Whole(frame)) => Some((number, frame)),
                    Some(Stored::Beginning(assembly)) => {
                        *part = Some((number, assembly));
                        continue;
                    }
                    None => None,
                },
                (Some((number, index)), Some((of, assembly))) if *of == number => {
                    match assembly.add(seal, index, stored) {
                        Some(false) => continue,
                        Some(true) => part.take().map(|(number, assembly)| (number, assembly.whole())),
                        None => None,
                    }
                }
                (Some(_) | None, _) => None,
            };
            let Some((number, frame)) = whole else {
                self.0.metrics.store_error();
                continue;
            };
            if !look.push(number, frame) {
                return Ok(());
            }
        }
        // The last one goes on behind this page; if it is not said to be there yet, its writer is still at it.
        if let Some((number, assembly)) = part.filter(|(number, _)| *number <= look.last)
            && let Some(frame) = self.read_rest(id, (seal, number), assembly).await?
        {
            look.push(number, frame);
        }
        Ok(())
    }

    /// The rest of a frame that is stored in pieces; `None` if it is not there.
    async fn read_rest(
        &self,
        id: &str,
        (seal, number): (&Seal, u64),
        mut assembly: Assembly,
    ) -> Result<Option<Bytes>, StoreError> {
        let frames = StreamKeys::new(id).frames;
        let mut connection = self.connection()?;
        loop {
            let name = format!("{number}-{}", assembly.next());
            let range = redis::cmd("XRANGE").arg(&frames).arg(&name).arg(&name).to_owned();
            let entries: Vec<(Bytes, Vec<Bytes>)> =
                self.within(PATIENT, range.query_async(&mut connection)).await?;
            let stored = entries.first().and_then(|(_, members)| members.get(1));
            match stored.and_then(|stored| assembly.add(seal, assembly.next(), stored)) {
                Some(true) => return Ok(Some(assembly.whole())),
                Some(false) => {}
                None => {
                    self.0.metrics.store_error();
                    return Ok(None);
                }
            }
        }
    }
}

/// The members in the order of the script, and what follows them.
pub(super) fn read<'a>(seal: &Seal, reply: &'a [Bytes]) -> Option<(Look, &'a [Bytes])> {
    let (state, frames) = reply.split_at_checked(12)?;
    let [owner, first, last, bytes, word, reason, sealed, deleted, turn, viewer, alive, head] = state else {
        return None;
    };
    let viewer = String::from_utf8(viewer.to_vec()).ok().filter(|viewer| !viewer.is_empty());
    let last = number(last)?;
    let (ended, forged) = match end::read(seal, last, [word, reason, sealed]) {
        Told::Running => (None, false),
        Told::Ended(ended) => (Some(ended), false),
        Told::Forged => (Some(Ended::failed("internal", false)), true),
    };
    let look = Look {
        owner: seal.open_at(Place::Owner, owner),
        first: number(first)?,
        last,
        bytes: usize::try_from(number(bytes)?).ok()?,
        ended,
        forged,
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

/// The number of a frame and the index of its piece, by the name of its entry.
pub(super) fn place_of(name: &[u8]) -> Option<(u64, u64)> {
    let (number, index) = std::str::from_utf8(name).ok()?.split_once('-')?;
    Some((number.parse().ok()?, index.parse().ok()?))
}
