//! Which backend of a route is asked first, and which after it: in order, by weight, by load, or by conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::upstream::breaker::{Gate, Health};
use crate::upstream::budget::Budget;
use crate::upstream::standing::Reading;

/// How a route chooses among its backends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// As they stand in the configuration.
    Ordered,
    /// At random, by weight.
    Weighted,
    /// The better of two at random, by outstanding requests, time to first token, errors and weight.
    LeastLoaded,
    /// The same one for all requests of a conversation, for the sake of its prefix cache.
    Conversation,
}

/// How a backend is chosen for one request.
#[derive(Clone, Debug)]
pub struct Choice {
    pub balance: Balance,
    /// Stands for the conversation.
    pub conversation: u64,
    /// What retries are taken from; `None`: they were counted already.
    pub budget: Option<Arc<Budget>>,
    /// How long a stream may go without content until a second backend is asked.
    pub hedge_after: Option<Duration>,
}

impl Choice {
    /// For a request whose backend is chosen already.
    pub fn made() -> Self {
        Self { balance: Balance::Ordered, conversation: 0, budget: None, hedge_after: None }
    }
}

/// What of a route's requests is for a backend.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub weight: u32,
    /// Has it the model? Those that are known to have it go first, those that are known not to, last.
    pub has: Option<bool>,
}

/// A backend that may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contender {
    pub(super) reading: Reading,
    pub(super) share: Share,
}

/// The place of a backend in the list that it was chosen from, and whether it is asked only because nobody is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) forced: bool,
}

/// How much more than its share of the running requests a backend takes before a conversation goes elsewhere.
const BOUND: f64 = 1.25;

/// The order in which backends are asked. Those that are ejected come last, and those that are paused not at all: unless
/// there is no other, for the least bad is better than none.
pub(super) fn order(choice: &Choice, contenders: &[Contender], now: Instant, dice: &Dice) -> Vec<Place> {
    let numbered = || contenders.iter().enumerate();
    let may = |contender: &Contender| matches!(contender.reading.gate, Gate::In | Gate::Trial);
    let tier = |has: Option<bool>| {
        let tier = numbered().filter(|(_, contender)| may(contender) && contender.share.has == has);
        rank(choice, tier.map(|(at, contender)| (at, *contender)).collect(), dice)
    };
    let tiers = [Some(true), None, Some(false)].into_iter().flat_map(tier);
    let mut order: Vec<Place> = tiers.map(|at| Place { at, forced: false }).collect();
    let none = order.is_empty();
    let mut out: Vec<_> = numbered()
        .filter_map(|(at, contender)| match contender.reading.gate {
            Gate::Out { why, until } if none || why != Health::Paused => {
                Some((contender.share.has != Some(true), why == Health::Down, until, at))
            }
            Gate::Out { .. } | Gate::In | Gate::Trial => None,
        })
        .collect();
    debug_assert!(out.iter().all(|(.., until, _)| until.is_none_or(|until| until >= now)));
    out.sort_unstable();
    order.extend(out.into_iter().map(|(.., at)| Place { at, forced: true }));
    order
}

/// The order among those that may be chosen.
fn rank(choice: &Choice, contenders: Vec<(usize, Contender)>, dice: &Dice) -> Vec<usize> {
    match choice.balance {
        Balance::Ordered => contenders.into_iter().map(|(at, _)| at).collect(),
        Balance::Weighted => by_weight(contenders, dice),
        Balance::LeastLoaded => by_load(contenders, dice),
        Balance::Conversation => by_conversation(choice.conversation, &contenders),
    }
}

/// Drawn without putting back (Efraimidis and Spirakis).
fn by_weight(contenders: Vec<(usize, Contender)>, dice: &Dice) -> Vec<usize> {
    let drawn = |(at, contender): (usize, Contender)| (arrival(dice.fraction(), contender.share.weight), at);
    sorted(contenders.into_iter().map(drawn).collect())
}

/// Two are drawn and the one with the lesser cost is taken, until all are.
fn by_load(mut contenders: Vec<(usize, Contender)>, dice: &Dice) -> Vec<usize> {
    let known = contenders.iter().filter_map(|(_, contender)| contender.reading.speed.ttft);
    let fastest = known.fold(f64::INFINITY, f64::min);
    let fastest = if fastest.is_finite() { fastest } else { 0.0 };
    let cost = |contender: &Contender| {
        let Reading { outstanding, speed, .. } = contender.reading;
        speed.cost(outstanding, contender.share.weight, fastest)
    };
    let mut order = Vec::with_capacity(contenders.len());
    while contenders.len() > 1 {
        // The two drawn go to the end, and the better one behind the other.
        for drawn in 1..=2 {
            let last = contenders.len() - drawn;
            contenders.swap(dice.below(last + 1), last);
        }
        if let [.., one, other] = contenders.as_mut_slice()
            && cost(&one.1) < cost(&other.1)
        {
            std::mem::swap(one, other);
        }
        order.extend(contenders.pop().map(|(at, _)| at));
    }
    order.extend(contenders.pop().map(|(at, _)| at));
    order
}

