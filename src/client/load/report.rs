//! What a load came to, in words and in JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::client::load::{Failures, Tally};

/// What is told of a histogram.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
/// Of rates it is the low ones that hurt: p90 is what nine of ten streams reach.
const REACHED: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.1), ("p99", 0.01), ("min", 0.0)];

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
    let mut text = head("ms", QUANTILES);
    for (name, times) in tally.times() {
        row(&mut text, name, QUANTILES.map(|(_, quantile)| thousandths(times, quantile)));
    }
    text.push_str(&head("events/s", REACHED));
    row(&mut text, "rate", REACHED.map(|(_, quantile)| thousandths(&tally.rates, quantile)));
    let Tally { begun, done, events, skipped, .. } = tally;
    text.extend([format!("streams: {begun} begun, {done} ended well, {} failed", tally.failed())]);
    if tally.unfinished() > 0 {
        text.extend([format!(", {} cut short", tally.unfinished())]);
    }
    if *skipped > 0 {
        text.extend([format!(", {skipped} skipped for want of --streams")]);
    }
    let seconds = Duration::as_secs_f64(&tally.elapsed);
    text.extend([format!("\nevents: {events} in {seconds:.1} s, {:.1}/s", tally.per_second(*events))]);
    if tally.counted > 0 {
        let (input, output) = (tally.input_tokens, tally.output_tokens);
        let line = format!("\ntokens: {input} in, {output} out, {:.1}/s", tally.per_second(output));
        text.push_str(&line);
    }
    if tally.versions.keys().any(|version| *version != "1.1") {
        let versions = tally.versions.iter().map(|(version, count)| format!("{count} over HTTP/{version}"));
        text.extend(["\nanswers: ", &versions.collect::<Vec<_>>().join(", ")]);
    }
    for (how, Failures { count, first }) in &tally.failures {
        let first = if first.is_empty() { String::new() } else { format!(" ({first})") };
        text.extend([format!("\nerror: {how}: {count}{first}")]);
    }
    text.push('\n');
    text
}

/// How many times as long one takes as the other, as text.
pub fn comparison(one: &Tally, other: &Tally) -> String {
    let mut text = head("x", QUANTILES);
    for ((name, one), (_, other)) in one.times().into_iter().zip(other.times()) {
        row(&mut text, name, QUANTILES.map(|(_, quantile)| ratio(one, other, quantile)));
    }
    text.push_str(&head("", REACHED));
    row(&mut text, "rate", REACHED.map(|(_, quantile)| ratio(&one.rates, &other.rates, quantile)));
    text
}

/// The same in JSON; times in milliseconds.
pub fn described(tally: &Tally) -> Value {
    let table = |values: &Histogram<u64>, quantiles: [(&str, f64); 4]| -> Value {
        let told = quantiles.map(|(name, quantile)| (name.to_owned(), json!(thousandths(values, quantile))));
        let mut all = serde_json::Map::from_iter(told);
        all.insert("count".into(), values.len().into());
        Value::Object(all)
    };
    let of = |times| table(times, QUANTILES);
    let each = |of: &dyn Fn(&Failures) -> Value| -> Value {
        tally.failures.iter().map(|(how, failures)| (how.clone(), of(failures))).collect()
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
        "http": tally.versions,
        "errors": each(&|failures| failures.count.into()),
        "first_errors": each(&|failures| failures.first.as_str().into()),
        "events": tally.events,
        "events_per_second": tally.per_second(tally.events),
        "tokens": tokens,
        "first_token_ms": of(&tally.first),
        "gap_ms": of(&tally.gaps),
        "total_ms": of(&tally.totals),
        "rate_per_second": table(&tally.rates, REACHED),
    })
}

/// Milliseconds of microseconds, events of their thousandths; `None` where nothing was measured.
#[expect(clippy::cast_precision_loss, reason = "at most an hour of microseconds")]
fn thousandths(values: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!values.is_empty()).then(|| values.value_at_quantile(quantile) as f64 / 1000.0)
}

fn ratio(one: &Histogram<u64>, other: &Histogram<u64>, quantile: f64) -> Option<f64> {
    let (one, other) = (thousandths(one, quantile)?, thousandths(other, quantile)?);
    (other > 0.0).then(|| one / other)
}

fn head(unit: &str, quantiles: [(&str, f64); 4]) -> String {
    let [one, two, three, four] = quantiles.map(|(name, _)| name);
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
    use crate::client::load::tally::{note, note_rate};

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

    #[test]
    fn rates_are_the_events_behind_the_first_a_second_and_what_nine_of_ten_reach_is_lower() {
        let mut tally = Tally::default();
        for ms in [20, 20, 20, 40] {
            note_rate(&mut tally.rates, 4, Duration::from_millis(ms));
        }
        note_rate(&mut tally.rates, 0, Duration::ZERO); // a stream of one event has none
        let rate = &described(&tally)["rate_per_second"];
        let near = |name: &str, expected: f64| (rate[name].as_f64().unwrap() / expected - 1.0).abs() < 0.01;
        assert!(rate["count"] == 4 && near("p50", 200.0) && near("p90", 100.0), "{rate}");
    }
}
