//! The hops of a path, from the gateway outward: each is blamed for what is wrong with it while the one inside it is well.

use std::time::Duration;

use http::HeaderMap;

use crate::doctor::advice::{cause, time, truncated, words};
use crate::doctor::cure::cure;
use crate::doctor::judge::{Fault, Measure, Measured};
use crate::doctor::leaving::Leaving;
use crate::doctor::pattern::{Pattern, TOLERANCE};
use crate::doctor::program::Program;
use crate::doctor::refusal::telling;
use crate::doctor::report::{
    CutReport, Finding, HopReport, LeavingReport, ProbeReport, Verdict, milliseconds,
};
use crate::doctor::timeline::picture;
use crate::doctor::trace::{End, Trace};
use crate::doctor::truncation::Truncation;
use crate::doctor::variant::Variant;

/// One hop with all that was measured through it.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) name: String,
    pub(super) url: String,
    /// The address that was asked.
    pub(super) asked: String,
    /// Was the name given, or made of the address?
    pub(super) is_named: bool,
    pub(super) measured: Measured,
}

/// The hops and what is wrong with each, given from the gateway outward.
pub(super) fn attribute(hops: &[Examined]) -> Vec<HopReport> {
    let mut reports = Vec::new();
    let mut inner: Option<(&Examined, Vec<Fault>)> = None;
    for hop in hops {
        let mut faults = hop.measured.faults();
        let before = inner.as_ref();
        faults.retain(|fault| before.is_none_or(|(inner, known)| !inner.is_nearly_as_late(fault, known)));
        reports.push(hop.report(
            &faults,
            before.map(|(hop, faults)| (*hop, faults.as_slice())),
            hops.len() == 1,
        ));
        let reached = !faults.iter().any(|fault| matches!(fault, Fault::Unreachable(_)));
        if reached {
            inner = Some((hop, faults));
        }
    }
    reports
}

impl Examined {
    /// Is this a delay of which there is nearly as much here already, though not enough to be one of these faults?
    fn is_nearly_as_late(&self, fault: &Fault, known: &[Fault]) -> bool {
        let Fault::Held { pattern: Pattern::Delayed(by), when, .. } = fault else { return false };
        let before = self.measured.trace(*when).map(|trace| self.measured.scale.lateness(*when, trace));
        !known.iter().any(|known| fault.is_like(known))
            && before.is_some_and(|before| *by <= before.constant + TOLERANCE)
    }

    fn headers(&self, variant: Variant) -> Option<&HeaderMap> {
        Some(&self.measured.trace(variant)?.head.as_ref()?.headers)
    }

    fn report(&self, faults: &[Fault], inner: Option<(&Self, &[Fault])>, alone: bool) -> HopReport {
        let known = inner.map_or(&[][..], |(_, faults)| faults);
        let is_gateway = inner.is_none() && !alone;
        let own: Vec<&Fault> = faults
            .iter()
            .filter(|fault| !known.iter().any(|known| fault.is_like(known)))
            // The gateway's own ways: it may be told to commit late, and to go on for nobody, and an older one does not pause at the end.
            .filter(|fault| {
                !(is_gateway && matches!(fault, Fault::HeadLate | Fault::AbortLost | Fault::Truncated(_)))
            })
            .collect();
        let program = self.program(&own, inner.map(|(hop, _)| hop), is_gateway);
        let disorder = inner.filter(|(_, known)| known.iter().any(is_held) && !faults.iter().any(is_held));
        let disorder = disorder.map(|(hop, _)| {
            format!("it hands on at once what `{}` behind it keeps: is that the order? The gateway is the last `--hop`", hop.name)
        });
        let findings: Vec<Finding> = own
            .iter()
            .map(|fault| Finding {
                cause: cause(fault),
                message: words(fault),
                signs: self.signs(fault),
                cure: cure(program, fault),
            })
            .collect();
        let verdict = match (own.first(), faults.is_empty()) {
            (Some(Fault::Unreachable(_)), _) => Verdict::Unreachable,
            (Some(_), _) => Verdict::Faulty,
            (None, false) if !is_gateway => Verdict::Inherited,
            (None, _) => Verdict::Clean,
        };
        HopReport {
            name: self.name.clone(),
            url: self.url.clone(),
            program: program.map(|program| program.to_string()),
            verdict,
            findings,
            notes: self.notes(&own, known).into_iter().chain(disorder).collect(),
            probes: self.probes(),
            leaving: self.measured.leaving.as_ref().map(leaving),
            leaving_in_silence: self.measured.leaving_in_silence.as_ref().map(leaving),
            leaving_in_prefill: self.measured.leaving_in_prefill.as_ref().map(leaving),
            cut: self.cut(),
        }
    }

