//! What one round takes of one subject, in this order: memory of idle streams (on a fresh process), paced streams,
//! full speed.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use serde::Serialize;
use tokio::time::Instant;

use crate::event::Script;
use crate::load::Door;
use crate::load::Load;
use crate::load::Target;
use crate::procfs::Processes;

/// How much of everything.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Plan {
    pub(crate) streams: usize,
    #[serde(rename = "interval_us", serialize_with = "as_micros")]
    pub(crate) interval: Duration,
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) idle: usize,
    /// Events of the full-speed part, over all its streams.
    pub(crate) burst: u64,
}

/// The figures of one round, or the medians of several. What is about a process is missing where there is none.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) ttft_p50_us: Option<f64>,
    pub(crate) delay_p50_us: Option<f64>,
    pub(crate) delay_p99_us: Option<f64>,
    pub(crate) cpu_per_event_us: Option<f64>,
    pub(crate) idle_stream_kb: Option<f64>,
    pub(crate) full_speed_events_per_s: Option<f64>,
    pub(crate) full_speed_cpu_per_event_us: Option<f64>,
}

/// One round of one subject; `processes` is `None` where nothing stands between client and origin.
pub(crate) async fn measure(target: Target, processes: Option<&Processes>, plan: &Plan) -> Result<Figures> {
    let mut figures = Figures::default();
    // code pages, allocator and connection pools are touched once before anything counts
    Load::open(target, Script::Burst { events: 100 }, WARM_UP_STREAMS, GAP)?.all_ended().await?;
    if let Some(processes) = processes {
        figures.idle_stream_kb = Some(idle(target, processes, plan).await?);
    }
    paced(target, processes, plan, &mut figures).await?;
    // who comes late to a stream of another at full speed finds its beginning gone
    if !matches!(target.door, Door::Shared | Door::Elsewhere(_)) {
        full_speed(target, processes, plan, &mut figures).await?;
    }
    Ok(figures)
}

async fn idle(target: Target, processes: &Processes, plan: &Plan) -> Result<f64> {
    let before = processes.private_kb()?;
    let mut load = Load::open(target, Script::Idle, plan.idle, GAP / 2)?;
    load.all_open().await?;
    tokio::time::sleep(SETTLE).await;
    let after = processes.private_kb()?;
    drop(load);
    // the end of all these streams is work, and none of the next part's
    tokio::time::sleep(SETTLE).await;
    Ok((float(after) - float(before)) / float(plan.idle as u64))
}

async fn paced(
    target: Target,
    processes: Option<&Processes>,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<()> {
    let window = Duration::from_secs(plan.seconds);
    // long enough that the first stream lives until the window closes, whenever the last one opens
    let life = GAP * u32::try_from(plan.streams)? + 2 * SETTLE + window + SPARE;
    let events = u64::try_from(life.as_nanos() / plan.interval.as_nanos())?;
    let mut load = Load::open(target, Script::Paced { interval: plan.interval, events }, plan.streams, GAP)?;
    load.all_open().await?;
    tokio::time::sleep(SETTLE).await;

    let cpu_before = cpu(processes)?;
    let events_before = {
        let mut tally = load.tally.borrow_mut();
        tally.recording = true;
        tally.events
    };
    tokio::time::sleep(window).await;
    let cpu_after = cpu(processes)?;
    let relayed = {
        let mut tally = load.tally.borrow_mut();
        tally.recording = false;
        ensure!(
            tally.ended == 0,
            "streams ended inside the measured window: this machine is too slow for the load"
        );
        figures.ttft_p50_us = Some(micros(tally.first.value_at_quantile(0.5)));
        figures.delay_p50_us = Some(micros(tally.delays.value_at_quantile(0.5)));
        figures.delay_p99_us = Some(micros(tally.delays.value_at_quantile(0.99)));
        tally.events - events_before
    };
    ensure!(relayed > 0, "no event arrived");
    figures.cpu_per_event_us = per_event(cpu_before, cpu_after, relayed);
    load.all_ended().await
}

async fn full_speed(
    target: Target,
    processes: Option<&Processes>,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<()> {
    let each = plan.burst / BURST_STREAMS as u64;
    let total = each * BURST_STREAMS as u64;
    let cpu_before = cpu(processes)?;
    let start = Instant::now();
    Load::open(target, Script::Burst { events: each }, BURST_STREAMS, Duration::ZERO)?.all_ended().await?;
    figures.full_speed_events_per_s = Some(float(total) / start.elapsed().as_secs_f64());
    figures.full_speed_cpu_per_event_us = per_event(cpu_before, cpu(processes)?, total);
    Ok(())
}

fn cpu(processes: Option<&Processes>) -> Result<Option<Duration>> {
    processes.map(Processes::cpu).transpose()
}

fn per_event(before: Option<Duration>, after: Option<Duration>, events: u64) -> Option<f64> {
    let spent = after?.checked_sub(before?)?;
    Some(spent.as_secs_f64() * 1e6 / float(events))
}

fn micros(nanos: u64) -> f64 {
    float(nanos) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts and times far below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

fn as_micros<S: serde::Serializer>(interval: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(interval.as_micros())
}

/// Between the openings of two streams.
const GAP: Duration = Duration::from_millis(2);
/// After the last opening, until the figures are those of a steady state.
const SETTLE: Duration = Duration::from_millis(500);
const SPARE: Duration = Duration::from_millis(500);
const WARM_UP_STREAMS: usize = 20;
/// Few enough that none of them starves, many enough that a reader never waits for one writer.
const BURST_STREAMS: usize = 16;
