//! Open files: every connection takes one, and its backend's another.

use std::io;

/// What is left for the rest: listeners, operators, the store, files that are read.
const RESERVE: u64 = 64;

/// Raises the limit of open files as far as it goes, and says how many connections fit below it with their backends.
pub fn room() -> io::Result<usize> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    Ok(usize::try_from(limit.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX))
}
