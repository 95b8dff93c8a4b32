//! How many of a limited number of things each owner has, so that one of them cannot take all.

use std::collections::HashMap;

/// Counts things by their owners.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    taken: usize,
    owners: HashMap<Option<String>, usize>,
}

/// Why there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There are as many as may be.
    All,
    /// This owner has as many as one may have.
    Share,
}

/// One owner may have so much of all.
const SHARE: usize = 10;

impl Shares {
    pub fn new(most: usize) -> Self {
        Self { most, taken: 0, owners: HashMap::new() }
    }

    /// Counts one more. Where there are no keys, nobody shares with anybody: then one may have all.
    pub fn take(&mut self, owner: Option<&str>) -> Result<(), Taken> {
        if self.taken >= self.most {
            return Err(Taken::All);
        }
        let owner = owner.map(String::from);
        let own = self.owners.get(&owner).copied().unwrap_or_default();
        if owner.is_some() && own >= self.most.div_ceil(SHARE) {
            return Err(Taken::Share);
        }
        self.taken += 1;
        self.owners.insert(owner, own + 1);
        Ok(())
    }

    /// Counts one less.
    pub fn give_back(&mut self, owner: Option<&str>) {
        let owner = owner.map(String::from);
        let Some(own) = self.owners.get_mut(&owner) else { return };
        self.taken -= 1;
        *own -= 1;
        if *own == 0 {
            self.owners.remove(&owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_has_a_tenth_and_what_it_gives_back_it_may_take_again() {
        let mut shares = Shares::new(20);
        let alice = Some("alice");
        assert_eq!([shares.take(alice), shares.take(alice)], [Ok(()), Ok(())]);
        assert_eq!(shares.take(alice), Err(Taken::Share));
        assert_eq!(shares.take(Some("bob")), Ok(()));
        shares.give_back(alice);
        assert_eq!(shares.take(alice), Ok(()));
    }

    #[test]
    fn without_keys_one_may_have_all_and_no_more() {
        let mut shares = Shares::new(20);
        for _ in 0..20 {
            assert_eq!(shares.take(None), Ok(()));
        }
        assert_eq!((shares.take(None), shares.take(Some("alice"))), (Err(Taken::All), Err(Taken::All)));
        shares.give_back(Some("nobody"));
        assert_eq!(shares.take(None), Err(Taken::All));
    }
}
