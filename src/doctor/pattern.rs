//! How the events of one answer arrived, judged by nothing but their times.

use std::time::Duration;

use crate::doctor::trace::{Arrival, End, Stamp, Trace};

/// What became of the times between events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// As they were sent.
    Prompt,
    /// On time among themselves, but all of them so much later than a whole answer takes.
    Delayed(Duration),
    /// Each when the next one was sent.
    Behind,
    /// Several at once: about so many bytes and events; the first of them had waited for so long.
    Lumps { bytes: usize, events: usize, held: Duration },
    /// All at once.
    Whole,
}

/// The times of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness {
    /// Of the event that was least late, over what a whole answer takes.
    pub(super) constant: Duration,
    /// Of the middle one and of the worst, over the one that was least late.
    pub(super) median: Duration,
    pub(super) worst: Duration,
    /// Of all events, over what a whole answer takes, or over the earliest where that is less or not known.
    pub(super) mean: Duration,
}

/// A delay that is no hop's way of working but the network or a busy machine.
pub(super) const TOLERANCE: Duration = Duration::from_millis(120);
/// Fewer events than these show no pattern.
pub(super) const LEAST: usize = 6;

impl Pattern {
    /// The pattern of events that carry stamps. `control` is what a whole answer takes, `pace` the time between two events.
    pub(super) fn of_stamped(trace: &Trace, control: Option<Duration>, pace: Duration) -> Self {
        let stamped = trace.stamped();
        if stamped.len() < LEAST {
            return Self::Prompt;
        }
        let arrivals: Vec<Arrival> = stamped.iter().map(|(arrival, _)| *arrival).collect();
        let clusters = Clusters::of(&arrivals, pace / 3);
        if clusters.is_whole() {
            return Self::Whole;
        }
        if clusters.joined * 3 >= arrivals.len() {
            return clusters.lumps(&held(&clusters, trace, control));
        }
        let lateness = Lateness::of(trace, control);
        let last =
            stamped.last().map_or(Duration::ZERO, |(arrival, stamp)| arrival.at.saturating_sub(stamp.due));
        let least = stamped.iter().map(|(arrival, stamp)| arrival.at.saturating_sub(stamp.due)).min();
        let last_is_on_time = last.saturating_sub(least.unwrap_or_default()) < pace / 3;
        if last_is_on_time && lateness.median > pace * 7 / 10 && lateness.median < pace * 13 / 10 {
            return Self::Behind;
        }
        if control.is_some() && lateness.constant > TOLERANCE {
            return Self::Delayed(lateness.constant);
        }
        Self::Prompt
    }

    /// The pattern of events without stamps, whose cadence nobody knows: only what no sender does is told.
    pub(super) fn of_clusters(trace: &Trace) -> Self {
        if trace.events.len() < LEAST {
            // Enough of them came through the innermost hop, or nothing would be judged.
            return if trace.end == End::TimedOut { Self::Whole } else { Self::Prompt };
        }
        let clusters = Clusters::of(&trace.events, UNKNOWN_PACE);
        if clusters.is_whole() && matches!(trace.end, End::Whole) {
            return if trace.last_bytes > SOON { Self::Whole } else { Self::Prompt };
        }
        // A server that has several events at once writes them at once now and then; one that always has many is held up.
        if clusters.joined * 3 >= trace.events.len() * 2 && clusters.median_events() >= 4 {
            let gap = |pair: &[Cluster]| Some(pair.last()?.at.saturating_sub(pair.first()?.at));
            return clusters.lumps(&clusters.all.windows(2).filter_map(gap).collect::<Vec<_>>());
        }
        Self::Prompt
    }

    /// How much a reader suffers: the worse hides the better.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Prompt => 0,
            Self::Delayed(_) => 1,
            Self::Behind => 2,
            Self::Lumps { .. } => 3,
            Self::Whole => 4,
        }
    }
}

/// Events closer together than this came at once, where nobody knows the cadence.
const UNKNOWN_PACE: Duration = Duration::from_millis(5);
/// An answer that is there so soon was not held up to speak of.
const SOON: Duration = Duration::from_millis(700);

impl Lateness {
    pub(super) fn of(trace: &Trace, control: Option<Duration>) -> Self {
        let stamped = trace.stamped();
        let mut late: Vec<Duration> =
            stamped.iter().map(|(arrival, stamp)| arrival.at.saturating_sub(stamp.due)).collect();
        late.sort_unstable();
        let least = late.first().copied().unwrap_or_default();
        let over = |time: Option<&Duration>| time.map_or(Duration::ZERO, |time| time.saturating_sub(least));
        let base = control.map_or(least, |control| control.min(least));
        let waited: Duration = late.iter().map(|late| late.saturating_sub(base)).sum();
        Self {
            constant: control.map_or(Duration::ZERO, |control| least.saturating_sub(control)),
            median: over(late.get(late.len() / 2)),
            worst: over(late.last()),
            mean: u32::try_from(late.len())
                .ok()
                .and_then(|events| waited.checked_div(events))
                .unwrap_or_default(),
        }
    }
}

/// Events that came together.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    at: Duration,
    last: Duration,
    events: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Clusters {
    all: Vec<Cluster>,
    /// Events that did not come alone, but for the first of each cluster.
    joined: usize,
    events: usize,
}

impl Clusters {
    fn of(arrivals: &[Arrival], close: Duration) -> Self {
        let mut all: Vec<Cluster> = Vec::new();
        let mut received = 0;
        for arrival in arrivals {
            match all.last_mut() {
                Some(cluster) if arrival.at.saturating_sub(cluster.last) < close => {
                    cluster.last = arrival.at;
                    cluster.events += 1;
                    cluster.bytes += arrival.received - received;
                }
                _ => all.push(Cluster {
                    at: arrival.at,
                    last: arrival.at,
                    events: 1,
                    bytes: arrival.received - received,
                }),
            }
            received = arrival.received;
        }
        Self { joined: arrivals.len() - all.len(), all, events: arrivals.len() }
    }