/// Rendezvous hashing: every backend has a score for every conversation, and the highest wins, so that of all conversations
/// only those move whose backend goes or which a new one wins. A backend that has more than its bounded share comes last.
fn by_conversation(conversation: u64, contenders: &[(usize, Contender)]) -> Vec<usize> {
    let real = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let running: usize = contenders.iter().map(|(_, contender)| contender.reading.outstanding).sum();
    let weights: f64 = contenders.iter().map(|(_, contender)| f64::from(contender.share.weight)).sum();
    let is_full = |contender: &Contender| {
        let share = (real(running) + 1.0) * f64::from(contender.share.weight) / weights;
        real(contender.reading.outstanding) >= (BOUND * share).ceil()
    };
    let scored = |wanted: bool| {
        let those = contenders.iter().filter(|(_, contender)| is_full(contender) == wanted);
        let scores = those.map(|(at, contender)| {
            let hash = mixed(conversation ^ contender.reading.seed);
            (arrival(fraction(hash), contender.share.weight), *at)
        });
        sorted(scores.collect())
    };
    [scored(false), scored(true)].concat()
}

/// When something of this weight arrives that is as likely at any time: the sooner the heavier.
fn arrival(fraction: f64, weight: u32) -> f64 {
    -fraction.ln() / f64::from(weight)
}

fn sorted(mut scores: Vec<(f64, usize)>) -> Vec<usize> {
    scores.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    scores.into_iter().map(|(_, at)| at).collect()
}

/// Random numbers for choices, for many threads at once.
#[derive(Debug)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new() -> Self {
        Self::seeded(getrandom::u64().unwrap_or_default()) // without any, every start has the same choices
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// `SplitMix64`.
    fn roll(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        mixed(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    fn fraction(&self) -> f64 {
        fraction(self.roll())
    }

    /// A number less than `bound`.
    fn below(&self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % bound).unwrap_or_default()
    }
}

