//! Who reads under a name, and who may not any more: the newest viewer that claims a stream for itself takes the place of all
//! others, on whichever replica they read.

use std::collections::{HashSet, VecDeque};

use crate::journal::record::{Record, State, Viewer};

#[derive(Debug, Default)]
pub(super) struct Viewers {
    current: Option<String>,
    superseded: HashSet<String>,
    /// Those of them that read by a signed address, the latest last. They displace nobody, so that the oldest may be forgotten, and
    /// they fill no room of others.
    guests: VecDeque<String>,
    /// How many have taken a place, on any replica.
    turn: u64,
}

/// How many superseded viewers are remembered, and how many of those that read by a signed address.
const SUPERSEDED: usize = 1024;
const GUESTS: usize = 256;

impl Viewers {
    /// Has it lost its place, or did another take everybody's while it was on its way here?
    pub(super) fn is_superseded(&self, viewer: &Viewer) -> bool {
        if viewer.guest {
            return self.guests.contains(&viewer.id);
        }
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
            let Some(other) = seat.viewer.as_ref().filter(|other| other.is_named()) else { continue };
            if other.guest {
                self.viewers.guests.push_back(other.id.clone());
            } else if other.id == current && other.turn >= turn {
                continue;
            } else {
                displaced.push(other.id.clone());
            }
            seat.superseded = true;
            seat.close();
        }
        let guests = &mut self.viewers.guests;
        guests.drain(..guests.len().saturating_sub(GUESTS));
        displaced.extend(self.viewers.current.replace(current.into()));
        displaced.retain(|id| id != current);
        self.viewers.superseded.extend(displaced.iter().cloned());
        displaced
    }
}

impl Record {
    /// Another replica tells that `current` has taken everybody's place; gives those who lost theirs here.
    pub(in crate::journal) fn taken_over(&self, current: &str, turn: u64) -> Vec<String> {
        let mut state = self.state();
        if turn <= state.viewers.turn {
            return Vec::new();
        }
        state.viewers.turn = turn;
        state.displace(current, turn)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::journal::Reader;
    use crate::journal::ledger::Account;
    use crate::journal::record::{Meta, Role, Trimmed};
    use crate::journal::shelf::Limits;

    fn record(readers: usize) -> Arc<Record> {
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
        let account = Arc::new(Account::new(&Arc::default()));
        Arc::new(Record::new(meta, Limits { stream_bytes: 1 << 20, readers }, account, Role::Alone))
    }

    fn read(record: &Arc<Record>, viewer: Viewer) -> Result<Reader, Trimmed> {
        record.read(0, Some(viewer), CancellationToken::new())
    }

    fn owner(record: &Arc<Record>, id: &str) -> Result<Reader, Trimmed> {
        read(record, Viewer::new(id.into(), true))
    }

    fn guest(record: &Arc<Record>, id: &str) -> Result<Reader, Trimmed> {
        read(record, Viewer::guest(Some(Viewer::new(id.into(), true))))
    }

    #[test]
    fn guests_of_any_number_of_names_leave_the_owner_its_takeover() {
        let record = record(100_000);
        for round in 0..3 {
            let _guests: Vec<_> =
                (0..SUPERSEDED).map(|n| guest(&record, &format!("{round}-{n}")).unwrap()).collect();
            let _owner = owner(&record, &format!("phone-{round}")).unwrap();
        }
        let last = format!("2-{}", SUPERSEDED - 1);
        assert_eq!(guest(&record, &last).err(), Some(Trimmed::Superseded), "the latest are remembered");
        assert!(record.state.lock().viewers.guests.len() <= GUESTS);
        assert_eq!(owner(&record, "phone-0").err(), Some(Trimmed::Superseded), "so are those with a key");
        owner(&record, &last).unwrap(); // who has a key is no guest
    }

    #[test]
    fn guests_leave_room_for_those_with_a_key() {
        let record = record(16);
        let guests: Vec<_> = (0..14).map(|_| read(&record, Viewer::guest(None)).unwrap()).collect();
        assert_eq!(read(&record, Viewer::guest(None)).err(), Some(Trimmed::Full));
        let _phone = owner(&record, "phone").unwrap();
        assert_eq!(record.status().readers, guests.len() + 1, "who has no name is displaced by nobody");
        let _desk = record.read(0, None, CancellationToken::new()).unwrap();
        assert_eq!(record.read(0, None, CancellationToken::new()).err(), Some(Trimmed::Full));
    }
}
