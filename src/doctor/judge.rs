//! What is wrong with a path up to one hop, by what was measured through it.

use std::time::Duration;

use http::HeaderMap;

use crate::doctor::advice::time;
use crate::doctor::answers::{Asked, Doubt};
use crate::doctor::leaving::Leaving;
use crate::doctor::pattern::{Lateness, Pattern};
use crate::doctor::trace::{End, Failure, Trace};
use crate::doctor::truncation::Truncation;
use crate::doctor::variant::{Cadence, Variant};

/// What the times of an answer are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// What a whole answer takes.
    pub(super) control: Option<Duration>,
    /// Do the events carry stamps?
    pub(super) stamped: bool,
    pub(super) cadence: Cadence,
}

/// Everything that was measured through one hop.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) scale: Scale,
    /// The answer that counts, of every variant.
    pub(super) traces: Vec<(Variant, Trace)>,
    /// What was asked more than once.
    pub(super) again: Vec<(Variant, Asked)>,
    /// A client that leaves while events come, one that leaves in a silence, and one that leaves before anything came.
    pub(super) leaving: Option<Leaving>,
    pub(super) leaving_in_silence: Option<Leaving>,
    pub(super) leaving_in_prefill: Option<Leaving>,
    /// What it answers itself, where the gateway has nothing.
    pub(super) page: Option<Page>,
}

/// An answer that is no stream.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Events do not come when they are sent, with this way to ask (`Plain`: with every one).
    Held {
        pattern: Pattern,
        when: Variant,
        measure: Option<Measure>,
    },
    /// The head waits for the first event.
    HeadLate,
    /// A stream that is silent so long is cut off.
    IdleCut(Duration),
    /// A stream is cut off so long after it began, whatever it says.
    LifetimeCut(Duration),
    /// A stream that nothing is wrong with was cut off.
    Cut {
        when: Variant,
        after: Duration,
    },
    /// A stream that breaks off does not come out as one.
    Truncated(Truncation),
    /// Every event is compressed by itself: so many members of gzip make one body.
    Members(usize),
    /// A client that leaves is kept from the gateway.
    AbortLost,
    /// Refused, with this way to ask.
    Refused {
        when: Variant,
        status: u16,
    },
    /// Answered with something else: a page in place of the stream.
    NoStream {
        when: Variant,
        kind: String,
    },
    Unreachable(Failure),
}

/// By what a hop that hands on lumps measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Bytes,
    Time,
}

