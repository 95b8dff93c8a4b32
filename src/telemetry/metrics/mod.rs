//! The metrics, as typed families that stand together where they tell of one thing. No label holds a caller's text.

mod backends;
mod clients;
mod labels;
mod store;
mod streams;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use crate::telemetry::DroppedLines;
use crate::telemetry::metrics::backends::Backends;
use crate::telemetry::metrics::clients::Clients;
use crate::telemetry::metrics::store::Store;
use crate::telemetry::metrics::streams::Streams;

/// All metrics of the process; a clone is a handle.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    clients: Clients,
    streams: Streams,
    backends: Backends,
    store: Store,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("streamgate");
        let clients = Clients::register(&mut registry);
        let streams = Streams::register(&mut registry);
        let backends = Backends::register(&mut registry);
        let store = Store::register(&mut registry);
        Self(Arc::new(Families { registry, clients, streams, backends, store }))
    }

    /// The same, which also tell of the log.
    pub fn with_log(dropped: DroppedLines) -> Self {
        let mut metrics = Self::new();
        if let Some(families) = Arc::get_mut(&mut metrics.0) {
            families.registry.register_collector(Box::new(LogLines(dropped)));
        }
        metrics
    }

    /// All of them as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).unwrap_or_else(|_| text.clear());
        text
    }
}

/// A metric that the page shows.
fn shown<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    shown_as(registry, name, help, M::default())
}

/// The same for one that does not begin like others of its type.
fn shown_as<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The lines of the log that were dropped, counted where they are.
#[derive(Debug)]
struct LogLines(DroppedLines);

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(self.0.count());
        let words = "Lines of the log that nobody took in time";
        dropped.encode(encoder.encode_descriptor("log_lines_dropped", words, None, dropped.metric_type())?)
    }
}

/// A gauge that is one higher while this lives.
#[derive(Debug)]
pub struct Live(Gauge);

impl Live {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
