//! Streams: how many there are, how fast they are, how they end, and what of them is kept.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::{DirectionLabels, KindLabels, ReasonLabels};
use crate::telemetry::metrics::{Live, Metrics, set, shown, shown_as};

pub(super) struct Streams {
    live: Gauge,
    recorded: Counter,
    records: Gauge,
    record_readers: Gauge,
    record_bytes: Gauge,
    ttft: Histogram,
    gap: Histogram,
    ends: Family<ReasonLabels, Counter>,
    keep_alives: Counter,
    left_out: Counter,
    tokens_in: Counter,
    tokens_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Streams {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let tokens: Family<KindLabels, Counter> =
            shown(registry, "tokens", "Tokens as the backends reported them");
        let bytes: Family<DirectionLabels, Counter> =
            shown(registry, "bytes", "Bytes of answers, from backends and to clients");
        let kind = |kind| tokens.get_or_create(&KindLabels { kind }).clone();
        let way = |direction| bytes.get_or_create(&DirectionLabels { direction }).clone();
        let times = |first| Histogram::new(exponential_buckets(first, 2.0, 17));
        Self {
            live: shown(registry, "streams_live", "Streams that are not over"),
            recorded: shown(registry, "streams_recorded", "Streams recorded"),
            records: shown(registry, "records", "Recorded streams that are kept"),
            record_readers: shown(registry, "record_readers", "Readers of recorded streams"),
            record_bytes: shown(registry, "record_bytes", "Memory that recorded streams take, in bytes"),
            ttft: shown_as(
                registry,
                "ttft_seconds",
                "From the request to the first content of its answer",
                times(0.005),
            ),
            gap: shown_as(registry, "event_gap_seconds", "Between two events of a backend", times(0.001)),
            ends: shown(registry, "stream_ends", "Streams ended, by reason"),
            keep_alives: shown(registry, "keep_alives", "Keep-alives sent"),
            left_out: shown(
                registry,
                "answer_parts_left_out",
                "Kinds of content of an answer that the API of its client cannot carry; the log names them",
            ),
            tokens_in: kind("input"),
            tokens_out: kind("output"),
            bytes_in: way("in"),
            bytes_out: way("out"),
        }
    }
}

impl Metrics {
    /// Counts a live stream while the guard lives.
    pub fn stream(&self) -> Live {
        Live::new(&self.0.streams.live)
    }

    /// A stream is recorded.
    pub fn recorded(&self) {
        self.0.streams.recorded.inc();
    }

    /// How many records there are, how many read them, and how many bytes they hold.
    pub fn records(&self, records: usize, readers: usize, bytes: usize) {
        let streams = &self.0.streams;
        set(&streams.records, records);
        set(&streams.record_readers, readers);
        set(&streams.record_bytes, bytes);
    }

    pub fn first_token(&self, after: Duration) {
        self.0.streams.ttft.observe(after.as_secs_f64());
    }

    pub fn event_gap(&self, gap: Duration) {
        self.0.streams.gap.observe(gap.as_secs_f64());
    }

    pub fn stream_ended(&self, reason: &'static str) {
        self.0.streams.ends.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub fn keep_alive(&self) {
        self.0.streams.keep_alives.inc();
    }

    /// So many kinds of content were left out of an answer.
    pub fn left_out(&self, kinds: usize) {
        self.0.streams.left_out.inc_by(kinds as u64);
    }

    pub fn tokens(&self, input: u64, output: u64) {
        self.0.streams.tokens_in.inc_by(input);
        self.0.streams.tokens_out.inc_by(output);
    }

    /// Bytes of a backend's answer.
    pub fn bytes_in(&self, bytes: usize) {
        self.0.streams.bytes_in.inc_by(bytes as u64);
    }

    /// Bytes of an answer to a client.
    pub fn bytes_out(&self, bytes: usize) {
        self.0.streams.bytes_out.inc_by(bytes as u64);
    }
}
