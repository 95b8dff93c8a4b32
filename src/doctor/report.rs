//! What the doctor found, for people and for machines.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::doctor::stalls::Stalls;

/// The findings about a whole path.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    pub evidence: Evidence,
    /// Not everything was tried.
    pub interrupted: bool,
    pub stalls: StallsReport,
    /// From the gateway outward.
    pub hops: Vec<HopReport>,
}

/// How a path or a hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Clean,
    /// It is as bad as the hop inside it, which is to blame.
    Inherited,
    Faulty,
    Unreachable,
}

/// What the verdict stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Every event said when it was to leave.
    Stamps,
    /// Nothing but which events came together: nobody knows when they were sent.
    Clusters,
}

/// When the machine that the doctor ran on did not run it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StallsReport {
    /// How many stalls of 50 ms and more there were.
    pub times: usize,
    /// In milliseconds.
    pub longest_ms: u64,
}

/// What is known of one hop.
#[derive(Clone, Debug, Serialize)]
pub struct HopReport {
    pub name: String,
    pub url: String,
    /// The program, where its name, its headers or its ways tell.
    pub program: Option<String>,
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    pub probes: Vec<ProbeReport>,
    /// What becomes of a client that leaves while events come, of one that leaves in a silence, and of one that leaves before the
    /// answer begins.
    pub leaving: Option<LeavingReport>,
    pub leaving_in_silence: Option<LeavingReport>,
    pub leaving_in_prefill: Option<LeavingReport>,
    /// What came of an answer that breaks off.
    pub cut: Option<CutReport>,
}

/// How an answer came that the gateway broke off behind an error.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CutReport {
    /// `broken_off` as it should, `whole`, `never`, or `replaced` by another answer.
    pub ended: &'static str,
    pub after_ms: u64,
    /// Events before the error that came, of those that were sent.
    pub events: usize,
    pub expected: usize,
    /// Did the error come?
    pub error: bool,
}

/// What the gateway made of a client that left.
#[derive(Clone, Debug, Serialize)]
pub struct LeavingReport {
    /// Did it notice? `None`: it cannot be known.
    pub noticed: Option<bool>,
    /// How long it took, or for how long it was watched.
    pub after_ms: Option<u64>,
    pub why_unknown: Option<String>,
}

/// One thing that is wrong with a hop.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// A word for machines.
    pub cause: &'static str,
    pub message: String,
    /// What else points there.
    pub signs: Vec<String>,
    /// The lines that cure it.
    pub cure: Vec<&'static str>,
}

/// The figures of one answer.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReport {
    pub variant: String,
    /// How often it was asked: what looks bad is asked again, and the figures are those of the answer that counts.
    pub asked: usize,
    pub status: Option<u16>,
    pub http: Option<String>,
    /// Until the head came, in milliseconds; so are all the times below.
    pub head_ms: Option<u64>,
    pub events: usize,
    pub expected: Option<usize>,
    /// The lateness of the event that was least late, over what a whole answer takes.
    pub constant_ms: Option<u64>,
    /// The lateness of the middle event and of the worst, over the one that was least late.
    pub median_ms: Option<u64>,
    pub worst_ms: Option<u64>,
    /// How it ended, if not as it should.
    pub ended: Option<String>,
    pub picture: String,
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Report {
    pub(super) fn new(evidence: Evidence, interrupted: bool, hops: Vec<HopReport>, stalls: &Stalls) -> Self {
        let worst = |wanted: Verdict| hops.iter().any(|hop| hop.verdict == wanted);
        let verdict = if worst(Verdict::Faulty) {
            Verdict::Faulty
        } else if worst(Verdict::Unreachable) {
            Verdict::Unreachable
        } else {
            Verdict::Clean
        };
        let stalls = StallsReport { times: stalls.times(), longest_ms: milliseconds(stalls.longest()) };
        Self { verdict, evidence, interrupted, stalls, hops }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clean => "clean",
            Self::Inherited => "no fault of its own",
            Self::Faulty => "FAULTY",
            Self::Unreachable => "UNREACHABLE",
        })
    }
}

