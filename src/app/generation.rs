//! What comes from one configuration and is the same for all workers. A changed configuration is checked, then taken whole:
//! requests that come later live under it, running streams go on under the one that they began with.

use std::sync::Arc;

use crate::app::Shared;
use crate::app::worker::Worker;
use crate::config::{Config, Reloaded, Source};
use crate::edge::{Keys, Limits, Share};
use crate::telemetry::{Board, Metrics};
use crate::upstream::Standings;

/// A configuration in force.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) config: Arc<Config>,
    pub(super) keys: Keys,
    pub(super) limits: Limits,
    /// How many streams the limit of open files has room for.
    room: usize,
    /// What is known of the backends.
    pub(super) standings: Standings,
}

impl Generation {
    /// `share`: where replicas count together what keys use. `room`: for how many streams there are files.
    pub(super) fn first(
        config: Config,
        (share, room): (Option<Share>, usize),
        metrics: &Metrics,
        board: &Board,
    ) -> Self {
        let keys = Keys::new(&config.keys, share);
        let limits = Limits::new(config.server.max_streams.min(room));
        let standings = Standings::new(&config.pool, metrics, board);
        Self { config: Arc::new(config), keys, limits, room, standings }
    }

    /// The next one. What was counted under this one stays counted.
    fn next(&self, config: Config) -> Self {
        let keys = self.keys.renewed(&config.keys);
        let limits = self.limits.renewed(config.server.max_streams.min(self.room));
        let address = |config: &Config, name: &str| {
            config.backends.iter().find(|backend| backend.name == name).map(|backend| backend.url.clone())
        };
        // One that moves to another address is another.
        let standings = self.standings.renewed(&config.pool, |name| {
            let before = address(&self.config, name);
            before.is_some() && before == address(&config, name)
        });
        Self { config: Arc::new(config), keys, limits, room: self.room, standings }
    }
}

/// Takes the configuration anew whenever its file has changed or somebody asks for it.
pub(super) struct Reload<'a> {
    pub(super) shared: &'a Shared,
    /// The first to try a configuration.
    pub(super) operators: &'a Worker,
}

impl Reload<'_> {
    pub(super) async fn run(&self, mut source: Source, mut asked: impl AsyncFnMut()) {
        loop {
            let changed = tokio::select! {
                biased;
                () = asked() => {
                    tracing::info!("the configuration is read");
                    None
                }
                text = source.changed() => Some(text),
            };
            let text = match changed {
                Some(text) => text,
                None => source.settled().await,
            };
            let in_force = Arc::clone(&self.shared.generations.borrow().config);
            let result = source.reload(text, &in_force).map_err(|problems| problems.to_string());
            let result = result.and_then(|reloaded| self.take(reloaded));
            self.shared.metrics.reloaded(result.is_ok());
            match result {
                Ok(()) => {
                    source.taken();
                    tracing::info!("the configuration was taken anew");
                }
                Err(problems) => {
                    tracing::error!(
                        "the configuration stays as it was, for the new one is wrong:\n{problems}"
                    );
                }
            }
        }
    }

    fn take(&self, Reloaded { config, kept }: Reloaded) -> Result<(), String> {
        let before = self.shared.generations.borrow().clone();
        for key in kept {
            tracing::warn!(key, "this has changed, but is only taken when the gateway starts");
        }
        let generation = Arc::new(before.next(config));
        self.operators.renew(&generation).map_err(|error| error.to_string())?;
        self.shared.board.keep(generation.config.backends.iter().map(|backend| backend.name.clone()));
        self.shared.slots.renew(&generation.config.backends);
        let keys = generation.keys.clone();
        self.shared.generations.send_replace(generation);
        before.keys.give_way(&keys);
        Ok(())
    }
}
