//! The measuring of one hop: every way to ask, side by side, and again where the machine may be to blame for what came.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::doctor::answers::{Answers, Asked};
use crate::doctor::judge::{Measured, Scale};
use crate::doctor::leaving::Moment;
use crate::doctor::probe::Probe;
use crate::doctor::stalls::Stalls;
use crate::doctor::trace::Trace;
use crate::doctor::truncation::Truncations;
use crate::doctor::variant::Variant;

/// Measures through one hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measuring<'p> {
    pub(super) probe: &'p Probe<'p>,
    /// The innermost hop, which knows how streams stand.
    pub(super) gateway: &'p Probe<'p>,
    pub(super) stalls: &'p Stalls,
    /// What is known so far.
    pub(super) measured: &'p RefCell<Measured>,
}

/// How much longer a stream without silence is asked to live than one was that was cut off.
const LONGER: Duration = Duration::from_millis(800);
/// Between the beginnings of two requests: many at once get in each other's way, and one stall would hold all of them up.
const STAGGER: Duration = Duration::from_millis(20);

impl Measuring<'_> {
    pub(super) async fn run(self, silences: &[Duration]) {
        let measured = self.measured;
        if !measured.borrow().scale.stamped {
            return self.each(&[Variant::Plain, Variant::Gzip, Variant::Http2]).await;
        }
        match self.probe.control().await {
            Ok(control) => measured.borrow_mut().scale.control = Some(control),
            Err(trace) => return measured.borrow_mut().traces.push((Variant::Plain, trace)),
        }
        let mut others = vec![Variant::Gzip, Variant::Http2, Variant::Get, Variant::Early];
        others.extend(silences.iter().copied().map(Variant::Silence));
        let leaving = async {
            let leave = async |moment| Some(self.probe.leave(self.gateway, moment).await);
            tokio::join!(
                async { measured.borrow_mut().leaving = leave(Moment::Busy).await },
                async { measured.borrow_mut().leaving_in_silence = leave(Moment::Silence).await },
                async { measured.borrow_mut().leaving_in_prefill = leave(Moment::Prefill).await },
            );
        };
        let page = async { measured.borrow_mut().page = self.probe.page().await };
        tokio::join!(self.plain(), self.each(&others), leaving, self.truncated(), page);
        let cut = measured.borrow().shortest_cut();
        if let Some(cut) = cut {
            self.each(&[Variant::Lasting(cut + LONGER)]).await;
        }
    }

    /// The usual answers, and those with larger events where the usual ones gather.
    async fn plain(&self) {
        let (mut plain, mut padded) = (Answers::default(), Answers::default());
        self.ask(Variant::Plain, &mut plain).await;
        let first_gathers = plain.gather();
        tokio::join!(self.settle(Variant::Plain, &mut plain), async {
            if first_gathers {
                sleep(STAGGER).await;
                self.settle(Variant::Padded, &mut padded).await;
            }
        });
        let gather = plain.gather();
        self.measured.borrow_mut().add(Variant::Plain, plain);
        if gather {
            self.settle(Variant::Padded, &mut padded).await;
            self.measured.borrow_mut().add(Variant::Padded, padded);
        }
    }

    /// Answers that break off, one after the other.
    async fn truncated(&self) {
        let mut all = Truncations::default();
        let expected = Variant::Cut.events(self.measured.borrow().scale.cadence);
        while !all.is_settled()
            && let Some(trace) = self.probe.trace(Variant::Cut).await
        {
            all.push(trace, expected);
        }
        let Some((trace, times)) = all.settle() else { return };
        let mut measured = self.measured.borrow_mut();
        measured.traces.push((Variant::Cut, trace));
        measured.again.push((Variant::Cut, Asked { times, differed: false }));
    }

    /// The answers in these variants, side by side. What does not apply is left out.
    async fn each(&self, variants: &[Variant]) {
        let asked = variants.iter().zip(1..).map(async |(variant, number): (&Variant, u32)| {
            let mut answers = Answers::default();
            sleep(STAGGER * number).await;
            self.settle(*variant, &mut answers).await;
            self.measured.borrow_mut().add(*variant, answers);
        });
        join_all(asked).await;
    }

    /// Asks until it is known what counts.
    async fn settle(&self, variant: Variant, answers: &mut Answers) {
        while !answers.is_settled() && self.ask(variant, answers).await.is_some() {}
    }

    /// Asks once; nothing where it does not apply.
    async fn ask(&self, variant: Variant, answers: &mut Answers) -> Option<()> {
        let began = Instant::now();
        let trace: Trace = self.probe.trace(variant).await?;
        let doubt = self.measured.borrow().scale.doubt(variant, &trace);
        answers.push(trace, doubt, self.stalls.any_since(began));
        Some(())
    }
}

