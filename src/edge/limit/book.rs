//! What a key has used, as numbers that only the clock brings down: how far its requests and its tokens run ahead of their rates
//! (the generic cell rate algorithm), and how many tokens it has used today. Everything may go below nothing: real usage is known
//! only afterwards.

use std::num::NonZeroU64;
use std::time::Duration;

/// One minute, in microseconds: how far usage may run ahead of its rate.
const MINUTE: i64 = 60_000_000;
const DAY: u64 = 86_400;
/// More than any model can be asked for; keeps sums in bounds.
const MOST: u64 = 1 << 40;

/// What a key may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub requests_per_minute: Option<NonZeroU64>,
    pub tokens_per_minute: Option<NonZeroU64>,
    /// From midnight to midnight, UTC.
    pub tokens_per_day: Option<NonZeroU64>,
}

/// What is taken from a key, or given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// In microseconds of the rate.
    pub requests: i64,
    pub tokens: i64,
    /// In tokens.
    pub today: i64,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// How far its requests run ahead of their rate, in microseconds; at most a minute but for debts.
    pub requests: i64,
    pub tokens: i64,
    /// Tokens used today.
    pub today: i64,
}

/// The time, on the two clocks that count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Microseconds of a clock that never jumps.
    pub(super) micros: i64,
    /// Seconds since 1970.
    pub(super) unix: u64,
}

/// Of what there is not enough left, and when there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    Requests(Duration),
    Tokens(Duration),
    Today(Duration),
}

/// What one process knows of a key's usage.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// When what was used is made up for.
    requests: i64,
    tokens: i64,
    day: u64,
    today: i64,
}

impl Terms {
    /// One request, whatever becomes of it.
    pub(super) fn request(self) -> Charge {
        Charge { requests: cost(1, self.requests_per_minute), ..Charge::default() }
    }

    /// So many tokens of one request. One that asks for more than a minute's tokens takes all of a minute.
    pub(super) fn work(self, tokens: u64) -> Charge {
        let tokens = tokens.min(MOST);
        Charge {
            requests: 0,
            tokens: cost(tokens, self.tokens_per_minute).min(MINUTE),
            today: if self.tokens_per_day.is_some() { amount(tokens) } else { 0 },
        }
    }

    /// What is still owed of a request that was charged and has used so many tokens.
    pub(super) fn rest(self, charged: Charge, used: u64) -> Charge {
        let used = self.work(used).with(cost(used.min(MOST), self.tokens_per_minute));
        Charge { requests: 0, tokens: used.tokens - charged.tokens, today: used.today - charged.today }
    }

    /// What of the charge is more than is left.
    pub(super) fn short(self, balance: Balance, charge: Charge, unix: u64) -> Option<Short> {
        let over = |ahead: i64, cost: i64| {
            let over = ahead + cost - MINUTE;
            (cost > 0 && over > 0).then(|| micros(over))
        };
        let budget = self.tokens_per_day.map_or(i64::MAX, |limit| amount(limit.get()));
        let spent = charge.today > 0 && balance.today.saturating_add(charge.today) > budget;
        let today = spent.then(|| Short::Today(Duration::from_secs(DAY - unix % DAY)));
        let requests = || over(balance.requests, charge.requests).map(Short::Requests);
        let tokens = || over(balance.tokens, charge.tokens).map(Short::Tokens);
        today.or_else(requests).or_else(tokens)
    }

    /// How many requests are left, and when all of them are there again.
    pub(super) fn requests(self, balance: Balance) -> Option<(u64, u64, Duration)> {
        let limit = self.requests_per_minute?.get();
        Some((limit, left(limit, balance.requests), micros(balance.requests)))
    }

    /// The same of the tokens: those of the minute, or of the day where fewer are left of that.
    pub(super) fn tokens(self, balance: Balance, unix: u64) -> Option<(u64, u64, Duration)> {
        let minute = self
            .tokens_per_minute
            .map(|limit| (limit.get(), left(limit.get(), balance.tokens), micros(balance.tokens)));
        let day = self.tokens_per_day.map(|limit| {
            let used = u64::try_from(balance.today).unwrap_or_default();
            (limit.get(), limit.get().saturating_sub(used), Duration::from_secs(DAY - unix % DAY))
        });
        [minute, day].into_iter().flatten().min_by_key(|(_, left, _)| *left)
    }
}

impl Charge {
    fn with(self, tokens: i64) -> Self {
        Self { tokens, ..self }
    }

    /// The two together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            today: self.today.saturating_add(other.today),
        }
    }

    /// Is there nothing to take and nothing to give?
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Book {
    pub(super) fn balance(&self, clock: Clock) -> Balance {
        Balance {
            requests: (self.requests - clock.micros).max(0),
            tokens: (self.tokens - clock.micros).max(0),
            today: if self.day == clock.unix / DAY { self.today } else { 0 },
        }
    }

    /// Takes all of a charge, or says what there is not enough of.
    pub(super) fn take(&mut self, terms: Terms, charge: Charge, clock: Clock) -> Result<(), Short> {
        match terms.short(self.balance(clock), charge, clock.unix) {
            Some(short) => Err(short),
            None => {
                self.settle(charge, clock);
                Ok(())
            }
        }
    }

    /// Takes or gives back, whatever is left.
    pub(super) fn settle(&mut self, charge: Charge, clock: Clock) {
        let Balance { requests, tokens, today } = self.balance(clock);
        let sum = |ahead: i64, cost: i64| ahead.saturating_add(cost).max(0);
        let balance = Balance {
            requests: sum(requests, charge.requests),
            tokens: sum(tokens, charge.tokens),
            today: sum(today, charge.today),
        };
        self.adopt(balance, clock);
    }

    /// Believes what others say of how the key stands.
    pub(super) fn adopt(&mut self, balance: Balance, clock: Clock) {
        self.requests = clock.micros.saturating_add(balance.requests);
        self.tokens = clock.micros.saturating_add(balance.tokens);
        (self.day, self.today) = (clock.unix / DAY, balance.today);
    }
}