impl Report {
    /// The report for people, in so many columns.
    pub fn page(&self, columns: usize) -> String {
        let mut page: String = self.hops.iter().map(|hop| hop.page(columns)).collect();
        if self.evidence == Evidence::Clusters {
            page.push_str(
                "weaker evidence: the events carry no stamps, so only those that came together tell\n\n",
            );
        }
        if self.interrupted {
            page.push_str("interrupted: this is what was known by then\n");
        }
        if self.stalls.times > 0 {
            let longest = self.stalls.longest_ms;
            page.extend([format!(
                "this machine was busy: for up to {longest} ms it did not run the doctor\n\n"
            )]);
        }
        match self.verdict {
            Verdict::Clean | Verdict::Inherited if self.interrupted => {}
            Verdict::Clean | Verdict::Inherited => {
                page.push_str("clean: every hop hands the stream on as it comes\n");
            }
            Verdict::Unreachable => page.push_str("not all hops could be reached\n"),
            Verdict::Faulty => {
                let found = |hop: &HopReport| {
                    hop.findings.first().map(|first| format!("{} {}\n", hop.title(), first.message))
                };
                page.extend(self.hops.iter().filter_map(found));
            }
        }
        page
    }
}

impl HopReport {
    /// Its name, and its program where the name does not say it.
    fn title(&self) -> String {
        match &self.program {
            Some(program) if !self.name.to_ascii_lowercase().contains(&program.to_ascii_lowercase()) => {
                format!("{} ({program})", self.name)
            }
            _ => self.name.clone(),
        }
    }

    fn page(&self, columns: usize) -> String {
        let mut lines =
            vec![format!("{}  {}  {}", self.title(), self.url.trim_end_matches('/'), self.verdict)];
        lines.extend(self.probes.iter().flat_map(|probe| probe.lines(columns)));
        if let (Some(busy), Some(silent)) = (&self.leaving, &self.leaving_in_silence) {
            let prefill = self.leaving_in_prefill.iter().map(|prefill| format!("; in prefill {prefill}"));
            let prefill: String = prefill.collect();
            lines.push(format!("  {:<12} {busy}; in a silence {silent}{prefill}", "leaving"));
        }
        for finding in &self.findings {
            lines.push(format!("  fault: {} [{}]", finding.message, finding.cause));
            lines.extend(finding.signs.iter().map(|sign| format!("    {sign}")));
            let cure = finding.cure.iter().enumerate();
            lines.extend(
                cure.map(|(number, line)| {
                    format!("  {}  {line}", if number == 0 { "cure:" } else { "     " })
                }),
            );
        }
        lines.extend(self.notes.iter().map(|note| format!("  note: {note}")));
        lines.iter().flat_map(|line| [line, "\n"]).chain(["\n"]).collect()
    }
}

impl fmt::Display for CutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (after, error) = (self.after_ms, if self.error { "with" } else { "without" });
        match self.ended {
            "replaced" => write!(f, "an answer of its own after {after} ms"),
            "whole" => write!(f, "ended as if it were whole, {error} the error"),
            "never" => write!(f, "no end after {after} ms, {error} the error"),
            _ => write!(f, "broken off, {error} the error"),
        }
    }
}

impl fmt::Display for LeavingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.noticed, self.after_ms) {
            (Some(true), Some(after)) => write!(f, "noticed after {after} ms"),
            (Some(false), Some(after)) => write!(f, "not noticed in {after} ms"),
            _ => f.write_str("not known"),
        }
    }
}

impl ProbeReport {
    /// One line, or two where that has no room: a picture that is broken shows nothing.
    fn lines(&self, columns: usize) -> Vec<String> {
        let (variant, picture, figures) = (&self.variant, &self.picture, self.figures());
        let line = format!("  {variant:<12} {picture}  {figures}");
        if line.len() <= columns {
            return vec![line];
        }
        vec![format!("  {variant:<12} {figures}"), format!("  {picture}")]
    }

    fn figures(&self) -> String {
        let mut figures = Vec::new();
        figures.extend(self.head_ms.map(|head| format!("head {head} ms")));
        figures.extend(self.status.filter(|status| *status != 200).map(|status| format!("status {status}")));
        let wanted = self.expected.filter(|expected| *expected != self.events && self.status == Some(200));
        figures.extend(wanted.map(|expected| format!("{} of {expected} events", self.events)));
        if let (Some(constant), Some(worst)) = (self.constant_ms, self.worst_ms) {
            figures.push(format!("late {constant}-{} ms", constant + worst));
        }
        figures.extend(self.ended.clone());
        figures.join(", ")
    }
}
