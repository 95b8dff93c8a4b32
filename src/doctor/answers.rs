//! The answers to one way of asking. What a hop does it does every time; what a busy machine does comes and goes, and it can only
//! hold an answer up: so an answer that looks bad is asked for again, until one is well or two are bad in the same way.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::doctor::trace::Trace;

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Answer>);

#[derive(Debug)]
struct Answer {
    trace: Trace,
    doubt: Option<Doubt>,
    /// Did this process stand still meanwhile?
    stalled: bool,
}

/// What is wrong with an answer that may be the machine's doing: the lesser is the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt {
    /// Of the same rank are those that are wrong in the same way.
    pub(super) rank: u8,
    pub(super) late: Duration,
}

/// How often something was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) times: usize,
    /// Were the answers of different kinds?
    pub(super) differed: bool,
}

/// The ranks of answers that come in lumps or whole.
const GATHERED: RangeInclusive<u8> = 3..=4;
/// More answers than these settle nothing.
const MOST: usize = 3;

impl Answers {
    pub(super) fn push(&mut self, trace: Trace, doubt: Option<Doubt>, stalled: bool) {
        self.0.push(Answer { trace, doubt, stalled });
    }

    /// Is it known what the hop does? Two answers that agree are no proof if this process stood still in one of them.
    pub(super) fn is_settled(&self) -> bool {
        let calm: Vec<u8> = self.0.iter().filter(|answer| !answer.stalled).map(Answer::rank).collect();
        self.0.len() >= MOST || self.is_well() || pair(&calm).is_some()
    }

    /// Does what counts so far look as if the hop gathered events?
    pub(super) fn gather(&self) -> bool {
        self.counting().and_then(|answer| answer.doubt).is_some_and(|doubt| GATHERED.contains(&doubt.rank))
    }

    /// The answer that counts, and how often was asked for it.
    pub(super) fn settle(mut self) -> Option<(Trace, Asked)> {
        let first = self.0.first()?.rank();
        let asked =
            Asked { times: self.0.len(), differed: self.0.iter().any(|answer| answer.rank() != first) };
        let (at, _) = self.best()?;
        Some((self.0.swap_remove(at).trace, asked))
    }

    fn is_well(&self) -> bool {
        self.0.iter().any(|answer| answer.doubt.is_none())
    }

    fn counting(&self) -> Option<&Answer> {
        self.best().map(|(_, answer)| answer)
    }

    /// One that is well; else the better of two that agree; else the best of all.
    fn best(&self) -> Option<(usize, &Answer)> {
        let ranks: Vec<u8> = self.0.iter().map(Answer::rank).collect();
        let wanted = self.is_well().then_some(0).or_else(|| pair(&ranks));
        let counting =
            self.0.iter().enumerate().filter(|(_, answer)| wanted.is_none_or(|rank| answer.rank() == rank));
        counting.min_by_key(|(_, answer)| answer.doubt)
    }
}

impl Answer {
    fn rank(&self) -> u8 {
        self.doubt.map_or(0, |doubt| doubt.rank)
    }
}

/// The rank that two of them have.
fn pair(ranks: &[u8]) -> Option<u8> {
    ranks
        .iter()
        .enumerate()
        .find(|(at, rank)| ranks.iter().skip(at + 1).any(|other| other == *rank))
        .map(|(_, rank)| *rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::pattern::tests::trace;

    /// Answers of these ranks, each so late; 0 is well.
    fn answers(all: &[(u8, u64)]) -> Answers {
        let mut answers = Answers::default();
        for (rank, late) in all {
            let late = Duration::from_millis(*late);
            let doubt = (*rank > 0).then_some(Doubt { rank: *rank, late });
            answers.push(Trace { ended: late, ..trace(|due| due) }, doubt, false);
        }
        answers
    }

    fn settled(all: &[(u8, u64)]) -> (u128, usize, bool) {
        let answers = answers(all);
        assert!(answers.is_settled(), "{all:?}");
        let (trace, asked) = answers.settle().unwrap();
        (trace.ended.as_millis(), asked.times, asked.differed)
    }

    #[test]
    fn one_that_is_well_counts() {
        assert_eq!(settled(&[(0, 5)]), (5, 1, false));
        assert_eq!(settled(&[(1, 220), (0, 5)]), (5, 2, true));
        assert_eq!(settled(&[(3, 220), (1, 200), (0, 5)]), (5, 3, true));
    }

    #[test]
    fn two_that_agree_are_told_and_the_better_of_them_counts() {
        assert!(!answers(&[(1, 430)]).is_settled() && !answers(&[(3, 400), (1, 205)]).is_settled());
        assert_eq!(settled(&[(1, 430), (1, 205)]), (205, 2, false));
        assert_eq!(settled(&[(3, 400), (1, 430), (1, 205)]), (205, 3, true));
        assert_eq!(
            settled(&[(3, 400), (1, 1), (3, 300)]),
            (300, 3, true),
            "it is no less bad than two of three"
        );
    }

    #[test]
    fn the_best_counts_where_no_two_agree() {
        assert_eq!(settled(&[(4, 900), (3, 400), (1, 205)]), (205, 3, true));
    }

    #[test]
    fn an_answer_in_which_this_process_stood_still_is_no_proof() {
        let mut answers = answers(&[(1, 220)]);
        let doubt = Some(Doubt { rank: 1, late: Duration::from_millis(205) });
        answers.push(trace(|due| due + 205), doubt, true);
        assert!(!answers.is_settled());
        answers.push(trace(|due| due + 205), doubt, false);
        assert!(answers.is_settled());
    }
}
