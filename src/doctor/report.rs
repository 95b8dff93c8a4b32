//! What the doctor found, for people and for machines.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The findings about a whole path.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    pub evidence: Evidence,
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
    /// What becomes of a client that leaves while events come, and of one that leaves in a silence.
    pub leaving: Option<LeavingReport>,
    pub leaving_in_silence: Option<LeavingReport>,
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
    pub(super) fn new(evidence: Evidence, hops: Vec<HopReport>) -> Self {
        let worst = |wanted: Verdict| hops.iter().any(|hop| hop.verdict == wanted);
        let verdict = if worst(Verdict::Faulty) {
            Verdict::Faulty
        } else if worst(Verdict::Unreachable) {
            Verdict::Unreachable
        } else {
            Verdict::Clean
        };
        Self { verdict, evidence, hops }
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hop in &self.hops {
            write!(f, "{hop}")?;
        }
        if self.evidence == Evidence::Clusters {
            writeln!(
                f,
                "weaker evidence: the events carry no stamps, so only those that came together tell\n"
            )?;
        }
        match self.verdict {
            Verdict::Clean | Verdict::Inherited => {
                writeln!(f, "clean: every hop hands the stream on as it comes")
            }
            Verdict::Unreachable => writeln!(f, "not all hops could be reached"),
            Verdict::Faulty => {
                let found = |hop: &HopReport| {
                    hop.findings.first().map(|first| format!("{} {}", hop.title(), first.message))
                };
                let faults: Vec<String> = self.hops.iter().filter_map(found).collect();
                writeln!(f, "{}", faults.join("\n"))
            }
        }
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
}

impl fmt::Display for HopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}  {}", self.title(), self.url.trim_end_matches('/'), self.verdict)?;
        for probe in &self.probes {
            writeln!(f, "  {probe}")?;
        }
        if let (Some(busy), Some(silent)) = (&self.leaving, &self.leaving_in_silence) {
            writeln!(f, "  {:<12} {busy}; in a silence {silent}", "leaving")?;
        }
        for finding in &self.findings {
            writeln!(f, "  fault: {} [{}]", finding.message, finding.cause)?;
            for sign in &finding.signs {
                writeln!(f, "    {sign}")?;
            }
            for (number, line) in finding.cure.iter().enumerate() {
                writeln!(f, "  {}  {line}", if number == 0 { "cure:" } else { "     " })?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        writeln!(f)
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

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {}", self.variant, self.picture)?;
        if let Some(head) = self.head_ms {
            write!(f, "  head {head} ms")?;
        }
        if let Some(status) = self.status.filter(|status| *status != 200) {
            write!(f, ", status {status}")?;
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != self.events) {
            write!(f, ", {} of {expected} events", self.events)?;
        }
        if let (Some(constant), Some(worst)) = (self.constant_ms, self.worst_ms) {
            write!(f, ", late {constant}-{} ms", constant + worst)?;
        }
        match &self.ended {
            Some(ended) => write!(f, ", {ended}"),
            None => Ok(()),
        }
    }
}