impl Fault {
    /// Do both say the same, be it in different degrees?
    pub(super) fn is_like(&self, inner: &Self) -> bool {
        match (self, inner) {
            (Self::Held { pattern, when, .. }, Self::Held { pattern: before, when: then, .. }) => {
                (when == then || *then == Variant::Plain) && before.rank() >= pattern.rank()
            }
            (Self::Refused { when, .. }, Self::Refused { when: then, .. })
            | (Self::NoStream { when, .. }, Self::NoStream { when: then, .. })
            | (Self::Cut { when, .. }, Self::Cut { when: then, .. }) => when == then,
            (Self::IdleCut(after), Self::IdleCut(before))
            | (Self::LifetimeCut(after), Self::LifetimeCut(before)) => {
                // A hop that cuts sooner than the one inside it is a fault of its own.
                *after + SLACK >= *before
            }
            (Self::Truncated(one), Self::Truncated(other)) => one.is_like(*other),
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

impl Fault {
    /// Does every answer come in lumps, or whole?
    fn gathers(&self) -> bool {
        matches!(
            self,
            Self::Held { pattern: Pattern::Lumps { .. } | Pattern::Whole, when: Variant::Plain, .. }
        )
    }

    /// Is it a buffer that was found before? A shorter answer does not fill it, and comes whole.
    fn fits_into(&self, before: &Self) -> bool {
        let filled = matches!(
            before,
            Self::Held {
                pattern: Pattern::Lumps { .. },
                when: Variant::Plain,
                measure: Some(Measure::Bytes)
            }
        );
        filled && matches!(self, Self::Held { pattern: Pattern::Whole, .. })
    }
}

/// Two cuts that are no further apart are one.
const SLACK: Duration = Duration::from_millis(400);
/// The rank of an answer that was cut off: worse than any that came late.
const CUT: u8 = 5;
/// What to do about a hop that closes the connection in place of an answer.
pub(super) const HANGS_UP: &str = "it closes the connection without an answer: its log may say why";
const SAYS_NOTHING: &str =
    "does it pass requests on, with their bodies? Its log, or that of the next hop, may say why";
/// How much earlier than the first event a head must come that does not wait for it.
const EARLIER: Duration = Duration::from_millis(150);

impl Scale {
    /// How the events of an answer came.
    pub(super) fn pattern(&self, variant: Variant, trace: &Trace) -> Pattern {
        if !self.stamped {
            return Pattern::of_clusters(trace);
        }
        // How long ago a recorded stream began when it was asked for is not known.
        if variant == Variant::Get {
            return Pattern::of_stamped(&trace.without_backlog(), None, self.cadence.pace);
        }
        Pattern::of_stamped(trace, self.control, self.cadence.pace)
    }

    pub(super) fn lateness(&self, variant: Variant, trace: &Trace) -> Lateness {
        if variant == Variant::Get {
            return Lateness::of(&trace.without_backlog(), None);
        }
        Lateness::of(trace, self.control)
    }

    /// What is wrong with an answer that another one may not show: its times, or that it broke off.
    pub(super) fn doubt(&self, variant: Variant, trace: &Trace) -> Option<Doubt> {
        let nothing_came = !self.stamped && trace.end == End::TimedOut;
        if trace.status().is_some_and(|status| status != 200) || nothing_came {
            return None;
        }
        match variant {
            Variant::Plain | Variant::Gzip | Variant::Http2 | Variant::Get | Variant::Padded => {
                if self.is_cut(variant, trace) {
                    return Some(Doubt { rank: CUT, late: trace.ended });
                }
                let rank = self.pattern(variant, trace).rank();
                (rank > 0).then(|| Doubt { rank, late: self.lateness(variant, trace).mean })
            }
            Variant::Early => {
                let head = trace.head.as_ref()?.at;
                self.is_head_late(trace).then_some(Doubt { rank: 1, late: head })
            }
            Variant::Silence(_) | Variant::Lasting(_) | Variant::Cut => None,
        }
    }

    /// Did an answer of the usual kind end before its time, or not at all?
    fn is_cut(&self, when: Variant, trace: &Trace) -> bool {
        match trace.end {
            End::Whole => self.stamped && trace.is_cut(when.events(self.cadence)),
            End::Broken(_) => true,
            End::TimedOut => self.stamped,
            End::Left | End::Unreachable(_) => false,
        }
    }

    fn is_head_late(&self, trace: &Trace) -> bool {
        let times = || Some((trace.head.as_ref()?.at, trace.stamped().first()?.0.at));
        times().is_some_and(|(head, first)| head + EARLIER > first && first >= self.cadence.early)
    }
}

impl Measured {
    /// With the answers in the order in which they are told, whichever was over first.
    pub(super) fn in_order(mut self) -> Self {
        self.traces.sort_by_key(|(variant, _)| *variant);
        self
    }

    pub(super) fn trace(&self, variant: Variant) -> Option<&Trace> {
        self.traces.iter().find(|(asked, _)| *asked == variant).map(|(_, trace)| trace)
    }

    /// How often it was asked in this way.
    pub(super) fn asked(&self, variant: Variant) -> usize {
        self.again.iter().find(|(asked, _)| *asked == variant).map_or(1, |(_, asked)| asked.times)
    }

    /// The length of time of the first answer that was cut, if any was: a stream without silence must live longer.
    pub(super) fn shortest_cut(&self) -> Option<Duration> {
        let cut = self.traces.iter().filter(|(variant, trace)| {
            matches!(variant, Variant::Silence(_) | Variant::Early)
                && trace.is_cut(variant.events(self.scale.cadence))
        });
        cut.map(|(_, trace)| trace.ended).min()
    }

    /// Everything that is wrong up to here.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for variant in [Variant::Plain, Variant::Gzip, Variant::Http2, Variant::Get] {
            let Some(trace) = self.trace(variant) else { continue };
            // What is wrong with every way to ask is told once.
            if let Some(fault) = self.fault(variant, trace)
                && !faults
                    .iter()
                    .any(|before| fault.is_like(before) || fault.fits_into(before) || before_all(before))
            {
                faults.push(fault);
            }
        }
        if faults.iter().any(before_all) {
            return faults;
        }
        faults.extend(self.cut());
        let members = self.trace(Variant::Gzip).map_or(0, |trace| trace.members);
        faults.extend((members > 1).then_some(Fault::Members(members)));
        // The head is late where events are, and who holds events up writes too seldom to notice that a client left.
        if !faults.iter().any(|fault| matches!(fault, Fault::Held { when: Variant::Plain, .. })) {
            faults.extend(self.head_late());
            faults.extend(matches!(self.leaving, Some(Leaving::Unnoticed(_))).then_some(Fault::AbortLost));
        }
        // Who gathers events has some left when a stream breaks off.
        if !faults.iter().any(Fault::gathers) {
            faults.extend(self.truncation().map(Fault::Truncated));
        }
        faults
    }

    /// What is wrong with one answer of the usual kind.
    fn fault(&self, when: Variant, trace: &Trace) -> Option<Fault> {
        match &trace.end {
            End::Unreachable(failure) => return Some(Fault::Unreachable(failure.clone())),
            // Not even the shortest answer came: nothing is cut off where nothing begins.
            End::Broken(why) if trace.head.is_none() && self.scale.control.is_none() => {
                return Some(Fault::Unreachable(Failure { why: why.clone(), hint: HANGS_UP }));
            }
            End::TimedOut if trace.head.is_none() && self.scale.control.is_none() && self.scale.stamped => {
                let why = format!("no answer came in {}", time(trace.ended));
                return Some(Fault::Unreachable(Failure { why, hint: SAYS_NOTHING }));
            }
            End::Broken(_) | End::Whole | End::TimedOut | End::Left => {}
        }
        if let Some(status) = trace.status().filter(|status| *status != 200) {
            return Some(Fault::Refused { when, status });
        }
        if trace.is_no_stream() {
            let kind = trace.header("content-type").unwrap_or("no type").to_owned();
            return Some(Fault::NoStream { when, kind });
        }
        if self.scale.is_cut(when, trace) {
            return Some(Fault::Cut { when, after: trace.ended });
        }
        let pattern = self.scale.pattern(when, trace);
        let measure = (when == Variant::Plain).then(|| self.measure(pattern)).flatten();
        (pattern != Pattern::Prompt).then_some(Fault::Held { pattern, when, measure })
    }

    /// Bytes or time: larger events fill a buffer sooner, and no timer. All events are asked how long they waited: of lumps
    /// there are few in an answer, and one pause of the machine makes two of one.
    fn measure(&self, pattern: Pattern) -> Option<Measure> {
        let (plain, padded) = (self.trace(Variant::Plain)?, self.trace(Variant::Padded)?);
        match (pattern, self.scale.pattern(Variant::Padded, padded)) {
            (Pattern::Lumps { .. }, Pattern::Lumps { .. }) => {
                let waited = self.scale.lateness(Variant::Plain, plain).mean;
                let larger = self.scale.lateness(Variant::Padded, padded).mean;
                Some(if larger * 2 <= waited { Measure::Bytes } else { Measure::Time })
            }
            (Pattern::Lumps { .. }, Pattern::Prompt | Pattern::Delayed(_) | Pattern::Behind)
            | (Pattern::Whole, Pattern::Lumps { .. } | Pattern::Prompt) => Some(Measure::Bytes),
            _ => None,
        }
    }

    /// Whether silence or mere length was too much. A silence before the first event counts as well.
    fn cut(&self) -> Option<Fault> {
        let is_cut = |(variant, trace): &&(Variant, Trace)| trace.is_cut(variant.events(self.scale.cadence));
        let silent = |(variant, _): &&(Variant, Trace)| matches!(variant, Variant::Silence(_));
        let early = |(variant, _): &&(Variant, Trace)| *variant == Variant::Early;
        let find = |wanted: &dyn Fn(&&(Variant, Trace)) -> bool| {
            self.traces.iter().filter(is_cut).find(|asked| wanted(asked))
        };
        let (when, trace) = find(&silent).or_else(|| find(&early))?;
        let busy = find(&|(variant, _)| matches!(variant, Variant::Lasting(_)));
        let status = trace.status().filter(|status| *status != 200);
        Some(match (busy, status) {
            // What was handed on counts: some keep the connection for a while behind it.
            (Some((_, busy)), _) => Fault::LifetimeCut(busy.last_bytes),
            (None, Some(500..)) => Fault::IdleCut(trace.ended), // answered by the hop, in the gateway's place
            (None, Some(status)) => Fault::Refused { when: *when, status },
            (None, None) => Fault::IdleCut(trace.silent()),
        })
    }

    /// What became of the answer that broke off.
    pub(super) fn truncation(&self) -> Option<Truncation> {
        Truncation::of(self.trace(Variant::Cut)?, Variant::Cut.events(self.scale.cadence))
    }

    fn head_late(&self) -> Option<Fault> {
        self.scale.is_head_late(self.trace(Variant::Early)?).then_some(Fault::HeadLate)
    }
}

/// Does nothing else matter beside this?
fn before_all(fault: &Fault) -> bool {
    match fault {
        Fault::Unreachable(_)
        | Fault::NoStream { when: Variant::Plain, .. }
        | Fault::Cut { when: Variant::Plain, .. }
        | Fault::Refused { when: Variant::Plain, .. }
        | Fault::Held { pattern: Pattern::Whole, when: Variant::Plain, .. } => true,
        Fault::Held { .. }
        | Fault::HeadLate
        | Fault::IdleCut(_)
        | Fault::LifetimeCut(_)
        | Fault::Cut { .. }
        | Fault::Truncated(_)
        | Fault::Members(_)
        | Fault::AbortLost
        | Fault::NoStream { .. }
        | Fault::Refused { .. } => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::Version;

    use super::*;
    use crate::doctor::pattern::tests::{PACE, trace};
    use crate::doctor::trace::Head;
    use crate::doctor::truncation::tests::{EXPECTED, truncated};

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    /// Answers to the usual ways to ask, all of them as they were sent but for these.
    pub(crate) fn measured(traces: Vec<(Variant, Trace)>) -> Measured {
        let mut all = traces;
        for variant in [Variant::Plain, Variant::Gzip, Variant::Get] {
            if !all.iter().any(|(asked, _)| *asked == variant) {
                all.push((variant, trace(|due| due)));
            }
        }
        let cadence = Cadence { events: 24, pace: PACE, early: ms(2500) };
        let left = || Some(Leaving::Noticed(ms(3)));
        let scale = Scale { control: Some(ms(10)), stamped: true, cadence };
        Measured {
            scale,
            traces: all,
            again: Vec::new(),
            leaving: left(),
            leaving_in_silence: left(),
            leaving_in_prefill: left(),
            page: None,
        }
    }

    /// The first events of an answer that is cut off after a time.
    fn cut(events: usize, after: u64) -> Trace {
        let mut trace = trace(|due| due);
        trace.events.truncate(events);
        trace.last_bytes = trace.events.last().map_or(Duration::ZERO, |event| event.at);
        Trace { end: End::Broken("closed".to_owned()), ended: ms(after), ..trace }
    }

    #[test]
    fn a_path_that_hands_on_at_once_has_no_fault() {
        assert_eq!(measured(Vec::new()).faults(), []);
    }

    #[test]
    fn what_only_gzip_brings_out_is_compression() {
        let faults = measured(vec![(Variant::Gzip, trace(|_| 2200))]).faults();
        assert_eq!(faults, [Fault::Held { pattern: Pattern::Whole, when: Variant::Gzip, measure: None }]);
    }

    #[test]
    fn a_recorded_stream_that_is_read_late_begins_with_what_there_was() {
        let read = |way: fn(u64) -> u64| measured(vec![(Variant::Get, trace(way))]).faults();
        for way in [|due: u64| due.max(800), |due: u64| due.max(1300)] {
            assert_eq!(read(way), []);
        }
        let held = |way| {
            let [Fault::Held { pattern, when: Variant::Get, .. }] = read(way)[..] else {
                panic!("one fault")
            };
            pattern
        };
        assert_eq!(held(|_| 2200), Pattern::Whole);
        assert!(matches!(held(|due| (due / 450 + 1) * 450), Pattern::Lumps { .. }));
    }

    #[test]
    fn a_body_of_several_members_is_one_that_some_read_the_first_of() {
        let gzip = |members| vec![(Variant::Gzip, Trace { members, ..trace(|due| due) })];
        for (members, wanted) in [(0, None), (1, None), (24, Some(Fault::Members(24)))] {
            assert_eq!(measured(gzip(members)).faults(), wanted.into_iter().collect::<Vec<_>>());
        }
        assert!(Fault::Members(24).is_like(&Fault::Members(3)));
    }

    #[test]
    fn what_every_way_to_ask_brings_out_is_told_once() {
        let all = [Variant::Plain, Variant::Gzip, Variant::Get].map(|variant| (variant, trace(|_| 2200)));
        let faults = measured(all.to_vec()).faults();
        assert_eq!(faults, [Fault::Held { pattern: Pattern::Whole, when: Variant::Plain, measure: None }]);
    }

    #[test]
    fn larger_events_tell_a_buffer_from_a_clock() {
        let lumps = trace(|due| (due / 720 + 1) * 720);
        for (padded, measure) in
            [(trace(|due| (due / 270 + 1) * 270), Measure::Bytes), (lumps.clone(), Measure::Time)]
        {
            let measured = measured(vec![(Variant::Plain, lumps.clone()), (Variant::Padded, padded)]);
            let [Fault::Held { measure: told, .. }] = measured.faults()[..] else { panic!("one fault") };
            assert_eq!(told, Some(measure));
        }
    }

    #[test]
    fn a_shorter_answer_that_does_not_fill_the_buffer_is_no_other_fault() {
        let lumps = |time: u64| trace(move |due| (due / time + 1) * time);
        let measured = measured(vec![
            (Variant::Plain, lumps(720)),
            (Variant::Get, trace(|_| 2200)),
            (Variant::Padded, lumps(270)),
        ]);
        assert_eq!(measured.faults().len(), 1, "{:?}", measured.faults());
    }

    #[test]
    fn a_silence_that_was_too_long_is_told_from_an_answer_that_was() {
        let silence = Variant::Silence(ms(5000));
        // 22 times 90 ms, and two events more.
        let idle = measured(vec![(silence, cut(2, 3102)), (Variant::Lasting(ms(1980)), trace(|due| due))]);
        assert_eq!(idle.shortest_cut(), Some(ms(3102)));
        assert_eq!(idle.faults(), [Fault::IdleCut(ms(3000))]);
        let busy = measured(vec![(silence, cut(2, 3102)), (Variant::Lasting(ms(3902)), cut(24, 3105))]);
        assert_eq!(busy.faults(), [Fault::LifetimeCut(ms(2082))]);
    }

    #[test]
    fn a_request_that_is_refused_was_not_cut_for_its_silence() {
        let answered = |status| {
            let head = Head { at: ms(3), status, version: Version::HTTP_11, headers: HeaderMap::new() };
            let trace = Trace { head: Some(head), ..Trace::nothing(End::Whole, ms(3)) };
            measured(vec![(Variant::Silence(ms(5000)), trace)]).faults()
        };
        assert_eq!(answered(400), [Fault::Refused { when: Variant::Silence(ms(5000)), status: 400 }]);
        assert_eq!(answered(504), [Fault::IdleCut(ms(3))]);
    }

    #[test]
    fn a_head_that_comes_with_the_first_event_is_late() {
        let early = |at| {
            let mut trace = trace(|due| due + 2500);
            let head = Head { at: ms(at), status: 200, version: Version::HTTP_11, headers: HeaderMap::new() };
            trace.head = Some(head);
            measured(vec![(Variant::Early, trace)]).faults()
        };
        assert_eq!(early(2003), []);
        assert_eq!(early(2511), [Fault::HeadLate]);
    }

    #[test]
    fn a_client_that_left_for_nobody_is_a_fault() {
        let mut measured = measured(Vec::new());
        measured.leaving_in_silence = Some(Leaving::Unnoticed(ms(2000)));
        assert_eq!(measured.faults(), [], "the next write finds it");
        measured.leaving = Some(Leaving::Unnoticed(ms(2000)));
        assert_eq!(measured.faults(), [Fault::AbortLost]);
    }

    #[test]
    fn what_becomes_of_a_stream_that_breaks_off_is_a_fault_where_events_are_not_gathered() {
        let hidden = || (Variant::Cut, truncated(EXPECTED, true, End::Whole));
        assert_eq!(measured(vec![hidden()]).faults(), [Fault::Truncated(Truncation::Hidden)]);
        let late = (Variant::Plain, trace(|due| due + 205));
        assert_eq!(measured(vec![hidden(), late]).faults().len(), 2, "who is late does not gather");
        for gathered in [trace(|_| 2200), trace(|due| (due / 720 + 1) * 720)] {
            let measured = measured(vec![hidden(), (Variant::Plain, gathered)]);
            assert!(matches!(measured.faults()[..], [Fault::Held { .. }]), "{:?}", measured.faults());
            assert_eq!(measured.truncation(), Some(Truncation::Hidden));
        }
    }

    #[test]
    fn what_a_hop_behind_makes_of_the_end_is_not_its_own() {
        let loses = |events| Truncation::LosesTail { events, expected: EXPECTED, error: false };
        assert!(Fault::Truncated(loses(4)).is_like(&Fault::Truncated(loses(5))));
        assert!(!Fault::Truncated(Truncation::Hidden).is_like(&Fault::Truncated(loses(5))));
        assert!(!Fault::Truncated(Truncation::Hangs).is_like(&Fault::AbortLost));
    }

    #[test]
    fn a_worse_fault_is_not_like_a_lesser_one_inside() {
        let held = |pattern, when| Fault::Held { pattern, when, measure: None };
        let (whole, delayed) =
            (held(Pattern::Whole, Variant::Plain), held(Pattern::Delayed(ms(205)), Variant::Plain));
        assert!(delayed.is_like(&whole) && !whole.is_like(&delayed));
        assert!(held(Pattern::Whole, Variant::Gzip).is_like(&whole));
        assert!(!whole.is_like(&held(Pattern::Whole, Variant::Gzip)));
        assert!(Fault::IdleCut(ms(3100)).is_like(&Fault::IdleCut(ms(3000))));
        assert!(!Fault::IdleCut(ms(1000)).is_like(&Fault::IdleCut(ms(3000))), "it cuts sooner");
    }
}
