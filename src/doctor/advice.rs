//! From a fault to what it is called and what it does.

use std::time::Duration;

use crate::doctor::judge::{Fault, Measure};
use crate::doctor::pattern::Pattern;
use crate::doctor::truncation::Truncation;
use crate::doctor::variant::Variant;

/// What a program answers that is set up to buffer and understands `Incremental`.
pub(super) const REFUSES_TO_BUFFER: u16 = 501;

/// The name of a fault, for machines.
pub(super) fn cause(fault: &Fault) -> &'static str {
    match fault {
        Fault::Held { when: Variant::Gzip, .. } => "compression_buffers",
        Fault::Held { when: Variant::Get, .. } => "get_buffers",
        Fault::Held { when: Variant::Http2, .. } => "http2_buffers",
        Fault::Held { pattern, measure, .. } => match (pattern, measure) {
            (Pattern::Lumps { .. } | Pattern::Whole, Some(Measure::Bytes)) => "buffers_by_size",
            (Pattern::Lumps { .. }, Some(Measure::Time)) => "batches_by_time",
            (Pattern::Lumps { .. }, None) => "buffers",
            (Pattern::Whole, _) => "buffers_whole_answer",
            (Pattern::Behind, _) => "one_event_behind",
            (Pattern::Delayed(_) | Pattern::Prompt, _) => "delays_every_event",
        },
        Fault::HeadLate => "head_late",
        Fault::IdleCut(_) => "idle_cut",
        Fault::LifetimeCut(_) => "lifetime_cut",
        Fault::Cut { .. } => "cut",
        Fault::Truncated(Truncation::Hidden) => "cut_hidden",
        Fault::Truncated(Truncation::Hangs) => "cut_hangs",
        Fault::Truncated(Truncation::LosesTail { .. }) => "cut_loses_tail",
        Fault::Truncated(Truncation::Replaced(_)) => "cut_replaced",
        Fault::Members(_) => "gzip_members",
        Fault::AbortLost => "abort_lost",
        Fault::Refused { .. } => "refused",
        Fault::NoStream { .. } => "no_stream",
        Fault::Unreachable(_) => "unreachable",
    }
}

/// What a fault does to a reader.
pub(super) fn words(fault: &Fault) -> String {
    match fault {
        Fault::Held { pattern, when, measure } => {
            let how = match (pattern, measure) {
                (Pattern::Whole, Some(Measure::Bytes)) => {
                    "fills a buffer before it hands anything on: short answers come at their end, long ones in lumps".to_owned()
                }
                (Pattern::Whole, _) => "gathers the whole answer before it hands it on".to_owned(),
                (Pattern::Lumps { bytes, .. }, Some(Measure::Bytes)) => {
                    format!("fills a buffer of about {bytes} bytes before it hands them on")
                }
                (Pattern::Lumps { held, .. }, Some(Measure::Time)) => {
                    format!("gathers events for {} before it hands them on", time(*held))
                }
                (Pattern::Lumps { bytes, events, .. }, None) => {
                    format!("hands events on in lumps of about {events} events, {bytes} bytes")
                }
                (Pattern::Behind, _) => "keeps every event until the next one comes".to_owned(),
                (Pattern::Delayed(by), _) => format!("keeps every event for {}", time(*by)),
                (Pattern::Prompt, _) => "hands events on as they come".to_owned(),
            };
            how + way(*when)
        }
        Fault::HeadLate => "keeps the head of the answer until the first event comes".to_owned(),
        Fault::IdleCut(after) => format!("cuts off a stream that is silent for about {}", time(*after)),
        Fault::LifetimeCut(after) => {
            format!("cuts off every stream about {} after it began, whatever it says", time(*after))
        }
        Fault::Cut { after, when } => format!("cuts off the stream after {}{}", time(*after), way(*when)),
        Fault::Truncated(truncation) => truncated(*truncation),
        Fault::Members(members) => format!(
            "compresses every event by itself, {members} gzip members in one answer: httpx, and so the Python SDKs of OpenAI \
             and Anthropic, read the first alone"
        ),
        Fault::AbortLost => {
            "does not tell the gateway when a client leaves: the model works on for nobody".to_owned()
        }
        Fault::Refused { status: REFUSES_TO_BUFFER, .. } => {
            "answers with status 501: it buffers answers, and refuses this one, which must not be (`Incremental: ?1`)".to_owned()
        }
        Fault::Refused { status, when } => format!("answers with status {status}{}", way(*when)),
        Fault::NoStream { kind, when } => format!("answers with `{kind}`, which is no stream{}", way(*when)),
        Fault::Unreachable(failure) => format!("cannot be reached: {}", failure.why),
    }
}

/// With which way to ask, where not with every one.
fn way(when: Variant) -> &'static str {
    match when {
        Variant::Gzip => ", for clients that accept gzip",
        Variant::Get => ", when a stream is read by GET",
        Variant::Http2 => ", over HTTP/2",
        Variant::Plain
        | Variant::Early
        | Variant::Padded
        | Variant::Silence(_)
        | Variant::Lasting(_)
        | Variant::Cut => "",
    }
}

/// What becomes of an answer that the gateway breaks off behind an error.
pub(super) fn truncated(truncation: Truncation) -> String {
    match truncation {
        Truncation::Hidden => {
            "ends a stream that breaks off as if it were whole: only the error inside tells".to_owned()
        }
        Truncation::Hangs => "keeps a stream open for ever that breaks off".to_owned(),
        Truncation::LosesTail { events, expected, error: true } => {
            format!("loses the end of a stream that breaks off: {events} of {expected} events came")
        }
        Truncation::LosesTail { events, expected, error: false } => {
            format!(
                "loses the end of a stream that breaks off: {events} of {expected} events came, and not the error"
            )
        }
        Truncation::Replaced(status) => {
            format!(
                "answers with status {status} in place of a stream that breaks off, and keeps what had come"
            )
        }
    }
}

/// A time as people say it.
pub(super) fn time(time: Duration) -> String {
    match time.as_millis() {
        milliseconds @ ..1000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_that_is_not_the_gateways_has_a_name_and_words() {
        let loses = |error| Truncation::LosesTail { events: 5, expected: 6, error };
        for (truncation, name, said) in [
            (Truncation::Hidden, "cut_hidden", "as if it were whole"),
            (Truncation::Hangs, "cut_hangs", "for ever"),
            (loses(true), "cut_loses_tail", "5 of 6 events came"),
            (loses(false), "cut_loses_tail", "and not the error"),
            (Truncation::Replaced(502), "cut_replaced", "status 502"),
        ] {
            let fault = Fault::Truncated(truncation);
            assert!(cause(&fault) == name && words(&fault).contains(said), "{truncation:?}");
        }
    }
}
