//! Failures of the gateway itself: counted and logged, and only the work that met one ends with it.

use std::panic::{Location, set_hook};

use crate::telemetry::Metrics;

/// Counts and logs panics from now on. Their messages are not logged, for they may quote what clients and backends say.
pub(super) fn count(metrics: Metrics) {
    set_hook(Box::new(move |panic| {
        metrics.panicked();
        let place = panic.location().map(Location::to_string).unwrap_or_default();
        tracing::error!(place, "the gateway has failed at something: this is a bug in it");
    }));
}