    /// A name that was given says it best; else what it adds to heads, else what only one program does, else the pages it has, and
    /// how it keeps connections.
    fn program(&self, own: &[&Fault], inner: Option<&Self>, is_gateway: bool) -> Option<Program> {
        let named = self.is_named.then(|| Program::of_name(&self.name)).flatten();
        if named.is_some() || is_gateway {
            return named;
        }
        let shown = |variant| {
            Program::of_headers(self.headers(variant)?, inner.and_then(|inner| inner.headers(variant)))
        };
        let plain = || {
            Program::of_habits(
                self.headers(Variant::Plain)?,
                inner.and_then(|inner| inner.headers(Variant::Plain)),
            )
        };
        let ways = || own.iter().find_map(|fault| by_ways(fault));
        let found = shown(Variant::Plain).or_else(|| shown(Variant::Cut)).or_else(ways);
        found.or_else(|| self.by_page(inner)).or_else(plain)
    }

    /// By the page that it has where the gateway has nothing.
    fn by_page(&self, inner: Option<&Self>) -> Option<Program> {
        let page = self.measured.page.as_ref()?;
        let before = inner.and_then(|inner| inner.measured.page.as_ref());
        if before.is_some_and(|before| before.text == page.text) {
            return None;
        }
        Program::of_page(&page.text)
            .or_else(|| Program::of_headers(&page.headers, before.map(|before| &before.headers)))
    }

    /// What else in the answers points at a fault.
    fn signs(&self, fault: &Fault) -> Vec<String> {
        let mut signs = Vec::new();
        let when = match fault {
            Fault::Held { when, .. } | Fault::Cut { when, .. } | Fault::Refused { when, .. } => when,
            Fault::Truncated(_) => &Variant::Cut,
            Fault::HeadLate
            | Fault::IdleCut(_)
            | Fault::LifetimeCut(_)
            | Fault::AbortLost
            | Fault::Members(_)
            | Fault::NoStream { .. }
            | Fault::Unreachable(_) => return signs,
        };
        let Some(trace) = self.measured.trace(*when) else { return signs };
        if matches!(fault, Fault::Held { .. }) {
            let late = self.measured.scale.lateness(*when, trace);
            if self.measured.scale.stamped {
                let (events, worst) = (trace.stamped().len(), time(late.worst + late.constant));
                signs.push(format!("{events} events, the worst {worst} late"));
            }
            if trace.header("content-length").is_some() {
                signs.push(
                    "`Content-Length` was added: the length of a stream is known only at its end".to_owned(),
                );
            }
            if let Some(coding) = trace.header("content-encoding") {
                let forbidden = trace.header("cache-control").is_some_and(|all| all.contains("no-transform"));
                let though = if forbidden { ", though the gateway says `no-transform`" } else { "" };
                signs.push(format!("`Content-Encoding: {coding}` was added{though}"));
            }
        }
        if matches!(fault, Fault::Refused { .. }) {
            signs.extend(telling(trace));
        }
        for name in ["server", "via", "x-powered-by", "x-cache", "age", "cf-ray", "cf-cache-status"] {
            signs.extend(trace.header(name).map(|value| format!("`{name}: {value}`")));
        }
        signs
    }

