//! Models that are being loaded. Their servers are there and say so at once; they are asked again with short pauses, when nobody
//! else will serve, for as long as a request may wait for a slot.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::upstream::slots::Ticket;

/// How long one request still waits for a model.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    end: Option<Instant>,
    pause: Duration,
}

/// The first pause and the longest.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(2);

impl Patience {
    /// Without a ticket it is another's to wait.
    pub(super) fn new(ticket: Option<&Ticket>) -> Self {
        Self { limit: ticket.map_or(Duration::ZERO, |ticket| ticket.timeout), end: None, pause: FIRST }
    }

    /// Waits for a moment, a longer one each time; false, at once, if it has waited for long enough.
    pub(super) async fn wait(&mut self) -> bool {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.limit);
        if now >= end {
            return false;
        }
        sleep_until(end.min(now + self.pause)).await;
        self.pause = LONGEST.min(self.pause * 2);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_model_is_waited_for_as_long_as_for_a_slot() {
        let ticket = Ticket { key: None, weight: 1, timeout: Duration::from_mins(1) };
        let mut patience = Patience::new(Some(&ticket));
        let began = Instant::now();
        let mut asked = 0;
        while patience.wait().await {
            asked += 1;
        }
        assert_eq!(began.elapsed().as_secs(), 60);
        assert!((30..40).contains(&asked), "{asked}");
        assert!(!Patience::new(None).wait().await);
    }
}
