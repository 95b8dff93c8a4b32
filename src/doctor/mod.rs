//! The doctor: sends timed streams through every hop of a path, and says which hop holds them up, how, and what cures it.
//!
//! ```text
//! Order → probe (asks, in every variant) → receive → Trace → pattern (times alone) → judge (Faults of the path up to a hop)
//!       → hop (whose fault it is) → advice (what cures it) → Report
//! ```

mod advice;
mod decode;
mod endpoint;
mod hop;
mod judge;
mod pattern;
mod probe;
mod program;
mod receive;
mod report;
mod timeline;
mod trace;
mod variant;

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use secrecy::SecretString;

use crate::doctor::endpoint::{Ask, Endpoint};
use crate::doctor::hop::{Examined, attribute};
use crate::doctor::judge::Measured;
use crate::doctor::pattern::LEAST;
use crate::doctor::probe::Probe;
use crate::doctor::trace::End;
use crate::doctor::variant::{Cadence, Variant};

pub use report::{Evidence, Finding, HopReport, LeavingReport, ProbeReport, Report, Verdict};

/// What is to be examined, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// As a request meets them: the public address first, the gateway last.
    pub hops: Vec<Hop>,
    /// `Host`, where the hops need another one than that of their addresses.
    pub host: Option<String>,
    pub key: Option<SecretString>,
    /// The built-in model of the gateway (`demo`), or another one, whose events carry no stamps.
    pub model: String,
    /// The silences to try.
    pub silences: Vec<Duration>,
    /// A silence before the first event, longer than the gateway's `commit_after`: the head must come in it.
    pub early: Duration,
    /// Events of an answer, and the time between two.
    pub events: usize,
    pub pace: Duration,
    /// How long an answer whose end nobody knows is watched.
    pub watch: Duration,
    /// Certificates are not verified.
    pub insecure: bool,
}

/// A place where the stream can be asked for.
#[derive(Clone, Debug)]
pub struct Hop {
    /// `None`: it is called by its address.
    pub name: Option<String>,
    pub url: Url,
}

/// There is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    #[error("no client: {0}")]
    Client(#[from] reqwest::Error),
    #[error("no hop to examine")]
    NoHop,
    #[error("{url} cannot be reached: {why}")]
    Unreachable { url: String, why: String },
    #[error(
        "{url} answers with status {status} instead of a stream of the model `{model}`; `--key` gives an API key, \
         `--host` the `Host` that it wants, and `--model` names another model, which is judged by weaker evidence"
    )]
    Refused { url: String, status: u16, model: String },
    #[error(
        "{events} events came from {url}: too few to judge; `--watch` waits longer, and with `--hop` it shows whether a hop \
         keeps them"
    )]
    TooFew { url: String, events: usize },
    #[error(
        "{url} streams no stamps as the model `{model}`; an older gateway, or another model of that name"
    )]
    NoStamps { url: String, model: String },
}

impl Order {
    /// Are the events those of the built-in model, which say when they were sent?
    fn is_stamped(&self) -> bool {
        let base = self.model.split(':').next();
        base == Some("demo")
            && self.hops.first().is_some_and(|hop| Endpoint::new(hop.url.clone()).ask != Ask::Get)
    }

    fn cadence(&self) -> Cadence {
        Cadence { events: self.events, pace: self.pace, early: self.early }
    }

    /// About how long the examination takes.
    pub fn duration(&self) -> Duration {
        if !self.is_stamped() {
            return self.watch;
        }
        let silence = self.silences.iter().copied().max().unwrap_or_default();
        let answer = self.pace * u32::try_from(self.events).unwrap_or(u32::MAX);
        silence.max(self.early).max(answer) + answer + Duration::from_secs(1)
    }

    /// Measures through all hops at once, and judges. `told` hears which hops are done.
    pub async fn examine(&self, told: &dyn Fn(&str)) -> Result<Report, Unwell> {
        let (Some(public), Some(gateway)) = (self.hops.first(), self.hops.last()) else {
            return Err(Unwell::NoHop);
        };
        let asked = Endpoint::new(public.url.clone());
        let behind = Probe::new(self, asked.through(gateway.url.clone()))?;
        let examined = self.hops.iter().rev().map(async |hop| {
            let probe = Probe::new(self, asked.through(hop.url.clone()))?;
            let measured = Box::pin(self.measure(&probe, &behind)).await;
            let name = hop.title();
            told(&name);
            Ok(Examined { name, url: hop.url.to_string(), is_named: hop.name.is_some(), measured })
        });
        let examined: Vec<Examined> = join_all(examined).await.into_iter().collect::<Result<_, Unwell>>()?;
        if let Some(innermost) = examined.first() {
            self.check(&gateway.url, &innermost.measured)?;
        }
        let evidence = if self.is_stamped() { Evidence::Stamps } else { Evidence::Clusters };
        Ok(Report::new(evidence, attribute(&examined)))
    }

    async fn measure(&self, probe: &Probe<'_>, gateway: &Probe<'_>) -> Measured {
        let (stamped, cadence) = (self.is_stamped(), self.cadence());
        let mut measured = Measured {
            control: None,
            traces: Vec::new(),
            leaving: None,
            leaving_in_silence: None,
            stamped,
            cadence,
        };
        if !stamped {
            measured.traces = probe.traces(&[Variant::Plain, Variant::Gzip, Variant::Http2]).await;
            return measured;
        }
        match probe.control().await {
            Ok(control) => measured.control = Some(control),
            Err(trace) => {
                measured.traces.push((Variant::Plain, trace));
                return measured;
            }
        }
        let mut variants = vec![Variant::Plain, Variant::Gzip, Variant::Http2, Variant::Get, Variant::Early];
        variants.extend(self.silences.iter().copied().map(Variant::Silence));
        let (traces, leaving, in_silence) =
            tokio::join!(probe.traces(&variants), probe.leave(gateway, false), probe.leave(gateway, true));
        measured.traces = traces;
        (measured.leaving, measured.leaving_in_silence) = (Some(leaving), Some(in_silence));
        let mut more = Vec::new();
        more.extend(measured.is_held().then_some(Variant::Padded));
        more.extend(measured.shortest_cut().map(|cut| Variant::Lasting(cut + LONGER)));
        measured.traces.extend(probe.traces(&more).await);
        measured
    }

    /// Is the innermost hop one that anything can be said of?
    fn check(&self, url: &Url, measured: &Measured) -> Result<(), Unwell> {
        let Some(trace) = measured.trace(Variant::Plain) else { return Ok(()) };
        let url = url.to_string();
        if let End::Unreachable(why) | End::Broken(why) = &trace.end
            && trace.head.is_none()
        {
            return Err(Unwell::Unreachable { url, why: why.clone() });
        }
        match trace.status() {
            Some(200) if measured.stamped && trace.stamped().is_empty() && !trace.events.is_empty() => {
                Err(Unwell::NoStamps { url, model: self.model.clone() })
            }
            Some(200) if !measured.stamped && trace.events.len() < LEAST => {
                Err(Unwell::TooFew { url, events: trace.events.len() })
            }
            Some(200) => Ok(()),
            Some(status) => Err(Unwell::Refused { url, status, model: self.model.clone() }),
            None => Err(Unwell::Unreachable { url, why: "no answer came".to_owned() }),
        }
    }
}

/// How much longer a stream without silence is asked to live than one was that was cut off.
const LONGER: Duration = Duration::from_millis(800);

impl Hop {
    fn title(&self) -> String {
        let address = || {
            let host = self.url.host_str().unwrap_or_default();
            self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        };
        self.name.clone().unwrap_or_else(address)
    }
}
