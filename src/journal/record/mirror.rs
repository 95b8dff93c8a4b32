//! A record that is written on another replica: filled with what the store has, in order and without gaps.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::journal::record::{Ended, Gone, Record, Role};

impl Record {
    /// Adds frames of which the first has the number `from`. What was there already stays as it is; what is missing before
    /// them is no longer kept anywhere.
    pub(in crate::journal) fn fill(&self, from: u64, frames: Vec<Bytes>) {
        let mut state = self.state();
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

    /// Notes whether the store tells of it; gives for how long it has not.
    pub(in crate::journal) fn is_told(&self, told: bool) -> Duration {
        let Role::Mirror(silent) = &self.role else { return Duration::ZERO };
        let mut silent = silent.lock();
        *silent = (!told).then(|| silent.unwrap_or_else(Instant::now));
        silent.map_or(Duration::ZERO, |since| since.elapsed())
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
}
