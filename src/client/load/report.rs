//! What a load came to, in words and in JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::client::load::Tally;

/// What is told of a histogram.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

impl Tally {
    fn times(&self) -> [(&'static str, &Histogram<u64>); 3] {
        [("first token", &self.first), ("gap", &self.gaps), ("total", &self.totals)]
    }

    #[expect(clippy::cast_precision_loss, reason = "no load has 2^53 events")]
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A table of times, and counts, as text.
pub fn told(tally: &Tally) -> String {
    let mut text = head("ms");
    for (name, times) in tally.times() {
        row(&mut text, name, QUANTILES.map(|(_, quantile)| milliseconds(times, quantile)));
    }
    let Tally { begun, done, events, skipped, .. } = tally;
    text.extend([format!("streams: {begun} begun, {done} ended well, {} failed", tally.failed())]);
    if tally.unfinished() > 0 {
        text.extend([format!(", {} unfinished when the time was over", tally.unfinished())]);
    }
    if *skipped > 0 {
        text.extend([format!(", {skipped} skipped for want of --streams")]);
    }
    text.extend([format!("\nevents: {events}, {:.1}/s", tally.per_second(*events))]);
    if tally.counted > 0 {
        let (input, output) = (tally.input_tokens, tally.output_tokens);
        let line = format!("\ntokens: {input} in, {output} out, {:.1}/s", tally.per_second(output));
        text.push_str(&line);
    }
    for (how, count) in &tally.failures {
        text.extend([format!("\nerror: {how}: {count}")]);
    }
    text.push('\n');
    text
}

/// How many times as long one takes as the other, as text.
pub fn comparison(one: &Tally, other: &Tally) -> String {
    let mut text = head("x");
    for ((name, one), (_, other)) in one.times().into_iter().zip(other.times()) {
        row(&mut text, name, QUANTILES.map(|(_, quantile)| ratio(one, other, quantile)));
    }
    text
}

/// The same in JSON; times in milliseconds.
pub fn described(tally: &Tally) -> Value {
    let of = |times: &Histogram<u64>| -> Value {
        let told = QUANTILES.map(|(name, quantile)| (name.to_owned(), json!(milliseconds(times, quantile))));
        let mut all = serde_json::Map::from_iter(told);
        all.insert("count".into(), times.len().into());
        Value::Object(all)
    };
    let tokens = (tally.counted > 0).then(
        || json!({ "streams": tally.counted, "input": tally.input_tokens, "output": tally.output_tokens }),
    );
    json!({
        "seconds": Duration::as_secs_f64(&tally.elapsed),
        "streams": {
            "begun": tally.begun,
            "done": tally.done,
            "failed": tally.failed(),
            "unfinished": tally.unfinished(),
            "skipped": tally.skipped,
        },
        "errors": tally.failures,
        "events": tally.events,
        "events_per_second": tally.per_second(tally.events),
        "tokens": tokens,
        "first_token_ms": of(&tally.first),
        "gap_ms": of(&tally.gaps),
        "total_ms": of(&tally.totals),
    })
}

/// `None` where nothing was measured.
#[expect(clippy::cast_precision_loss, reason = "at most an hour of microseconds")]
fn milliseconds(times: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1000.0)
}

fn ratio(one: &Histogram<u64>, other: &Histogram<u64>, quantile: f64) -> Option<f64> {
    let (one, other) = (milliseconds(one, quantile)?, milliseconds(other, quantile)?);
    (other > 0.0).then(|| one / other)
}

fn head(unit: &str) -> String {
    let [one, two, three, four] = QUANTILES.map(|(name, _)| name);
    format!("{unit:<12}{one:>12}{two:>12}{three:>12}{four:>12}\n")
}

fn row(text: &mut String, name: &str, values: [Option<f64>; 4]) {
    text.extend([format!("{name:<12}")]);
    for value in values {
        text.push_str(&value.map_or_else(|| format!("{:>12}", "-"), |value| format!("{value:>12.2}")));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::load::tally::note;

    #[test]
    fn what_was_not_measured_is_not_made_up() {
        let tally = Tally::default();
        assert_eq!(described(&tally)["first_token_ms"]["p50"], Value::Null);
        assert!(told(&tally).contains("first token            -"), "{}", told(&tally));
        assert_eq!(ratio(&tally.first, &tally.first, 0.5), None);
    }

    #[test]
    fn ratios_say_how_many_times_as_long_it_takes() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        note(&mut one.first, Duration::from_millis(30));
        note(&mut other.first, Duration::from_millis(10));
        let times = ratio(&one.first, &other.first, 0.5).unwrap();
        assert!((times - 3.0).abs() < 0.01, "{times}");
    }
}
