//! The wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the beginning of 1970; none of it for a clock that stands before.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
