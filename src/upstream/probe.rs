//! Active probes: every backend is asked now and then for something that costs nothing, so that it is known who is there and
//! who has which model before a request needs it.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::upstream::attempt::{lacks_descriptors, read_bounded};
use crate::upstream::backend::{Api, Backend};
use crate::upstream::catalog;
use crate::upstream::config::PoolConfig;
use crate::upstream::pool::Pool;

/// How old what is known of a backend's models may be.
const MODELS: Duration = Duration::from_secs(30);
/// As much of an answer is read for the sake of its connection.
const ANSWER_BYTES: usize = 64 << 10;

impl Pool {
    /// Probes the backends for as long as the gateway runs.
    pub async fn watch(&self, config: &PoolConfig) {
        if !config.probe_interval.is_zero() {
            join_all(self.backends().iter().map(|backend| watch(backend, config))).await;
        }
        std::future::pending::<()>().await;
    }
}

async fn watch(backend: &Backend, config: &PoolConfig) {
    let mut listed: Option<Instant> = None;
    loop {
        if let Some(answers) = probe(backend, config.probe_timeout).await {
            backend.standing.probed(answers);
            if !answers {
                listed = None; // it may come back with others
            }
        }
        if listed.is_none_or(|at| at.elapsed() >= MODELS) && catalog::learn(backend).await {
            listed = Some(Instant::now());
        }
        sleep(config.probe_interval).await;
    }
}

/// Does the backend answer? A status that blames the request is an answer too. `None`: it is not to be probed, or it cannot be
/// now, for a reason of ours.
async fn probe(backend: &Backend, patience: Duration) -> Option<bool> {
    let path = match (backend.probe.as_deref(), backend.api) {
        (Some("none"), _) => return None,
        (_, Api::Demo) => return Some(true),
        (Some(path), _) => path,
        (None, Api::Ollama) => "/api/version",
        (None, Api::OpenAi) => "/v1/models",
        (None, Api::Anthropic) => "/v1/models?limit=1",
    };
    let asked = async {
        let response = match backend.get(path).send().await {
            Ok(response) => response,
            Err(error) if lacks_descriptors(&error) => return None,
            Err(_) => return Some(false),
        };
        let well = !response.status().is_server_error();
        read_bounded(backend, response, ANSWER_BYTES).await; // a longer one is closed on
        Some(well)
    };
    timeout(patience, asked).await.unwrap_or(Some(false))
}
