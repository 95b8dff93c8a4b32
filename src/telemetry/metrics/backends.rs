//! Backends: what becomes of those that are asked, how they are, and who waits for them.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::{
    AttemptLabels, BackendLabels, EjectionLabels, KindLabels, OutcomeLabels, StateLabels,
};
use crate::telemetry::metrics::{Metrics, set, shown, shown_as};

pub(super) struct Backends {
    attempts: Family<AttemptLabels, Counter>,
    states: Family<StateLabels, Gauge>,
    outstanding: Family<BackendLabels, Gauge>,
    ejections: Family<EjectionLabels, Counter>,
    probes: Family<AttemptLabels, Counter>,
    denied: Family<KindLabels, Counter>,
    hedges: Family<OutcomeLabels, Counter>,
    slots_taken: Family<BackendLabels, Gauge>,
    queue_length: Family<BackendLabels, Gauge>,
    queue_wait: Histogram,
}

impl Backends {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let waits = Histogram::new(exponential_buckets(0.001, 2.0, 20));
        Self {
            attempts: shown(registry, "upstream_attempts", "Backends tried, by outcome"),
            states: shown(registry, "backend_state", "In which state a backend is"),
            outstanding: shown(registry, "backend_outstanding", "What a backend is busy with"),
            ejections: shown(registry, "backend_ejections", "Backends ejected, by reason"),
            probes: shown(registry, "backend_probes", "Backends probed, by outcome"),
            denied: shown(registry, "retries_denied", "Retries without budget, by kind"),
            hedges: shown(registry, "hedges", "Second backends asked beside slow ones"),
            slots_taken: shown(registry, "slots_taken", "Requests that a backend works on"),
            queue_length: shown(registry, "queue_length", "Requests that wait for a slot of a backend"),
            queue_wait: shown_as(
                registry,
                "queue_wait_seconds",
                "How long requests waited for a slot",
                waits,
            ),
        }
    }
}

impl Metrics {
    /// A backend was tried; `outcome` is `ok` or a failure's code.
    pub fn attempt(&self, backend: &str, outcome: &'static str) {
        self.0.backends.attempts.get_or_create(&AttemptLabels { backend: backend.into(), outcome }).inc();
    }

    /// Is a backend in this state?
    pub fn backend_state(&self, backend: &str, state: &'static str, is_it: bool) {
        let labels = StateLabels { backend: backend.into(), state };
        self.0.backends.states.get_or_create(&labels).set(is_it.into());
    }

    /// How many attempts and streams a backend is busy with.
    pub fn backend_outstanding(&self, backend: &str, outstanding: usize) {
        let labels = BackendLabels { backend: backend.into() };
        set(&self.0.backends.outstanding.get_or_create(&labels), outstanding);
    }

    /// A backend was taken out of the choice for its failures.
    pub fn ejection(&self, backend: &str, reason: &'static str) {
        self.0.backends.ejections.get_or_create(&EjectionLabels { backend: backend.into(), reason }).inc();
    }

    /// A backend was probed.
    pub fn probe(&self, backend: &str, answered: bool) {
        let outcome = if answered { "ok" } else { "failed" };
        self.0.backends.probes.get_or_create(&AttemptLabels { backend: backend.into(), outcome }).inc();
    }

    /// The retry budget had nothing left for a retry of this kind.
    pub fn retry_denied(&self, kind: &'static str) {
        self.0.backends.denied.get_or_create(&KindLabels { kind }).inc();
    }

    /// A second backend was asked beside a slow one; `outcome`: who was first.
    pub fn hedge(&self, outcome: &'static str) {
        self.0.backends.hedges.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// How many slots of a backend are taken, and how many requests wait for one.
    pub fn slots(&self, backend: &str, taken: usize, waiting: usize) {
        let labels = BackendLabels { backend: backend.into() };
        set(&self.0.backends.slots_taken.get_or_create(&labels), taken);
        set(&self.0.backends.queue_length.get_or_create(&labels), waiting);
    }

    /// A request has waited for a slot, in vain or not.
    pub fn queue_wait(&self, time: Duration) {
        self.0.backends.queue_wait.observe(time.as_secs_f64());
    }
}