    fn notes(&self, own: &[&Fault], known: &[Fault]) -> Vec<String> {
        let differing = self.measured.again.iter().filter(|(_, asked)| asked.differed).map(|(variant, asked)| {
            format!(
                "`{variant}` was asked {} times, and the answers differed: the machine or the network was busy, or not \
                 every request goes the same way",
                asked.times
            )
        });
        let mut notes: Vec<String> = differing.collect();
        notes.extend(self.left());
        // Where it is no fault because events are gathered.
        if let Some(truncation) = self.measured.truncation()
            && !own.contains(&&Fault::Truncated(truncation))
            && !known.iter().any(|fault| matches!(fault, Fault::Truncated(_)))
        {
            notes.push(format!("it {}", truncated(truncation)));
        }
        let plain = self.measured.trace(Variant::Plain);
        if plain.is_some_and(|trace| {
            trace.head.as_ref().is_some_and(|head| head.version < http::Version::HTTP_11)
        }) {
            notes.push("it answers in HTTP/1.0".to_owned());
        }
        if let Some(kind) =
            plain.filter(|trace| trace.head.is_some() && !trace.says_it_streams() && !trace.events.is_empty())
        {
            let kind = kind.header("content-type").unwrap_or("no type");
            notes.push(format!(
                "it calls the stream `{kind}`: a browser's EventSource takes `text/event-stream` alone"
            ));
        }
        let gzip = self.measured.trace(Variant::Gzip);
        if let Some((trace, coding)) = gzip.and_then(|trace| Some((trace, trace.header("content-encoding")?)))
            && !coding.eq_ignore_ascii_case("identity")
            && trace.members < 2
            && self.measured.scale.pattern(Variant::Gzip, trace) == Pattern::Prompt
        {
            notes.push(format!("it compresses the stream (`{coding}`), and flushes every event"));
        }
        if self.url.starts_with("https:")
            && let Some(trace) = self.measured.trace(Variant::Http2)
            && trace.head.as_ref().is_some_and(|head| head.version < http::Version::HTTP_2)
        {
            notes.push(
                "it does not speak HTTP/2: a browser has six connections, which six open streams take"
                    .to_owned(),
            );
        }
        notes
    }

    /// What is worth knowing of clients that leave.
    fn left(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if matches!(self.measured.leaving, Some(Leaving::Noticed(_)))
            && let Some(Leaving::Unnoticed(_)) = self.measured.leaving_in_silence
        {
            notes.push("a client that leaves in a silence is noticed only when the gateway next writes: keep-alives find it".to_owned());
        }
        if matches!(self.measured.leaving, Some(Leaving::Noticed(_)))
            && let Some(Leaving::Unnoticed(after)) = &self.measured.leaving_in_prefill
        {
            notes.push(format!(
                "a client that leaves before the answer begins is not noticed within {}: keep-alives find it, if anything does",
                time(*after)
            ));
        }
        if let Some(Leaving::Unknown(why)) = &self.measured.leaving {
            notes.push(format!("whether a client that leaves is noticed cannot be known: {why}"));
        }
        notes
    }

    /// How an answer ended that broke off.
    fn cut(&self) -> Option<CutReport> {
        let trace = self.measured.trace(Variant::Cut)?;
        let ended = match (&trace.end, self.measured.truncation()) {
            (_, Some(Truncation::Replaced(_))) => "replaced",
            _ if trace.status() != Some(200) => return None,
            (End::Whole, _) => "whole",
            (End::Broken(_), _) => "broken_off",
            (End::TimedOut, _) => "never",
            (End::Left | End::Unreachable(_), _) => return None,
        };
        Some(CutReport {
            ended,
            after_ms: milliseconds(trace.ended),
            events: trace.stamped().len(),
            expected: Variant::Cut.events(self.measured.scale.cadence),
            error: trace.error,
        })
    }

    fn probes(&self) -> Vec<ProbeReport> {
        let span = |trace: &Trace| trace.ended.max(trace.last_bytes);
        let usual = self.measured.traces.iter().filter(|(variant, _)| is_usual(*variant));
        let common = usual.map(|(_, trace)| span(trace)).max().unwrap_or_default();
        let probe = |(variant, trace): &(Variant, Trace)| {
            let stamped = trace.stamped();
            let events = if self.measured.scale.stamped { stamped.len() } else { trace.events.len() };
            let late = (self.measured.scale.stamped && !stamped.is_empty())
                .then(|| self.measured.scale.lateness(*variant, trace));
            let times: Vec<Duration> = if stamped.is_empty() {
                trace.events.iter().map(|event| event.at).collect()
            } else {
                stamped.iter().map(|(event, _)| event.at).collect()
            };
            ProbeReport {
                variant: variant.to_string(),
                asked: self.measured.asked(*variant),
                status: trace.status(),
                http: trace.head.as_ref().map(|head| format!("{:?}", head.version)),
                head_ms: trace.head.as_ref().map(|head| milliseconds(head.at)),
                events,
                expected: self.measured.scale.stamped.then(|| variant.events(self.measured.scale.cadence)),
                constant_ms: late.map(|late| milliseconds(late.constant)),
                median_ms: late.map(|late| milliseconds(late.median)),
                worst_ms: late.map(|late| milliseconds(late.worst)),
                ended: if *variant == Variant::Cut {
                    self.cut().map(|cut| cut.to_string())
                } else {
                    ended(
                        trace,
                        self.measured.scale.stamped.then(|| variant.events(self.measured.scale.cadence)),
                    )
                },
                picture: picture(&times, if is_usual(*variant) { common } else { span(trace) }),
            }
        };
        self.measured.traces.iter().map(probe).collect()
    }
}

