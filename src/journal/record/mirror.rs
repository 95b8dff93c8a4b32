//! A record that is written on another replica: filled with what the store has, in order and without gaps.

use std::mem::discriminant;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::record::{Ended, Gone, Record, Role};

/// What the store says of a stream that is written on another replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::journal) enum Absence {
    /// It tells of it.
    #[default]
    None,
    /// It has not answered since then.
    Away(Instant),
    /// It has answered since then, and knows nothing of it.
    Missing(Instant),
}

impl Record {
    /// Adds frames of which the first has the number `from`. What was there already stays as it is; what is missing before
    /// them is no longer kept anywhere. Nothing comes behind an end.
    pub(in crate::journal) fn fill(&self, from: u64, frames: Vec<Bytes>) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        let last = state.frames.last();
        if from > last + 1 {
            self.change(&mut state, |frames| frames.restart(from));
        }
        let known = usize::try_from((last + 1).saturating_sub(from)).unwrap_or(usize::MAX);
        // What comes at once after an outage is no reader's fault: they are behind, and catch up.
        for seat in state.seats.iter_mut() {
            seat.stands = None;
        }
        self.push(&mut state, frames.into_iter().skip(known));
        state.seats.wake();
    }

    /// Ends what has not ended yet, in the words of another replica.
    pub(in crate::journal) fn end_with(&self, ended: Ended) {
        let mut state = self.state();
        if state.ended.is_none() {
            if ended.is_lost() {
                state.gone = Some(Gone::Lost);
                state.wake_writer();
            }
            self.finish(&mut state, ended);
        }
    }

    /// The store tells of it.
    pub(in crate::journal) fn told(&self) {
        self.absent(Absence::None);
    }

    /// The store does not answer; gives for how long it has not.
    pub(in crate::journal) fn away_for(&self) -> Duration {
        self.absent(Absence::Away(Instant::now()))
    }

    /// The store answers, and knows nothing of it; gives for how long it has said so.
    pub(in crate::journal) fn missing_for(&self) -> Duration {
        self.absent(Absence::Missing(Instant::now()))
    }

    /// Each clock begins when its state does: the time in which the store did not answer is not held against a writer.
    fn absent(&self, now: Absence) -> Duration {
        let Role::Mirror(absence) = &self.role else { return Duration::ZERO };
        let mut absence = absence.lock();
        if discriminant(&*absence) != discriminant(&now) {
            *absence = now;
        }
        match *absence {
            Absence::None => Duration::ZERO,
            Absence::Away(since) | Absence::Missing(since) => since.elapsed(),
        }
    }

    /// Was it taken for lost, here or by another replica?
    pub(in crate::journal) fn is_lost(&self) -> bool {
        self.state.lock().ended.as_ref().is_some_and(Ended::is_lost)
    }

    /// Somebody reads it on another replica.
    pub(in crate::journal) fn is_read_elsewhere(&self, until: Instant) {
        self.state().read_elsewhere = Some(until);
    }

    /// Has nobody read it here for so long?
    pub(in crate::journal) fn is_idle(&self, time: Duration) -> bool {
        self.state().left.is_some_and(|left| left.elapsed() >= time)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::SystemTime;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::journal::ledger::Account;
    use crate::journal::record::Meta;
    use crate::journal::shelf::Limits;
    use crate::journal::{Next, Reader};

    fn mirror() -> Arc<Record> {
        let meta = Meta {
            id: "abc".into(),
            owner: None,
            conversation: None,
            channel: None,
            created: SystemTime::UNIX_EPOCH,
            linger: None,
            retention: Duration::ZERO,
            label: Bytes::new(),
        };
        let limits = Limits { stream_bytes: 1 << 20, readers: 9 };
        Arc::new(Record::new(meta, limits, Arc::new(Account::new(&Arc::default())), Role::mirror()))
    }

    fn frames(words: &[&'static str]) -> Vec<Bytes> {
        words.iter().map(|word| Bytes::from_static(word.as_bytes())).collect()
    }

    fn next(reader: &mut Reader) -> Option<Next> {
        match reader.poll_next(&Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_has_come_already_can_be_taken_at_once_but_for_last_words() {
        let mirror = mirror();
        let mut reader = mirror.read(0, None, CancellationToken::new()).unwrap();
        mirror.fill(1, frames(&["a", "bb", "ccc"]));
        assert_eq!(next(&mut reader), Some(Next::Frame("a".into())));
        assert_eq!(reader.waiting(), 5);
        assert_eq!(reader.ready(1), None, "it is larger than there is room for");
        assert_eq!((reader.ready(2), reader.position()), (Some("bb".into()), 2));
        mirror.fill(4, frames(&["error"]));
        mirror.end_with(Ended::failed("upstream_error", true));
        assert_eq!(reader.ready(9), Some("ccc".into()));
        assert_eq!((reader.ready(9), reader.waiting()), (None, 5));
        assert_eq!(next(&mut reader), Some(Next::LastWords("error".into())));
    }

    #[tokio::test]
    async fn frames_that_come_twice_are_taken_once() {
        let mirror = mirror();
        let mut reader = mirror.read(0, None, CancellationToken::new()).unwrap();
        mirror.fill(1, frames(&["a", "b"]));
        mirror.fill(1, frames(&["a", "b", "c"]));
        mirror.fill(2, frames(&["b"]));
        mirror.end_with(Ended::done());
        let read: Vec<_> =
            std::iter::from_fn(|| next(&mut reader).filter(|next| *next != Next::Done)).collect();
        assert_eq!(read, ["a", "b", "c"].map(|word| Next::Frame(Bytes::from(word))));
        assert_eq!(mirror.status().bytes, 3);
        assert_eq!(mirror.account.bytes(), mirror.memory());
    }

    #[tokio::test]
    async fn a_reader_who_has_seen_more_than_the_mirror_waits_for_what_it_has_not_seen() {
        let mirror = mirror();
        mirror.fill(1, frames(&["a"]));
        let mut reader = mirror.read(2, None, CancellationToken::new()).unwrap();
        let mut liar = mirror.read(u64::MAX, None, CancellationToken::new()).unwrap();
        mirror.fill(2, frames(&["b"]));
        assert_eq!(next(&mut reader), None);
        assert_eq!(next(&mut liar), Some(Next::Frame(Bytes::from("b"))));
        mirror.fill(3, frames(&["c"]));
        assert_eq!((next(&mut reader), reader.position()), (Some(Next::Frame(Bytes::from("c"))), 3));
    }

    #[tokio::test]
    async fn a_gap_is_never_read_over() {
        let mirror = mirror();
        let mut reader = mirror.read(0, None, CancellationToken::new()).unwrap();
        mirror.fill(1, frames(&["a"]));
        mirror.fill(5, frames(&["e"]));
        assert_eq!(next(&mut reader), Some(Next::Lost));
        assert!(mirror.read(3, None, CancellationToken::new()).is_err());
        let mut later = mirror.read(4, None, CancellationToken::new()).unwrap();
        assert_eq!((next(&mut later), later.position()), (Some(Next::Frame(Bytes::from("e"))), 5));
        assert_eq!(mirror.status().bytes, 1);
        assert_eq!(mirror.account.bytes(), mirror.memory());
    }

    #[tokio::test]
    async fn the_last_frame_of_a_lost_stream_is_not_its_last_word() {
        let mirror = mirror();
        mirror.fill(1, frames(&["a"]));
        mirror.end_with(Ended::lost());
        mirror.end_with(Ended::done());
        let mut reader = mirror.read(0, None, CancellationToken::new()).unwrap();
        assert_eq!(next(&mut reader), Some(Next::Frame(Bytes::from("a"))));
        assert_eq!(next(&mut reader), Some(Next::ProducerLost));
    }

    #[tokio::test]
    async fn a_mirror_that_is_thrown_away_ends_for_those_who_wait_at_its_end() {
        let mirror = mirror();
        mirror.fill(1, frames(&["a"]));
        let mut reader = mirror.read(1, None, CancellationToken::new()).unwrap();
        assert_eq!(next(&mut reader), None);
        mirror.forget();
        assert_eq!((next(&mut reader), mirror.is_running()), (Some(Next::Lost), false));
    }
    #[tokio::test]
    async fn nothing_is_read_behind_an_end() {
        let mirror = mirror();
        mirror.fill(1, frames(&["a"]));
        mirror.end_with(Ended::lost());
        mirror.fill(2, frames(&["b", "[DONE]"]));
        mirror.end_with(Ended::done());
        let mut reader = mirror.read(0, None, CancellationToken::new()).unwrap();
        let read: Vec<_> = std::iter::from_fn(|| next(&mut reader)).take(2).collect();
        assert_eq!(read, [Next::Frame(Bytes::from("a")), Next::ProducerLost]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_held_against_the_writer() {
        let mirror = mirror();
        let second = Duration::from_secs(1);
        assert_eq!(mirror.away_for(), Duration::ZERO);
        tokio::time::advance(second * 9).await;
        assert_eq!(mirror.away_for(), second * 9);
        assert_eq!(mirror.missing_for(), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(mirror.missing_for(), second);
        // Whatever comes between, it begins anew.
        mirror.told();
        assert_eq!(mirror.missing_for(), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!((mirror.away_for(), mirror.missing_for()), (Duration::ZERO, Duration::ZERO));
    }
}
