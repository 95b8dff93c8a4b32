//! The metrics, as typed families in one struct that is handed down. No label holds a caller's text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// All metrics of the process; a clone is a handle.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    connections: Gauge,
    refused: Family<ReasonLabels, Counter>,
    streams: Gauge,
    recorded: Counter,
    records: Gauge,
    record_readers: Gauge,
    record_bytes: Gauge,
    ttft: Histogram,
    gap: Histogram,
    ends: Family<ReasonLabels, Counter>,
    keep_alives: Counter,
    tokens: Family<KindLabels, Counter>,
    tokens_in: Counter,
    tokens_out: Counter,
    bytes: Family<DirectionLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    bytes_in: Counter,
    bytes_out: Counter,
    /// Without a sample where there is no store.
    store_up: Family<StoreLabels, Gauge>,
    store_errors: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    door: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    backend: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    store: &'static str,
}

impl Metrics {
    pub fn new() -> Self {
        let bytes = Family::<DirectionLabels, Counter>::default();
        let tokens = Family::<KindLabels, Counter>::default();
        let kind = |kind| tokens.get_or_create(&KindLabels { kind }).clone();
        let counter = |direction| bytes.get_or_create(&DirectionLabels { direction }).clone();
        let mut families = Families {
            registry: Registry::with_prefix("streamgate"),
            requests: Family::default(),
            connections: Gauge::default(),
            refused: Family::default(),
            streams: Gauge::default(),
            recorded: Counter::default(),
            records: Gauge::default(),
            record_readers: Gauge::default(),
            record_bytes: Gauge::default(),
            ttft: Histogram::new(exponential_buckets(0.005, 2.0, 17)),
            gap: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            ends: Family::default(),
            keep_alives: Counter::default(),
            tokens_in: kind("input"),
            tokens_out: kind("output"),
            tokens: tokens.clone(),
            attempts: Family::default(),
            bytes_in: counter("in"),
            bytes_out: counter("out"),
            bytes: bytes.clone(),
            store_up: Family::default(),
            store_errors: Counter::default(),
        };
        families.register();
        Self(Arc::new(families))
    }

    pub fn request(&self, door: &'static str, status: u16) {
        self.0.requests.get_or_create(&RequestLabels { door, status }).inc();
    }

    /// Counts a connection while the guard lives.
    pub fn connection(&self) -> Live {
        Live::new(&self.0.connections)
    }

    /// A connection was refused, or ended before its time.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a live stream while the guard lives.
    pub fn stream(&self) -> Live {
        Live::new(&self.0.streams)
    }

    /// A stream is recorded.
    pub fn recorded(&self) {
        self.0.recorded.inc();
    }

    /// How many records there are, how many read them, and how many bytes they hold.
    pub fn records(&self, records: usize, readers: usize, bytes: usize) {
        let gauges =
            [(&self.0.records, records), (&self.0.record_readers, readers), (&self.0.record_bytes, bytes)];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    pub fn first_token(&self, after: Duration) {
        self.0.ttft.observe(after.as_secs_f64());
    }

    pub fn event_gap(&self, gap: Duration) {
        self.0.gap.observe(gap.as_secs_f64());
    }

    pub fn stream_ended(&self, reason: &'static str) {
        self.0.ends.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub fn keep_alive(&self) {
        self.0.keep_alives.inc();
    }

    pub fn tokens(&self, input: u64, output: u64) {
        self.0.tokens_in.inc_by(input);
        self.0.tokens_out.inc_by(output);
    }

    /// Bytes of a backend's answer.
    pub fn bytes_in(&self, bytes: usize) {
        self.0.bytes_in.inc_by(bytes as u64);
    }

    /// Bytes of an answer to a client.
    pub fn bytes_out(&self, bytes: usize) {
        self.0.bytes_out.inc_by(bytes as u64);
    }

    /// A backend was tried; `outcome` is `ok` or a failure's code.
    pub fn attempt(&self, backend: &str, outcome: &'static str) {
        self.0.attempts.get_or_create(&AttemptLabels { backend: backend.into(), outcome }).inc();
    }

    /// Does the store that replicas share answer?
    pub fn store_up(&self, up: bool) {
        self.0.store_up.get_or_create(&StoreLabels { store: "redis" }).set(up.into());
    }

    /// The store did not do what it was asked, or holds what nobody can read.
    pub fn store_error(&self) {
        self.0.store_errors.inc();
    }

    /// All of them as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).unwrap_or_else(|_| text.clear());
        text
    }
}

impl Families {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Answers begun, by door and status", self.requests.clone());
        registry.register("connections_live", "Open client connections", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections that were refused or ended before their time, by reason",
            self.refused.clone(),
        );
        registry.register("streams_live", "Streams that are not over", self.streams.clone());
        registry.register("streams_recorded", "Streams recorded", self.recorded.clone());
        registry.register("records", "Recorded streams that are kept", self.records.clone());
        registry.register("record_readers", "Readers of recorded streams", self.record_readers.clone());
        registry.register("record_bytes", "Bytes of recorded streams", self.record_bytes.clone());
        registry.register(
            "ttft_seconds",
            "From the request to the first content of its answer",
            self.ttft.clone(),
        );
        registry.register("event_gap_seconds", "Between two events of a backend", self.gap.clone());
        registry.register("stream_ends", "Streams ended, by reason", self.ends.clone());
        registry.register("keep_alives", "Keep-alives sent", self.keep_alives.clone());
        registry.register("tokens", "Tokens as the backends reported them", self.tokens.clone());
        registry.register("bytes", "Bytes of answers, from backends and to clients", self.bytes.clone());
        registry.register("upstream_attempts", "Backends tried, by outcome", self.attempts.clone());
        registry.register("store_up", "Does the store of streams answer", self.store_up.clone());
        registry.register("store_errors", "What the store did not do", self.store_errors.clone());
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
