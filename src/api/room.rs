//! What is said when a record is not begun, for want of room above all.

use crate::edge::Refusal;
use crate::journal::Created;
use crate::wire::Code;

/// After how many seconds there may be room in the line of a conversation, and for another record.
const LINE_FULL: u32 = 5;
const NO_ROOM: u32 = 10;

/// Why there is no record of a request's own, and no other that answers it.
pub(super) fn refused(created: &Created) -> Refusal {
    match created {
        Created::Differs => {
            let words = "this `Idempotency-Key` stands for a request with another content";
            Refusal::new(Code::InvalidRequest, words).with_status(422)
        }
        Created::LineFull => {
            let words = "as many requests of this conversation wait as may";
            Refusal::new(Code::RateLimited, words).retry_after(LINE_FULL)
        }
        Created::OverShare => {
            let words = "the running streams of this key take as much memory as those of one key may";
            Refusal::new(Code::RateLimited, words).retry_after(NO_ROOM)
        }
        Created::NoRoom => {
            let words = "the running streams take as much memory as may be kept";
            Refusal::new(Code::QueueFull, words).retry_after(NO_ROOM)
        }
        Created::New { .. } | Created::Busy(_) | Created::Repeats(_) => {
            Refusal::new(Code::Internal, "the stream could not begin")
        }
    }
}
