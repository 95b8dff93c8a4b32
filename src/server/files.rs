//! Open files: how many the process may have, and how they are shared out between clients, backends and operators.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// How much fits below the limit of open files.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Connections of clients.
    pub connections: usize,
    /// Streams, each of which has a connection to its backend, whether a client of its own reads it or not.
    pub streams: usize,
    /// Connections to backends that wait for their next request.
    pub idle: usize,
}

/// What is left for the rest: listeners, operators, the store, files that are read.
const RESERVE: usize = 58;
/// What the runtime of one worker takes, its listener among it.
const WORKER: usize = 6;

/// Raises the limit of open files as far as it goes, and shares it out: one half is for clients, the other for backends. A
/// quarter of that is for connections beside those of the streams: those that wait, and a second one where a request is hedged.
pub fn room(workers: usize) -> io::Result<Room> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let half = limit.saturating_sub(RESERVE + WORKER * workers) / 2;
    Ok(Room { connections: half, streams: half - half / 4, idle: half / 8 })
}

/// Is it a lack of file descriptors, of the process (`EMFILE`) or of the system (`ENFILE`)?
pub(super) fn is_lack(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Descriptors that are kept for a listener which must be able to accept when there are no others left; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<Mutex<Vec<File>>>);

/// How many are kept.
const SPARE: usize = 8;

impl Spare {
    pub fn new() -> Self {
        let spare = Self::default();
        spare.refill();
        spare
    }

    /// Gives one free, to be used at once; false if none is left.
    pub(super) fn release(&self) -> bool {
        self.0.lock().pop().is_some()
    }

    pub(super) fn is_short(&self) -> bool {
        self.0.lock().len() < SPARE
    }

    /// Takes back what was given free, as far as there are descriptors again.
    pub(super) fn refill(&self) {
        let mut kept = self.0.lock();
        while kept.len() < SPARE {
            let Ok(file) = File::open("/dev/null") else { break };
            kept.push(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_free_is_taken_back() {
        let spare = Spare::new();
        assert!(!spare.is_short());
        assert_eq!((0..20).filter(|_| spare.release()).count(), SPARE);
        assert!(spare.is_short());
        spare.refill();
        assert!(!spare.is_short());
    }
}
