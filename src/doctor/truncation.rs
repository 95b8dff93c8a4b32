//! The end of an answer that breaks off: the gateway says an error in the stream, waits a moment and closes the connection without
//! the last chunk. What comes out of a hop in place of that.

use crate::doctor::trace::{End, Trace};

/// What a hop makes of an answer that breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truncation {
    /// It ends as if it were whole.
    Hidden,
    /// It does not end.
    Hangs,
    /// It breaks off without what came last: so many events of so many were there, and was the error?
    LosesTail { events: usize, expected: usize, error: bool },
    /// An answer of the hop's own comes in its place.
    Replaced(u16),
}

impl Truncation {
    /// What became of the answer, of which so many events were sent before its error. `None`: it broke off where it should, or it
    /// was refused before anything of it came.
    pub(super) fn of(trace: &Trace, expected: usize) -> Option<Self> {
        let events = trace.stamped().len();
        match (&trace.end, trace.status()) {
            (End::Left | End::Unreachable(_), _) | (End::Broken(_), None) => None,
            (_, Some(status @ 500..)) if waited(trace) => Some(Self::Replaced(status)),
            (_, Some(status)) if status != 200 => None,
            (End::TimedOut, _) => Some(Self::Hangs),
            (End::Whole, _) => Some(Self::Hidden),
            (End::Broken(_), _) if events < expected || !trace.error => {
                Some(Self::LosesTail { events, expected, error: trace.error })
            }
            (End::Broken(_), _) => None,
        }
    }

    /// Does a hop that looks so behind another one do nothing more than that?
    pub(super) fn is_like(self, inner: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&inner)
    }
}

/// Was the status said only when the answer had broken off? A refusal comes at once.
fn waited(trace: &Trace) -> bool {
    trace.head.as_ref().is_some_and(|head| head.at >= SAID)
}

/// An answer that breaks off has gone on for longer than this.
const SAID: std::time::Duration = std::time::Duration::from_millis(180);

/// So often is asked for an answer that breaks off: whether its tail is lost may hang on who is faster.
const TIMES: usize = 3;

/// Answers to the same question, one after the other.
#[derive(Debug, Default)]
pub(super) struct Truncations(Vec<(Trace, Option<Truncation>)>);

impl Truncations {
    pub(super) fn push(&mut self, trace: Trace, expected: usize) {
        let truncation = Truncation::of(&trace, expected);
        self.0.push((trace, truncation));
    }

    /// Is it known? What is lost once is lost; that nothing comes any more is believed only of two.
    pub(super) fn is_settled(&self) -> bool {
        let hung = self.0.iter().filter(|(_, truncation)| *truncation == Some(Truncation::Hangs)).count();
        let bad = |truncation: &Truncation| *truncation != Truncation::Hangs;
        self.0.len() >= TIMES
            || hung > 1
            || self.0.iter().any(|(_, truncation)| truncation.as_ref().is_some_and(bad))
    }

    /// The answer that counts, and how often was asked for it.
    pub(super) fn settle(self) -> Option<(Trace, usize)> {
        let times = self.0.len();
        let hung = self.0.iter().filter(|(_, truncation)| *truncation == Some(Truncation::Hangs)).count();
        let rank = |truncation: &Option<Truncation>| match truncation {
            Some(Truncation::Hangs) if hung < 2 && times > 1 => 0, // once: the machine or the network
            None => 1,
            Some(Truncation::Hangs) => 2,
            Some(_) => 3,
        };
        self.0.into_iter().max_by_key(|(_, truncation)| rank(truncation)).map(|(trace, _)| (trace, times))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Version};

    use super::*;
    use crate::doctor::pattern::tests::trace;
    use crate::doctor::trace::Head;

    pub(crate) const EXPECTED: usize = 6;

    /// So many events of an answer that breaks off, behind which it ends in this way.
    pub(crate) fn truncated(events: usize, error: bool, end: End) -> Trace {
        let mut trace = trace(|due| due);
        trace.events.truncate(events);
        let head = Head {
            at: Duration::from_millis(3),
            status: 200,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
        };
        Trace { head: Some(head), error, end, ended: Duration::from_millis(900), ..trace }
    }

    fn broken() -> End {
        End::Broken("closed".to_owned())
    }

    fn page(status: u16, at: u64) -> Trace {
        let mut page = truncated(0, false, End::Whole);
        page.head = page.head.map(|head| Head { status, at: Duration::from_millis(at), ..head });
        page
    }

    #[test]
    fn a_stream_that_breaks_off_with_all_of_it_there_is_well() {
        assert_eq!(Truncation::of(&truncated(6, true, broken()), EXPECTED), None);
    }

    #[test]
    fn what_becomes_of_the_others_is_told_apart() {
        for (trace, wanted) in [
            (truncated(6, true, End::Whole), Truncation::Hidden),
            (truncated(4, false, End::Whole), Truncation::Hidden),
            (truncated(6, true, End::TimedOut), Truncation::Hangs),
            (truncated(0, false, End::TimedOut), Truncation::Hangs),
            (truncated(6, false, broken()), Truncation::LosesTail { events: 6, expected: 6, error: false }),
            (truncated(5, false, broken()), Truncation::LosesTail { events: 5, expected: 6, error: false }),
            (truncated(5, true, broken()), Truncation::LosesTail { events: 5, expected: 6, error: true }),
            (page(502, 700), Truncation::Replaced(502)),
            (page(503, 900), Truncation::Replaced(503)),
        ] {
            assert_eq!(Truncation::of(&trace, EXPECTED), Some(wanted));
        }
    }

    #[test]
    fn what_was_refused_did_not_break_off() {
        for (status, at) in [(429, 700), (503, 4), (400, 2)] {
            assert_eq!(Truncation::of(&page(status, at), EXPECTED), None, "{status} after {at} ms");
        }
        assert_eq!(Truncation::of(&Trace::nothing(broken(), Duration::ZERO), EXPECTED), None);
    }

    /// Whether the answers settle it, and what counts.
    fn settled(traces: &[Trace]) -> (bool, Option<Truncation>) {
        let mut all = Truncations::default();
        for trace in traces {
            all.push(trace.clone(), EXPECTED);
        }
        let settled = all.is_settled();
        let (trace, times) = all.settle().unwrap();
        assert_eq!(times, traces.len());
        (settled, Truncation::of(&trace, EXPECTED))
    }

    #[test]
    fn a_loss_counts_once_and_an_end_that_never_comes_twice() {
        let (well, hangs) = (|| truncated(6, true, broken()), || truncated(6, true, End::TimedOut));
        let lost = || truncated(5, false, broken());
        let loses = Truncation::LosesTail { events: 5, expected: 6, error: false };
        assert_eq!(settled(&[well()]), (false, None));
        assert_eq!(settled(&[well(), well(), well()]), (true, None));
        assert_eq!(settled(&[well(), lost()]), (true, Some(loses)));
        assert_eq!(settled(&[hangs(), well()]), (false, None));
        assert_eq!(settled(&[hangs(), well(), well()]), (true, None));
        assert_eq!(settled(&[hangs(), hangs()]), (true, Some(Truncation::Hangs)));
        assert_eq!(settled(&[truncated(6, true, End::Whole)]), (true, Some(Truncation::Hidden)));
    }
}