fn is_held(fault: &Fault) -> bool {
    matches!(fault, Fault::Held { when: Variant::Plain, .. })
}

fn leaving(leaving: &Leaving) -> LeavingReport {
    let told =
        |noticed, after| LeavingReport { noticed: Some(noticed), after_ms: Some(after), why_unknown: None };
    match leaving {
        Leaving::Noticed(after) => told(true, milliseconds(*after)),
        Leaving::Unnoticed(after) => told(false, milliseconds(*after)),
        Leaving::Unknown(why) => {
            LeavingReport { noticed: None, after_ms: None, why_unknown: Some(why.clone()) }
        }
    }
}

/// Answers that take the same time are drawn to one scale.
fn is_usual(variant: Variant) -> bool {
    matches!(variant, Variant::Plain | Variant::Gzip | Variant::Http2 | Variant::Get | Variant::Padded)
}

fn ended(trace: &Trace, expected: Option<usize>) -> Option<String> {
    match &trace.end {
        End::Broken(why) => Some(format!("cut after {} ({why})", time(trace.ended))),
        End::Whole if trace.status() != Some(200) || trace.is_no_stream() => None,
        End::Whole if expected.is_some_and(|expected| trace.is_cut(expected)) => {
            Some(format!("ended early, after {}", time(trace.ended)))
        }
        End::TimedOut if expected.is_some() => Some(format!("no end after {}", time(trace.ended))),
        End::Unreachable(failure) => Some(failure.why.clone()),
        End::Whole | End::Left | End::TimedOut => None,
    }
}