/// The finalizer of `SplitMix64`: every bit of the input turns half of those of the output.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A number between 0 and 1, neither of them.
fn fraction(number: u64) -> f64 {
    let upper = u32::try_from(number >> 32).unwrap_or_default();
    (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::load::Speed;
    use crate::upstream::standing::digest;

    fn contender(name: &str, weight: u32) -> Contender {
        let reading = Reading {
            gate: Gate::In,
            outstanding: 0,
            speed: Speed::default(),
            seed: digest(name.as_bytes()),
        };
        Contender { reading, share: Share { weight, has: None } }
    }

    fn three() -> [Contender; 3] {
        ["a", "b", "c"].map(|name| contender(name, 1))
    }

    fn choice(balance: Balance) -> Choice {
        Choice { balance, ..Choice::made() }
    }

    fn places(choice: &Choice, contenders: &[Contender], dice: &Dice) -> Vec<usize> {
        order(choice, contenders, Instant::now(), dice).into_iter().map(|place| place.at).collect()
    }

    fn first(choice: &Choice, contenders: &[Contender], dice: &Dice) -> usize {
        places(choice, contenders, dice)[0]
    }

    fn out(why: Health, seconds: u64) -> Gate {
        Gate::Out { why, until: Some(Instant::now() + Duration::from_secs(seconds)) }
    }

    /// How many of so many choices each of three gets.
    fn shares(balance: Balance, contenders: &[Contender]) -> [usize; 3] {
        let dice = Dice::seeded(1);
        let mut shares = [0; 3];
        for _ in 0..6000 {
            shares[first(&choice(balance), contenders, &dice)] += 1;
        }
        shares
    }

    #[tokio::test(start_paused = true)]
    async fn every_order_names_each_backend_once() {
        let dice = Dice::seeded(7);
        for balance in [Balance::Ordered, Balance::Weighted, Balance::LeastLoaded, Balance::Conversation] {
            for _ in 0..50 {
                let mut order = places(&choice(balance), &three(), &dice);
                order.sort_unstable();
                assert_eq!(order, [0, 1, 2], "{balance:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn weights_are_shares() {
        let mut contenders = three();
        contenders[1].share.weight = 3;
        contenders[2].share.weight = 2;
        let [a, b, c] = shares(Balance::Weighted, &contenders);
        assert!(
            (850..1150).contains(&a) && (2850..3150).contains(&b) && (1850..2150).contains(&c),
            "{a} {b} {c}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_share_alike_and_the_most_loaded_gets_nothing() {
        let [a, b, c] = shares(Balance::LeastLoaded, &three());
        assert!([a, b, c].iter().all(|share| (1800..2200).contains(share)), "{a} {b} {c}");
        let mut contenders = three();
        contenders[0].reading.outstanding = 9;
        contenders[1].reading.outstanding = 3;
        let [a, b, c] = shares(Balance::LeastLoaded, &contenders);
        assert_eq!(a, 0, "it loses against both");
        assert!(c > b, "{b} {c}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_one_is_asked_when_the_fast_one_has_its_fill() {
        let speed = |ttft| Speed { ttft: Some(ttft), freshness: 1.0, errors: 0.0 };
        let mut contenders = vec![contender("fast", 1), contender("slow", 1)];
        contenders[0].reading.speed = speed(0.1);
        contenders[1].reading.speed = speed(0.5);
        let dice = Dice::seeded(3);
        contenders[0].reading.outstanding = 3;
        assert_eq!(first(&choice(Balance::LeastLoaded), &contenders, &dice), 0);
        contenders[0].reading.outstanding = 5;
        assert_eq!(first(&choice(Balance::LeastLoaded), &contenders, &dice), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_ejected_come_last_and_the_paused_only_if_there_is_no_other() {
        let dice = Dice::seeded(5);
        let mut contenders = three();
        contenders[0].reading.gate = out(Health::Ejected, 9);
        contenders[1].reading.gate = out(Health::Paused, 1);
        let ordered = choice(Balance::Ordered);
        let place = |at, forced| Place { at, forced };
        assert_eq!(order(&ordered, &contenders, Instant::now(), &dice), [place(2, false), place(0, true)]);
        contenders[2].reading.gate = Gate::Out { why: Health::Down, until: None };
        assert_eq!(places(&ordered, &contenders, &dice), [1, 0, 2], "the least bad first");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_to_have_the_model_goes_first() {
        let mut contenders = three();
        contenders[0].share.has = Some(false);
        contenders[2].share.has = Some(true);
        for balance in [Balance::Ordered, Balance::Weighted, Balance::LeastLoaded, Balance::Conversation] {
            assert_eq!(places(&choice(balance), &contenders, &Dice::seeded(2)), [2, 1, 0], "{balance:?}");
        }
    }

    /// Where each of a thousand conversations goes.
    fn homes(contenders: &[Contender]) -> Vec<usize> {
        let home = |conversation: u64| {
            let choice =
                Choice { conversation: digest(&conversation.to_be_bytes()), ..choice(Balance::Conversation) };
            first(&choice, contenders, &Dice::seeded(conversation))
        };
        (0..1000).map(home).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn few_conversations_move_when_a_backend_is_added_or_goes() {
        let four = ["a", "b", "c", "d"].map(|name| contender(name, 1));
        let (before, after) = (homes(&four[..3]), homes(&four));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        assert!((180..320).contains(&moved.len()), "{}", moved.len());
        assert!(moved.iter().all(|(_, after)| **after == 3), "only to the new one");
        for home in 0..4 {
            let there = after.iter().filter(|after| **after == home).count();
            assert!((180..320).contains(&there), "{there}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_conversation_leaves_a_backend_that_has_more_than_its_bounded_share() {
        let mut contenders = three();
        let conversation = choice(Balance::Conversation);
        let order = places(&conversation, &contenders, &Dice::seeded(1));
        for (busy, home) in [(2, 0), (3, 1)] {
            for contender in &mut contenders {
                contender.reading.outstanding = 1;
            }
            contenders[order[0]].reading.outstanding = busy;
            // With 2 + 1 + 1 running and one to come, up to ceil(1.25 * 5 / 3) = 3 may run; with 3 + 1 + 1, ceil(2.5) = 3.
            assert_eq!(places(&conversation, &contenders, &Dice::seeded(1))[0], order[home], "{busy}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn conversations_are_shared_by_weight() {
        let mut contenders = three();
        contenders[0].share.weight = 2;
        let there = homes(&contenders).iter().filter(|home| **home == 0).count();
        assert!((430..570).contains(&there), "{there}");
    }
}