    /// Nine of ten came at once.
    fn is_whole(&self) -> bool {
        self.all.iter().any(|cluster| cluster.events * 10 >= self.events * 9)
    }

    /// The middle cluster; the last one is what was left over.
    fn lumps(&self, held: &[Duration]) -> Pattern {
        let full = self.all.split_last().map_or(&*self.all, |(_, full)| full);
        Pattern::Lumps {
            bytes: median(full.iter().map(|cluster| cluster.bytes)),
            events: median(full.iter().map(|cluster| cluster.events)),
            held: median(held.iter().copied()),
        }
    }

    fn median_events(&self) -> usize {
        median(self.all.iter().map(|cluster| cluster.events))
    }
}

/// How long the first event of every cluster had waited.
fn held(clusters: &Clusters, trace: &Trace, control: Option<Duration>) -> Vec<Duration> {
    let stamped = trace.stamped();
    let late = |(arrival, stamp): &(Arrival, Stamp)| arrival.at.saturating_sub(stamp.due);
    // An event that took less than a whole answer shows that the answers were held up.
    let base = stamped.iter().map(late).chain(control).min().unwrap_or_default();
    let firsts = clusters.all.iter().scan(0, |next, cluster| {
        let first = stamped.get(*next);
        *next += cluster.events;
        first
    });
    firsts.map(|first| late(first).saturating_sub(base)).collect()
}

fn median<T: Copy + Default + Ord>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const PACE: Duration = Duration::from_millis(90);
    const CONTROL: Duration = Duration::from_millis(10);

    /// An answer whose events, sent every 90 ms, are handed on at these times.
    pub(crate) fn trace(held: impl Fn(u64) -> u64) -> Trace {
        let events = (0..24_u64).map(|number| {
            let due = number * 90;
            let stamp = Stamp { number: usize::try_from(number).unwrap(), due: Duration::from_millis(due) };
            Arrival {
                at: Duration::from_millis(12 + held(due)),
                stamp: Some(stamp),
                received: 250 * (1 + usize::try_from(number).unwrap()),
            }
        });
        let events: Vec<Arrival> = events.collect();
        let ended = events.last().unwrap().at;
        Trace {
            head: None,
            events,
            last_bytes: ended,
            members: 0,
            error: false,
            end: End::Whole,
            ended,
            reason: None,
        }
    }

    fn pattern(held: impl Fn(u64) -> u64) -> Pattern {
        Pattern::of_stamped(&trace(held), Some(CONTROL), PACE)
    }

    #[test]
    fn what_comes_as_it_was_sent_is_prompt() {
        assert_eq!(pattern(|due| due), Pattern::Prompt);
        assert_eq!(pattern(|due| due + due * 7 % 25), Pattern::Prompt, "jitter");
        let stall = |due| if (900..1300).contains(&due) { 1300 } else { due };
        assert_eq!(pattern(stall), Pattern::Prompt, "one pause of a busy machine");
    }

    #[test]
    fn all_at_the_end_is_whole() {
        assert_eq!(pattern(|_| 2200), Pattern::Whole);
        assert_eq!(
            pattern(|due| if due == 0 { 0 } else { 2200 }),
            Pattern::Whole,
            "also behind a first event"
        );
    }

    #[test]
    fn lumps_have_a_size_and_an_interval() {
        let lumps = pattern(|due| (due / 720 + 1) * 720);
        assert_eq!(lumps, Pattern::Lumps { bytes: 2000, events: 8, held: Duration::from_millis(722) });
        // HAProxy: from the first event on, 200 ms.
        let Pattern::Lumps { events, held, .. } = pattern(|due| due / 270 * 270 + 200) else {
            panic!("lumps")
        };
        assert_eq!((events, held), (3, Duration::from_millis(202)));
    }

    #[test]
    fn a_delay_of_everything_is_told_from_one_event_behind() {
        assert_eq!(pattern(|due| due + 205), Pattern::Delayed(Duration::from_millis(207)));
        assert_eq!(pattern(|due| (due + 90).min(23 * 90)), Pattern::Behind);
        assert_eq!(pattern(|due| due + 60), Pattern::Prompt, "a longer way is nobody's fault");
    }

    #[test]
    fn without_stamps_only_clusters_are_told() {
        let bare = |held: fn(u64) -> u64| {
            let mut trace = trace(held);
            trace.events.iter_mut().for_each(|event| event.stamp = None);
            Pattern::of_clusters(&trace)
        };
        assert_eq!(bare(|due| due), Pattern::Prompt);
        assert_eq!(bare(|_| 2200), Pattern::Whole);
        assert_eq!(bare(|_| 100), Pattern::Prompt, "an answer that was there at once");
        assert!(matches!(bare(|due| (due / 720 + 1) * 720), Pattern::Lumps { events: 8, .. }));
        assert_eq!(bare(|due| due / 180 * 180), Pattern::Prompt, "two at once is how some servers write");
    }

    #[test]
    fn an_endless_stream_of_which_nothing_comes_is_held() {
        let nothing = Trace::nothing(End::TimedOut, Duration::from_secs(20));
        assert_eq!(Pattern::of_clusters(&nothing), Pattern::Whole);
    }

    #[test]
    fn lateness_is_counted_from_the_earliest() {
        let lateness = Lateness::of(&trace(|_| 2070), Some(CONTROL));
        assert_eq!(lateness.worst, Duration::from_millis(2070));
        assert_eq!(lateness.constant, Duration::from_millis(2));
    }
}
