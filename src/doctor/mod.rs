//! The doctor: sends timed streams through every hop of a path, and says which hop holds them up, how, and what cures it.
//!
//! ```text
//! Order → measure → probe (asks, in every variant) → receive → Trace → pattern (times alone)
//!       → answers (asked again, until one counts) → judge (Faults of the path up to a hop)
//!       → hop (whose fault it is) → advice (what it is called) → cure (by program) → Report
//! ```

mod advice;
mod answers;
mod cure;
mod decode;
mod endpoint;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hop;
mod judge;
mod leaving;
mod measure;
mod pattern;
mod probe;
mod program;
mod receive;
mod refusal;
mod report;
mod stalls;
mod timeline;
mod trace;
mod truncation;
mod variant;

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use http::HeaderMap;
use reqwest::Url;

use crate::client::{ClientError, Transport, shown};
use crate::doctor::endpoint::{Ask, Endpoint};
use crate::doctor::hop::{Examined, attribute};
use crate::doctor::judge::{HANGS_UP, Measured, Scale};
use crate::doctor::measure::Measuring;
use crate::doctor::pattern::LEAST;
use crate::doctor::probe::Probe;
use crate::doctor::refusal::{hint, telling};
use crate::doctor::stalls::Stalls;
use crate::doctor::trace::{End, Failure, Trace};
use crate::doctor::variant::{Cadence, Variant};

pub use report::{
    CutReport, Evidence, Finding, HopReport, LeavingReport, ProbeReport, Report, StallsReport, Verdict,
};

