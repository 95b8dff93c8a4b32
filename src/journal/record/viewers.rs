//! Who reads under a name, and who may not any more: the newest viewer that claims a stream for itself takes the place of all
//! others, on whichever replica they read.

use std::collections::HashSet;

use crate::journal::record::{Record, State, Viewer};

#[derive(Debug, Default)]
pub(super) struct Viewers {
    current: Option<String>,
    superseded: HashSet<String>,
    /// How many have taken a place, on any replica.
    turn: u64,
}

/// How many superseded viewers are remembered.
const SUPERSEDED: usize = 1024;

impl Viewers {
    /// Has it lost its place, or did another take everybody's while it was on its way here?
    pub(super) fn is_superseded(&self, viewer: &Viewer) -> bool {
        let late = viewer.exclusive && viewer.turn > 0 && viewer.turn < self.turn;
        self.superseded.contains(&viewer.id) || late && self.current.as_ref() != Some(&viewer.id)
    }

    /// Is there no room to remember another one that lost its place?
    pub(super) fn is_full(&self) -> bool {
        self.superseded.len() >= SUPERSEDED
    }
}

impl State {
    /// A viewer takes the place of all others, for ever.
    pub(super) fn take_over(&mut self, viewer: &Viewer) {
        // The same viewer on a new connection takes over too, but is not displaced by it.
        self.displace(&viewer.id, u64::MAX);
        self.viewers.turn = self.viewers.turn.max(viewer.turn);
    }

    /// Ends who reads under a name and came before `turn`, or is not `current`; gives those who never may come back.
    fn displace(&mut self, current: &str, turn: u64) -> Vec<String> {
        let mut displaced: Vec<String> = Vec::new();
        for seat in self.seats.iter_mut() {
            let Some(other) = &seat.viewer else { continue };
            if other.id == current && other.turn >= turn {
                continue;
            }
            displaced.push(other.id.clone());
            seat.superseded = true;
            seat.close();
        }
        displaced.extend(self.viewers.current.replace(current.into()));
        displaced.retain(|id| id != current);
        self.viewers.superseded.extend(displaced.iter().cloned());
        displaced
    }
}

impl Record {
    /// Another replica tells that `current` has taken everybody's place; gives those who lost theirs here.
    pub(in crate::journal) fn taken_over(&self, current: &str, turn: u64) -> Vec<String> {
        let mut state = self.state.lock();
        if turn <= state.viewers.turn {
            return Vec::new();
        }
        state.viewers.turn = turn;
        state.displace(current, turn)
    }
}