impl Measured {
    /// Nothing yet.
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            scale,
            traces: Vec::new(),
            again: Vec::new(),
            leaving: None,
            leaving_in_silence: None,
            leaving_in_prefill: None,
            page: None,
        }
    }

    /// The answer that counts, if any came.
    fn add(&mut self, variant: Variant, answers: Answers) {
        let Some((trace, asked)) = answers.settle() else { return };
        self.traces.push((variant, trace));
        self.again.extend((asked.times > 1).then_some((variant, asked)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::judge::tests::measured;
    use crate::doctor::judge::{Fault, Measure};
    use crate::doctor::pattern::Pattern;
    use crate::doctor::pattern::tests::trace;
    use crate::doctor::trace::End;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    /// What holds an event that is due then until when.
    type Way = fn(u64) -> u64;

    const CLEAN: Way = |due| due;
    const DELAYED: Way = |due| due + 205;
    const CLOCK: Way = |due| (due / 450 + 1) * 450;
    const BYTES: Way = |due| (due / 1080 + 1) * 1080;
    /// The same with larger events.
    const SOONER: Way = |due| (due / 270 + 1) * 270;

    /// Everything of which stands still for 220 ms from then on: also before the first event, which puts off all of them.
    fn stalled(way: Way, from: u64) -> Trace {
        if from == 0 {
            return trace(|due| way(due) + 220);
        }
        trace(|due| if (from..from + 220).contains(&way(due)) { from + 220 } else { way(due) })
    }

    fn calm(way: Way) -> Trace {
        trace(way)
    }

    /// What is judged when the usual answers, and those with larger events, come like this one after the other, and how many
    /// usual ones are asked for.
    fn judged(plain: Vec<Trace>, padded: Vec<Trace>) -> (Vec<Fault>, usize) {
        let blank = measured(Vec::new());
        let settled = |variant, traces: Vec<Trace>| {
            let (mut answers, mut traces) = (Answers::default(), traces.into_iter());
            while !answers.is_settled() {
                let Some(trace) = traces.next() else { break };
                let doubt = blank.scale.doubt(variant, &trace);
                answers.push(trace, doubt, false);
            }
            answers
        };
        let mut measured = Measured::new(blank.scale);
        measured.add(Variant::Plain, settled(Variant::Plain, plain));
        measured.add(Variant::Padded, settled(Variant::Padded, padded));
        (measured.faults(), measured.asked(Variant::Plain))
    }

    #[test]
    fn a_clean_stream_is_clean_whenever_everything_stands_still_once() {
        for from in (0..2000).step_by(110) {
            let (faults, asked) = judged(vec![stalled(CLEAN, from), calm(CLEAN)], Vec::new());
            assert_eq!(faults, [], "a stall at {from} ms");
            assert_eq!(
                asked,
                if from == 0 { 2 } else { 1 },
                "a stall at {from} ms: only one that looks bad is asked again"
            );
        }
    }

    #[test]
    fn an_answer_that_broke_off_once_is_no_fault_and_twice_it_is() {
        let broken = || Trace { end: End::Broken("reset".to_owned()), ended: ms(900), ..calm(CLEAN) };
        assert_eq!(judged(vec![broken(), calm(CLEAN)], Vec::new()), (Vec::new(), 2));
        let cut = Fault::Cut { when: Variant::Plain, after: ms(900) };
        assert_eq!(judged(vec![broken(), broken()], Vec::new()), (vec![cut], 2));
    }

    #[test]
    fn a_hop_that_delays_is_told_by_its_own_delay_whenever_everything_stands_still_once() {
        for from in (0..2000).step_by(110) {
            let (faults, asked) = judged(vec![stalled(DELAYED, from), calm(DELAYED)], Vec::new());
            let pattern = Pattern::Delayed(ms(207));
            assert_eq!(faults, [Fault::Held { pattern, when: Variant::Plain, measure: None }], "{from} ms");
            assert_eq!(asked, 2);
        }
    }

    #[test]
    fn a_clock_is_told_from_a_buffer_whenever_everything_stands_still_once() {
        let measure = |plain: Vec<Trace>, padded: Vec<Trace>| {
            let (faults, _) = judged(plain, padded);
            let [Fault::Held { pattern: Pattern::Lumps { .. }, when: Variant::Plain, measure }] = faults[..]
            else {
                panic!("one fault: {faults:?}")
            };
            measure
        };
        for from in (0..2000).step_by(110) {
            for (plain, padded, wanted) in [(CLOCK, CLOCK, Measure::Time), (BYTES, SOONER, Measure::Bytes)] {
                let told = measure(vec![stalled(plain, from), calm(plain)], vec![calm(padded); 2]);
                assert_eq!(told, Some(wanted), "a stall at {from} ms");
                let told = measure(vec![calm(plain); 2], vec![calm(padded), stalled(padded, from)]);
                assert_eq!(told, Some(wanted), "a stall at {from} ms of the larger ones");
            }
        }
    }
}