/// What is to be examined, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// As a request meets them: the public address first, the gateway last.
    pub hops: Vec<Hop>,
    /// `Host`, where the hops need another one than that of their addresses.
    pub host: Option<String>,
    /// The headers that say who asks.
    pub credentials: HeaderMap,
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
    /// Whose certificates are trusted, at every hop.
    pub transport: Transport,
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
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no hop to examine")]
    NoHop,
    #[error("interrupted before there was anything to judge")]
    Interrupted,
    #[error("{url} cannot be reached: {why}\n\nhint: {hint}")]
    Unreachable { url: String, why: String, hint: &'static str },
    #[error("{url} gave no answer in {} s\n\nhint: is it a stream? `--watch` waits longer", .after.as_secs())]
    NoAnswer { url: String, after: Duration },
    #[error("{url} answers with status {status} instead of {wanted}{told}{hint}")]
    Refused {
        url: String,
        status: u16,
        /// What was asked for.
        wanted: String,
        /// What the answer says.
        told: String,
        hint: String,
    },
    #[error("{url} answers with `{kind}`, which is no stream{ADDRESS}")]
    NoStream { url: String, kind: String },
    #[error(
        "{events} events came from {url}: too few to judge; `--watch` waits longer, and with `--hop` it shows whether a hop \
         keeps them"
    )]
    TooFew { url: String, events: usize },
    #[error("the stream of {url} breaks off behind {events} events: {why}")]
    Broken { url: String, events: usize, why: String },
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

    /// Measures through all hops at once, and judges. `told` hears which hops are done. When `stop` resolves, what is known by then is
    /// judged.
    pub async fn examine(
        &self,
        told: &dyn Fn(&str),
        stop: impl Future<Output = ()>,
    ) -> Result<Report, Unwell> {
        let (Some(public), Some(gateway)) = (self.hops.first(), self.hops.last()) else {
            return Err(Unwell::NoHop);
        };
        let asked = Endpoint::new(public.url.clone());
        let behind = Probe::new(self, asked.through(gateway.url.clone()))?;
        // All before the first request: building one takes time, in which nothing else is heard.
        let probes = self.hops.iter().map(|hop| Probe::new(self, asked.through(hop.url.clone())));
        let probes: Vec<Probe<'_>> = probes.collect::<Result<_, _>>()?;
        let scale = Scale { control: None, stamped: self.is_stamped(), cadence: self.cadence() };
        let (stalls, cells): (Stalls, Vec<RefCell<Measured>>) =
            (Stalls::default(), self.hops.iter().map(|_| RefCell::new(Measured::new(scale))).collect());
        let work = self.hops.iter().zip(&probes).zip(&cells).map(async |((hop, probe), measured)| {
            let measuring = Measuring { probe, gateway: &behind, stalls: &stalls, measured };
            Box::pin(measuring.run(&self.silences)).await;
            told(&hop.title());
        });
        let interrupted = tokio::select! {
            biased;
            never = stalls.watch() => match never {},
            _ = join_all(work) => false,
            () = stop => true,
        };
        let known = self.hops.iter().zip(cells).rev().map(|(hop, measured)| Examined {
            name: hop.title(),
            url: shown(&hop.url),
            asked: shown(&asked.through(hop.url.clone()).url),
            is_named: hop.name.is_some(),
            measured: measured.into_inner().in_order(),
        });
        let examined: Vec<Examined> =
            known.filter(|hop| hop.measured.trace(Variant::Plain).is_some()).collect();
        match examined.first() {
            Some(innermost) => self.check(&innermost.asked, &innermost.measured)?,
            None => return Err(Unwell::Interrupted),
        }
        let evidence = if self.is_stamped() { Evidence::Stamps } else { Evidence::Clusters };
        Ok(Report::new(evidence, interrupted, attribute(&examined), &stalls))
    }

    fn refused(&self, url: String, status: u16, trace: &Trace) -> Unwell {
        let reads = self.hops.first().is_some_and(|hop| Endpoint::new(hop.url.clone()).ask == Ask::Get);
        let wanted =
            if reads { "a stream".to_owned() } else { format!("a stream of the model `{}`", self.model) };
        let told = telling(trace).iter().flat_map(|line| ["\n  ", line.as_str()]).collect();
        Unwell::Refused { url, status, wanted, told, hint: hint(status, self.hops.len() == 1) }
    }

    /// Is the innermost hop one that anything can be said of?
    fn check(&self, url: &str, measured: &Measured) -> Result<(), Unwell> {
        let Some(trace) = measured.trace(Variant::Plain) else { return Ok(()) };
        let url = url.to_owned();
        match (&trace.end, trace.status()) {
            (End::Unreachable(Failure { why, hint }), _) => {
                return Err(Unwell::Unreachable { url, why: why.clone(), hint });
            }
            (End::Broken(why), None) => {
                return Err(Unwell::Unreachable { url, why: why.clone(), hint: HANGS_UP });
            }
            (End::Broken(why), Some(200)) if !measured.scale.stamped && trace.events.len() < LEAST => {
                return Err(Unwell::Broken { url, events: trace.events.len(), why: why.clone() });
            }
            _ => {}
        }
        match trace.status() {
            Some(200) if trace.is_no_stream() => {
                let kind = trace.header("content-type").unwrap_or("no type").to_owned();
                Err(Unwell::NoStream { url, kind })
            }
            Some(200) if measured.scale.stamped && trace.stamped().is_empty() && !trace.events.is_empty() => {
                Err(Unwell::NoStamps { url, model: self.model.clone() })
            }
            Some(200) if !measured.scale.stamped && trace.events.len() < LEAST => {
                Err(Unwell::TooFew { url, events: trace.events.len() })
            }
            Some(200) => Ok(()),
            Some(status) => Err(self.refused(url, status, trace)),
            None => Err(Unwell::NoAnswer { url, after: trace.ended }),
        }
    }
}

const ADDRESS: &str = "\n\nhint: give the address of the server, or of a stream, like http://127.0.0.1:8080/v1/chat/completions";

impl Hop {
    fn title(&self) -> String {
        let address = || {
            let host = self.url.host_str().unwrap_or_default();
            self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        };
        self.name.clone().unwrap_or_else(address)
    }
}