/// What only one program does: `HAProxy` holds small writes back for 200 ms.
fn by_ways(fault: &Fault) -> Option<Program> {
    let Fault::Held { pattern, when: Variant::Plain, measure } = fault else { return None };
    let about = |time: &Duration| (185..=235).contains(&time.as_millis());
    match pattern {
        Pattern::Delayed(by) if about(by) => Some(Program::HaProxy),
        Pattern::Lumps { held, .. } if about(held) && *measure == Some(Measure::Time) => {
            Some(Program::HaProxy)
        }
        Pattern::Delayed(_) | Pattern::Lumps { .. } | Pattern::Prompt | Pattern::Behind | Pattern::Whole => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::answers::Asked;
    use crate::doctor::judge::Page;
    use crate::doctor::judge::tests::measured;
    use crate::doctor::pattern::tests::trace;

    fn hop(name: &str, traces: Vec<(Variant, Trace)>) -> Examined {
        Examined {
            name: name.to_owned(),
            url: "http://a/".to_owned(),
            asked: "http://a/v1/chat/completions".to_owned(),
            is_named: true,
            measured: measured(traces),
        }
    }

    fn held() -> Vec<(Variant, Trace)> {
        vec![(Variant::Plain, trace(|_| 2200))]
    }

    fn verdicts(hops: &[Examined]) -> Vec<Verdict> {
        attribute(hops).iter().map(|hop| hop.verdict).collect()
    }

    #[test]
    fn the_first_hop_that_is_bad_is_to_blame() {
        let clean = || hop("gateway", Vec::new());
        let path = [clean(), hop("nginx", held()), hop("cdn", held())];
        assert_eq!(verdicts(&path), [Verdict::Clean, Verdict::Faulty, Verdict::Inherited]);
        let path = [clean(), hop("nginx", Vec::new()), hop("cdn", held())];
        assert_eq!(verdicts(&path), [Verdict::Clean, Verdict::Clean, Verdict::Faulty]);
    }

    #[test]
    fn hops_that_are_told_in_the_wrong_order_are_noted() {
        let path = [hop("nginx", held()), hop("gateway", Vec::new())];
        let [inner, outer] = &attribute(&path)[..] else { panic!("two hops") };
        assert!(inner.notes.is_empty() && outer.notes[0].contains("is that the order?"), "{:?}", outer.notes);
        let path = [hop("gateway", Vec::new()), hop("nginx", held()), hop("cdn", held())];
        assert!(attribute(&path).iter().all(|hop| hop.notes.is_empty()));
    }

    #[test]
    fn a_hop_that_makes_it_worse_is_to_blame_too() {
        let late = vec![(Variant::Plain, trace(|due| due + 205))];
        let path = [hop("gateway", Vec::new()), hop("haproxy", late), hop("nginx", held())];
        assert_eq!(verdicts(&path), [Verdict::Clean, Verdict::Faulty, Verdict::Faulty]);
    }

    #[test]
    fn a_gateway_that_is_told_to_go_on_is_not_to_blame() {
        let deaf = || {
            let mut deaf = hop("gateway", Vec::new());
            deaf.measured.leaving = Some(Leaving::Unnoticed(Duration::from_secs(2)));
            deaf
        };
        assert_eq!(verdicts(&[deaf(), deaf()]), [Verdict::Clean, Verdict::Inherited]);
        assert_eq!(verdicts(&[deaf()]), [Verdict::Faulty], "who asks alone cannot know");
    }

    #[test]
    fn a_delay_that_was_nearly_there_before_is_not_the_next_hops() {
        let late = |by| vec![(Variant::Plain, trace(move |due| due + by))];
        let path = |outer| [hop("gateway", late(110)), hop("nginx", late(outer))];
        assert_eq!(verdicts(&path(130)), [Verdict::Clean, Verdict::Clean]);
        assert_eq!(verdicts(&path(315)), [Verdict::Clean, Verdict::Faulty]);
        let path = [hop("gateway", late(0)), hop("haproxy", late(205)), hop("nginx", late(212))];
        assert_eq!(verdicts(&path), [Verdict::Clean, Verdict::Faulty, Verdict::Inherited]);
    }

    #[test]
    fn a_program_is_known_by_a_page_that_is_not_the_gateways() {
        let page = |text: &str| Some(Page { headers: HeaderMap::new(), text: text.to_owned() });
        let program = |inner: &str, outer: &str| {
            let mut path = [hop("gateway", Vec::new()), hop("10.0.0.1", held())];
            (path[0].measured.page, path[1].measured.page) = (page(inner), page(outer));
            path[1].is_named = false;
            attribute(&path)[1].program.clone()
        };
        let vite = "<script type=\"module\" src=\"/@vite/client\"></script>";
        assert_eq!(program("there is no route", vite).as_deref(), Some("Vite"));
        assert_eq!(program("there is no route", "there is no route"), None);
        assert_eq!(program(vite, vite), None, "it is what is behind it");
    }

    #[test]
    fn a_name_that_was_given_says_it_best() {
        let mut path = [hop("gateway", Vec::new()), hop("lighttpd", held())];
        path[1].measured.page = Some(Page { headers: HeaderMap::new(), text: "/_next/static/".to_owned() });
        let report = &attribute(&path)[1];
        assert_eq!(report.program.as_deref(), Some("lighttpd"));
        assert_eq!(report.findings[0].cure, ["server.stream-response-body = 1"]);
    }

    #[test]
    fn answers_that_differed_are_told() {
        let mut hop = hop("nginx", Vec::new());
        hop.measured.again.push((Variant::Gzip, Asked { times: 2, differed: true }));
        hop.measured.again.push((Variant::Get, Asked { times: 2, differed: false }));
        let [report] = &attribute(&[hop])[..] else { panic!("one hop") };
        assert_eq!(report.verdict, Verdict::Clean);
        assert_eq!(report.notes.len(), 1);
        assert!(report.notes[0].contains("`gzip` was asked 2 times"), "{:?}", report.notes);
        let asked: Vec<usize> = report.probes.iter().map(|probe| probe.asked).collect();
        assert_eq!(asked, [1, 2, 2]);
    }
}
