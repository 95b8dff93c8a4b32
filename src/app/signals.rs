//! The signals that a gateway listens to.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::app::Shared;

/// The signals that end a gateway, and the one that has it read its configuration.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Read the configuration anew.
    pub(super) hangup: Option<Signal>,
}

impl Signals {
    /// To be called on the runtime that will wait for them.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: Some(signal(SignalKind::hangup())?),
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the first signal, then for the workers, at most until the time to drain is over or the second signal.
    pub(super) async fn end(&mut self, shared: &Shared, running: &TaskTracker) {
        let shutdown = &shared.shutdown;
        self.next().await;
        let drain = shared.generations.borrow().config.server.drain;
        tracing::info!(limit = %humantime::format_duration(drain), "draining");
        shutdown.drain();
        shared.channels.end_all().await; // they have no end of their own
        tokio::select! {
            biased;
            () = running.wait() => return,
            () = self.next() => return tracing::info!("a second signal: ending at once"),
            () = sleep(drain) => {}
        }
        tracing::info!("the time to drain is over");
        shutdown.end();
        tokio::select! {
            biased;
            () = running.wait() => {}
            () = self.next() => {}
            () = sleep(LAST_WORDS) => {}
        }
    }
}

/// How long streams that were ended may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(3);
