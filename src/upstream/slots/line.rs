//! The line before a backend: classes by their weight, the keys of a class in turn, the requests of a key in order. It knows no
//! clock and wakes nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::upstream::slots::reserve::Name;

/// A request that waits, by its number.
pub(super) type Number = u64;

/// Who stands where. A key that asks a hundred times as often as another stands with more requests in the line, and is let in no
/// more often.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    classes: Vec<Class>,
    /// The pass of the class that was let in last: one that was away begins here, and has saved nothing up.
    now: u64,
}

/// The keys of one weight.
#[derive(Clone, Debug)]
struct Class {
    weight: u32,
    /// The class with the lowest is next. It rises with everyone who is let in, the more slowly the more the class weighs.
    pass: u64,
    /// In the order of their turns; none without a request.
    keys: VecDeque<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    name: Name,
    numbers: VecDeque<Number>,
}

/// How far a class of weight 1 moves with everyone who is let in.
const STRIDE: u64 = 1 << 20;

impl Line {
    /// Puts a request behind those of its key.
    pub(super) fn push(&mut self, number: Number, name: Option<&Arc<str>>, weight: u32) {
        let weight = weight.max(1);
        let now = self.now;
        let at = self.classes.iter().position(|class| class.weight == weight).unwrap_or_else(|| {
            self.classes.push(Class { weight, pass: now, keys: VecDeque::new() });
            self.classes.len() - 1
        });
        let Some(class) = self.classes.get_mut(at) else { return };
        if class.keys.is_empty() {
            class.pass = class.pass.max(now);
        }
        match class.keys.iter_mut().find(|key| key.name.as_ref() == name) {
            Some(key) => key.numbers.push_back(number),
            None => class.keys.push_back(Key { name: name.cloned(), numbers: VecDeque::from([number]) }),
        }
    }

    /// Lets the next one in.
    fn pop(&mut self) -> Option<Number> {
        self.pop_of(|_| true).map(|(number, _)| number)
    }

    /// Lets the next one in of the keys that `may`; tells its key.
    pub(super) fn pop_of(&mut self, may: impl Fn(&Name) -> bool) -> Option<(Number, Name)> {
        let waiting = self.classes.iter_mut().filter(|class| class.keys.iter().any(|key| may(&key.name)));
        let class = waiting.min_by_key(|class| (class.pass, u32::MAX - class.weight))?;
        self.now = class.pass;
        class.pass += STRIDE / u64::from(class.weight);
        let at = class.keys.iter().position(|key| may(&key.name))?;
        let mut key = class.keys.remove(at)?;
        let (number, name) = (key.numbers.pop_front()?, key.name.clone());
        if !key.numbers.is_empty() {
            class.keys.push_back(key);
        }
        Some((number, name))
    }

    /// Takes out one who waits no longer.
    pub(super) fn remove(&mut self, number: Number) {
        for class in &mut self.classes {
            for key in &mut class.keys {
                key.numbers.retain(|waiting| *waiting != number);
            }
            class.keys.retain(|key| !key.numbers.is_empty());
        }
    }

    /// The order in which they would be let in if nobody else came.
    pub(super) fn order(&self) -> impl Iterator<Item = Number> {
        let mut rest = self.clone();
        std::iter::from_fn(move || rest.pop())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn the_requests_of_one_key_keep_their_order() {
        let mut line = Line::default();
        for number in 0..5 {
            line.push(number, None, 4);
        }
        assert_eq!(line.order().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        line.remove(2);
        assert_eq!(std::iter::from_fn(|| line.pop()).collect::<Vec<_>>(), [0, 1, 3, 4]);
        assert_eq!(line.pop(), None);
    }

    #[test]
    fn a_quiet_key_waits_for_one_turn_of_every_other_key_however_much_they_ask() {
        let (noisy, other, quiet) = (name("noisy"), name("other"), name("quiet"));
        let mut line = Line::default();
        for number in 0..100 {
            line.push(number, Some(&noisy), 4);
            line.push(100 + number, Some(&other), 4);
        }
        line.push(999, Some(&quiet), 4);
        assert_eq!(line.order().position(|number| number == 999), Some(2));
    }

    #[test]
    fn classes_are_let_in_by_their_weight_and_the_lowest_does_not_starve() {
        let (high, normal, low) = (name("high"), name("normal"), name("low"));
        let mut line = Line::default();
        for number in 0..1000 {
            line.push(number, Some(&low), 1);
            line.push(1000 + number, Some(&normal), 4);
            line.push(2000 + number, Some(&high), 16);
        }
        assert_eq!(line.order().next(), Some(2000));
        let first: Vec<u64> = line.order().take(210).collect();
        let of = |thousand: u64| first.iter().filter(|number| *number / 1000 == thousand).count();
        assert_eq!((of(2), of(1), of(0)), (160, 40, 10));
    }

    #[test]
    fn a_class_that_was_away_has_saved_nothing_up() {
        let (often, seldom) = (name("often"), name("seldom"));
        let mut line = Line::default();
        for number in 0..1000 {
            line.push(number, Some(&often), 4);
        }
        for _ in 0..500 {
            line.pop();
        }
        for number in 1000..2000 {
            line.push(number, Some(&seldom), 1);
        }
        let early = line.order().take(20).filter(|number| *number >= 1000).count();
        assert!((3..=5).contains(&early), "{early} of 20, where a fifth is due");
    }

    proptest! {
        #[test]
        fn everyone_is_let_in_once_or_taken_out(
            steps in prop::collection::vec((0_u8..4, 0_u8..5, 0_usize..3, any::<prop::sample::Index>()), 0..300)
        ) {
            let mut line = Line::default();
            let (mut next, mut inside) = (0, Vec::new());
            for (step, key, weight, index) in steps {
                match step {
                    0 | 1 => {
                        line.push(next, Some(&name(&key.to_string())), [1, 4, 16][weight]);
                        inside.push(next);
                        next += 1;
                    }
                    2 if !inside.is_empty() => line.remove(inside.remove(index.index(inside.len()))),
                    _ => {
                        let popped = line.pop();
                        prop_assert_eq!(popped.is_none(), inside.is_empty());
                        inside.retain(|number| Some(*number) != popped);
                    }
                }
                let mut order: Vec<u64> = line.order().collect();
                order.sort_unstable();
                prop_assert_eq!(&order, &inside);
            }
        }
    }
}
