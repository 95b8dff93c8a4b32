//! The metrics, as typed families in one struct that is handed down. No label holds a caller's text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::telemetry::DroppedLines;

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
    backend_states: Family<StateLabels, Gauge>,
    outstanding: Family<BackendLabels, Gauge>,
    ejections: Family<EjectionLabels, Counter>,
    probes: Family<AttemptLabels, Counter>,
    denied: Family<KindLabels, Counter>,
    hedges: Family<OutcomeLabels, Counter>,
    bytes_in: Counter,
    bytes_out: Counter,
    /// Without a sample where there is no store.
    store_up: Family<StoreLabels, Gauge>,
    store_errors: Counter,
    reloads: Family<OutcomeLabels, Counter>,
    slots_taken: Family<BackendLabels, Gauge>,
    queue_length: Family<BackendLabels, Gauge>,
    queue_wait: Histogram,
    refusals: Family<ReasonLabels, Counter>,
    panics: Counter,
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
struct BackendLabels {
    backend: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    backend: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EjectionLabels {
    backend: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    store: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
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
            backend_states: Family::default(),
            outstanding: Family::default(),
            ejections: Family::default(),
            probes: Family::default(),
            denied: Family::default(),
            hedges: Family::default(),
            bytes_in: counter("in"),
            bytes_out: counter("out"),
            bytes: bytes.clone(),
            store_up: Family::default(),
            store_errors: Counter::default(),
            reloads: Family::default(),
            slots_taken: Family::default(),
            queue_length: Family::default(),
            queue_wait: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
            refusals: Family::default(),
            panics: Counter::default(),
        };
        families.register();
        Self(Arc::new(families))
    }

    /// The same, which also tell of the log.
    pub fn with_log(dropped: DroppedLines) -> Self {
        let mut metrics = Self::new();
        if let Some(families) = Arc::get_mut(&mut metrics.0) {
            families.registry.register_collector(Box::new(LogLines(dropped)));
        }
        metrics
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

    /// Is a backend in this state?
    pub fn backend_state(&self, backend: &str, state: &'static str, is_it: bool) {
        let labels = StateLabels { backend: backend.into(), state };
        self.0.backend_states.get_or_create(&labels).set(is_it.into());
    }

    /// How many attempts and streams a backend is busy with.
    pub fn backend_outstanding(&self, backend: &str, outstanding: usize) {
        let gauge = self.0.outstanding.get_or_create(&BackendLabels { backend: backend.into() });
        gauge.set(i64::try_from(outstanding).unwrap_or(i64::MAX));
    }

    /// A backend was taken out of the choice for its failures.
    pub fn ejection(&self, backend: &str, reason: &'static str) {
        self.0.ejections.get_or_create(&EjectionLabels { backend: backend.into(), reason }).inc();
    }

    /// A backend was probed.
    pub fn probe(&self, backend: &str, answered: bool) {
        let outcome = if answered { "ok" } else { "failed" };
        self.0.probes.get_or_create(&AttemptLabels { backend: backend.into(), outcome }).inc();
    }

    /// The retry budget had nothing left for a retry of this kind.
    pub fn retry_denied(&self, kind: &'static str) {
        self.0.denied.get_or_create(&KindLabels { kind }).inc();
    }

    /// A second backend was asked beside a slow one; `outcome`: who was first.
    pub fn hedge(&self, outcome: &'static str) {
        self.0.hedges.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Does the store that replicas share answer?
    pub fn store_up(&self, up: bool) {
        self.0.store_up.get_or_create(&StoreLabels { store: "redis" }).set(up.into());
    }

    /// The store did not do what it was asked, or holds what nobody can read.
    pub fn store_error(&self) {
        self.0.store_errors.inc();
    }

    /// The configuration was read anew, and taken or refused.
    pub fn reloaded(&self, taken: bool) {
        let outcome = if taken { "taken" } else { "refused" };
        self.0.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// How many slots of a backend are taken, and how many requests wait for one.
    pub fn slots(&self, backend: &str, taken: usize, waiting: usize) {
        let gauges = [(&self.0.slots_taken, taken), (&self.0.queue_length, waiting)];
        for (family, value) in gauges {
            let gauge = family.get_or_create(&BackendLabels { backend: backend.into() });
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// A request has waited for a slot, in vain or not.
    pub fn queue_wait(&self, time: Duration) {
        self.0.queue_wait.observe(time.as_secs_f64());
    }

    /// A request was refused because of a limit.
    pub fn refused(&self, reason: &'static str) {
        self.0.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// The gateway itself has failed at something.
    pub fn panicked(&self) {
        self.0.panics.inc();
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
        self.register_pool();
        let registry = &mut self.registry;
        registry.register("store_up", "Does the store of streams answer", self.store_up.clone());
        registry.register("config_reloads", "Configurations read anew, by outcome", self.reloads.clone());
        registry.register("slots_taken", "Requests that a backend works on", self.slots_taken.clone());
        registry.register(
            "queue_length",
            "Requests that wait for a slot of a backend",
            self.queue_length.clone(),
        );
        registry.register(
            "queue_wait_seconds",
            "How long requests waited for a slot",
            self.queue_wait.clone(),
        );
        registry.register(
            "refusals",
            "Requests refused because of a limit, by reason",
            self.refusals.clone(),
        );
        registry.register("store_errors", "What the store did not do", self.store_errors.clone());
        registry.register("panics", "What the gateway itself has failed at", self.panics.clone());
    }

    fn register_pool(&mut self) {
        let registry = &mut self.registry;
        registry.register("backend_state", "In which state a backend is", self.backend_states.clone());
        registry.register("backend_outstanding", "What a backend is busy with", self.outstanding.clone());
        registry.register("backend_ejections", "Backends ejected, by reason", self.ejections.clone());
        registry.register("backend_probes", "Backends probed, by outcome", self.probes.clone());
        registry.register("retries_denied", "Retries without budget, by kind", self.denied.clone());
        registry.register("hedges", "Second backends asked beside slow ones", self.hedges.clone());
    }
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
