//! The stalls of this process: times in which the machine did not run it, so that it saw late what may have come in time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When this process stood still.
#[derive(Debug, Default)]
pub(super) struct Stalls(RefCell<Vec<Stall>>);

#[derive(Clone, Copy, Debug)]
struct Stall {
    from: Instant,
    to: Instant,
}

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(10);
/// A look that is so much late was held up: less than that changes no verdict.
const NOTED: Duration = Duration::from_millis(50);

impl Stalls {
    /// Looks at the clock for as long as it is polled: beside the measuring, on the same thread.
    pub(super) async fn watch(&self) -> Infallible {
        loop {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            self.looked(due, Instant::now());
        }
    }

    /// A look that was due then came now.
    fn looked(&self, due: Instant, now: Instant) {
        if now.saturating_duration_since(due) >= NOTED {
            self.0.borrow_mut().push(Stall { from: due, to: now });
        }
    }

    /// Was there one since then?
    pub(super) fn any_since(&self, then: Instant) -> bool {
        self.0.borrow().iter().any(|stall| stall.to >= then)
    }

    /// How many there were.
    pub(super) fn times(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn longest(&self) -> Duration {
        let stalls = self.0.borrow();
        stalls.iter().map(|stall| stall.to - stall.from).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_not_run_knows_for_how_long() {
        let (stalls, began) = (Stalls::default(), Instant::now());
        assert!(timeout(ms(300), stalls.watch()).await.is_err());
        assert_eq!((stalls.times(), stalls.any_since(began)), (0, false), "it ran");
        let stalled = async {
            advance(ms(5)).await;
            advance(ms(225)).await;
            std::future::pending::<()>().await;
        };
        drop(timeout(ms(400), async { tokio::join!(stalls.watch(), stalled) }).await);
        assert_eq!((stalls.times(), stalls.longest()), (1, ms(220)));
        assert!(stalls.any_since(began) && !stalls.any_since(Instant::now()));
    }
}