/// How much time of its rate an amount takes.
fn cost(amount: u64, per_minute: Option<NonZeroU64>) -> i64 {
    let Some(limit) = per_minute else { return 0 };
    let micros = u128::from(amount) * u128::from(MINUTE.unsigned_abs()) / u128::from(limit.get());
    i64::try_from(micros).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn left(limit: u64, ahead: i64) -> u64 {
    let free = u128::from((MINUTE - ahead).max(0).unsigned_abs());
    u64::try_from(free * u128::from(limit) / u128::from(MINUTE.unsigned_abs())).unwrap_or(limit)
}

fn amount(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn micros(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: u64 = 20_000 * DAY + DAY / 2;

    fn terms(requests: u64, tokens: u64, day: u64) -> Terms {
        Terms {
            requests_per_minute: NonZeroU64::new(requests),
            tokens_per_minute: NonZeroU64::new(tokens),
            tokens_per_day: NonZeroU64::new(day),
        }
    }

    fn after(seconds: u64) -> Clock {
        Clock { micros: i64::try_from(seconds * 1_000_000).unwrap(), unix: NOON + seconds }
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_more_as_time_goes_by() {
        let (terms, mut book) = (terms(7, 0, 0), Book::default());
        let mut ask = |at| book.take(terms, terms.request(), after(at));
        for _ in 0..7 {
            assert_eq!(ask(0), Ok(()));
        }
        assert!(matches!(ask(0), Err(Short::Requests(wait)) if wait.as_secs() == 8), "60 s for 7");
        assert!(ask(8).is_err());
        assert_eq!(ask(9), Ok(()));
        assert!(ask(9).is_err());
    }

    #[test]
    fn what_was_reserved_too_much_is_given_back_and_what_was_used_too_much_is_owed() {
        let (terms, mut book) = (terms(0, 6000, 0), Book::default());
        let charge = terms.work(5000);
        book.take(terms, charge, after(0)).unwrap();
        assert!(book.take(terms, charge, after(0)).is_err());
        book.settle(terms.rest(charge, 1000), after(0));
        assert_eq!(terms.tokens(book.balance(after(0)), NOON).unwrap().1, 5000);
        book.take(terms, charge, after(0)).unwrap();
        book.settle(terms.rest(charge, 17_000), after(0)); // 12,000 over: two minutes
        let Err(Short::Tokens(wait)) = book.take(terms, terms.work(1), after(0)) else { panic!() };
        assert_eq!(wait.as_secs(), 120);
        assert_eq!(terms.tokens(book.balance(after(60)), NOON).unwrap().1, 0);
        assert_eq!(book.take(terms, terms.work(1), after(121)), Ok(()));
    }

    #[test]
    fn a_request_for_more_than_a_minute_takes_a_whole_minute_and_settles_what_it_used() {
        let (terms, mut book) = (terms(0, 1000, 0), Book::default());
        let huge = terms.work(u64::MAX);
        book.take(terms, huge, after(0)).unwrap();
        assert!(book.take(terms, terms.work(1), after(0)).is_err());
        book.settle(terms.rest(huge, 10), after(0));
        assert_eq!(terms.tokens(book.balance(after(0)), NOON).unwrap().1, 990);
        assert!(book.take(terms, huge, after(0)).is_err(), "only of a minute that is whole");
    }

    #[test]
    fn the_budget_of_a_day_begins_anew_at_midnight() {
        let (terms, mut book) = (terms(0, 0, 100), Book::default());
        book.take(terms, terms.work(60), after(0)).unwrap();
        let Err(Short::Today(wait)) = book.take(terms, terms.work(60), after(0)) else { panic!() };
        assert_eq!(wait.as_secs(), DAY / 2);
        assert_eq!(book.take(terms, terms.work(60), after(DAY / 2)), Ok(()));
        // What is given back of yesterday makes no more of today.
        book.settle(terms.rest(terms.work(90), 0), after(DAY / 2));
        assert!(book.take(terms, terms.work(101), after(DAY / 2)).is_err());
    }

    proptest! {
        #[test]
        fn no_order_of_requests_gets_more_than_the_rate_allows(
            limit in 1_u64..5000, steps in prop::collection::vec((0_u64..3000, 0_u64..20), 1..200)
        ) {
            let (terms, mut book) = (terms(0, limit, 0), Book::default());
            let (mut now, mut taken) = (0, 0);
            for (tokens, pause) in steps {
                now += pause;
                if tokens <= limit && book.take(terms, terms.work(tokens), after(now)).is_ok() {
                    taken += tokens;
                }
                prop_assert!(taken <= limit + limit * now / 60 + 1, "{taken} in {now} s of {limit} a minute");
            }
        }
    }
}
