//! What clients ask, and what of it is let in; and what the gateway itself is about.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::{OutcomeLabels, ReasonLabels, RequestLabels};
use crate::telemetry::metrics::{Live, Metrics, set, shown};

pub(super) struct Clients {
    requests: Family<RequestLabels, Counter>,
    connections: Gauge,
    refused: Family<ReasonLabels, Counter>,
    refusals: Family<ReasonLabels, Counter>,
    reloads: Family<OutcomeLabels, Counter>,
    body_bytes: Gauge,
    panics: Counter,
}

impl Clients {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            requests: shown(registry, "requests", "Answers begun, by door and status"),
            connections: shown(registry, "connections_live", "Open client connections"),
            refused: shown(
                registry,
                "connections_refused",
                "Connections that were refused or ended before their time, by reason",
            ),
            refusals: shown(registry, "refusals", "Requests refused because of a limit, by reason"),
            reloads: shown(registry, "config_reloads", "Configurations read anew, by outcome"),
            body_bytes: shown(registry, "request_body_bytes", "Bytes held of request bodies, in every form"),
            panics: shown(registry, "panics", "What the gateway itself has failed at"),
        }
    }
}

impl Metrics {
    pub fn request(&self, door: &'static str, status: u16) {
        self.0.clients.requests.get_or_create(&RequestLabels { door, status }).inc();
    }

    /// Counts a connection while the guard lives.
    pub fn connection(&self) -> Live {
        Live::new(&self.0.clients.connections)
    }

    /// A connection was refused, or ended before its time.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0.clients.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A request was refused because of a limit.
    pub fn refused(&self, reason: &'static str) {
        self.0.clients.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// How many bytes of request bodies are held.
    pub fn body_bytes(&self, bytes: usize) {
        set(&self.0.clients.body_bytes, bytes);
    }

    /// The configuration was read anew, and taken or refused.
    pub fn reloaded(&self, taken: bool) {
        let outcome = if taken { "taken" } else { "refused" };
        self.0.clients.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// The gateway itself has failed at something.
    pub fn panicked(&self) {
        self.0.clients.panics.inc();
    }
}
