//! When a reader shall come back: a crowd that was cut off together shall not come back together.

use std::ops::Range;

/// How long an `EventSource` waits before it comes back to a channel, in milliseconds.
pub(super) const RETRY: Range<u64> = 500..1500;
/// The same where there is no room for it now.
pub(super) const RETRY_LATER: Range<u64> = 3000..9000;

/// A time within a range, another for everyone.
pub(super) fn spread(range: Range<u64>) -> u32 {
    let random = getrandom::u32().unwrap_or_default();
    let width = range.end - range.start;
    u32::try_from(range.start + u64::from(random) % width).unwrap_or_default()
}
