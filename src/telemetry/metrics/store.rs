//! The store that replicas share.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::StoreLabels;
use crate::telemetry::metrics::{Metrics, shown};

pub(super) struct Store {
    /// Without a sample where there is no store.
    up: Family<StoreLabels, Gauge>,
    errors: Counter,
}

impl Store {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            up: shown(registry, "store_up", "Does the store of streams answer"),
            errors: shown(registry, "store_errors", "What the store did not do"),
        }
    }
}

impl Metrics {
    /// Does the store that replicas share answer?
    pub fn store_up(&self, up: bool) {
        self.0.store.up.get_or_create(&StoreLabels { store: "redis" }).set(up.into());
    }

    /// The store did not do what it was asked, or holds what nobody can read.
    pub fn store_error(&self) {
        self.0.store.errors.inc();
    }
}
