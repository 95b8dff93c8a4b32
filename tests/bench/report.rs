//! The figures as a table that is plain text and Markdown at once, or as JSON: medians over the rounds, and ratios.

use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;

use crate::measure::Figures;
use crate::measure::Plan;
use crate::procfs::Machine;
use crate::subject::Subject;

/// Everything that one run found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    machine: Machine,
    versions: Vec<String>,
    plan: Plan,
    /// The row to which the ratios are.
    reference: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    subject: &'static str,
    median: Figures,
    rounds: Vec<Figures>,
}

impl Report {
    pub(crate) fn new(
        plan: Plan,
        versions: Vec<String>,
        found: Vec<(Subject, Vec<Figures>)>,
    ) -> Result<Self> {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let has_nginx = found.iter().any(|(subject, _)| *subject == Subject::Nginx);
        let rows = found.into_iter().map(|(subject, rounds)| {
            let median = median(&rounds);
            Row { subject: subject.label(), median, rounds }
        });
        Ok(Self {
            date: now.split('T').next().unwrap_or_default().to_owned(),
            machine: Machine::here()?,
            versions,
            plan,
            reference: if has_nginx { Subject::Nginx.label() } else { Subject::Direct.label() },
            rows: rows.collect(),
        })
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![header()];
        for row in &self.rows {
            let mut line = vec![row.subject.to_owned()];
            for column in COLUMNS {
                line.extend(self.cells(row, column));
            }
            lines.push(line);
        }
        let plan = &self.plan;
        format!(
            "{}\n{} streams, one event every {}, {} s, {} round(s), medians; in brackets the ratio to {}.\n{}; {}, {} cores, \
             Linux {}{}{}",
            aligned(&lines),
            plan.streams,
            humantime::format_duration(plan.interval),
            plan.seconds,
            plan.rounds,
            self.reference,
            self.date,
            self.machine.cpu,
            self.machine.cores,
            self.machine.kernel,
            if self.versions.is_empty() { "" } else { "; " },
            self.versions.join(", "),
        )
    }

    /// The figure with its ratio, and, for what adds up along the way, what it adds to the direct one.
    fn cells(&self, row: &Row, column: &Column) -> Vec<String> {
        let of = |name: &str| {
            self.rows.iter().find(|row| row.subject == name).and_then(|row| (column.pick)(&row.median))
        };
        let Some(figure) = (column.pick)(&row.median) else {
            return vec!["-".to_owned(); if column.adds { 2 } else { 1 }];
        };
        let decimals = column.decimals;
        let ratio = match of(self.reference).filter(|_| row.subject != self.reference) {
            Some(reference) if reference > 0.0 => format!(" ({:.2}x)", figure / reference),
            Some(_) | None => String::new(),
        };
        let mut cells = vec![format!("{figure:.decimals$}{ratio}")];
        if column.adds {
            let direct = of(Subject::Direct.label()).filter(|_| row.subject != Subject::Direct.label());
            cells.push(
                direct.map_or_else(|| "-".to_owned(), |direct| format!("{:+.decimals$}", figure - direct)),
            );
        }
        cells
    }
}

/// One measure, as it stands in the table.
struct Column {
    title: &'static str,
    decimals: usize,
    /// Shown also as what it adds to the direct figure.
    adds: bool,
    pick: fn(&Figures) -> Option<f64>,
}

const COLUMNS: &[Column] = &[
    Column { title: "first token p50, us", decimals: 0, adds: true, pick: |it| it.ttft_p50_us },
    Column { title: "event delay p50, us", decimals: 0, adds: true, pick: |it| it.delay_p50_us },
    Column { title: "event delay p99, us", decimals: 0, adds: true, pick: |it| it.delay_p99_us },
    Column { title: "CPU/event, us", decimals: 1, adds: false, pick: |it| it.cpu_per_event_us },
    Column { title: "KB/idle stream", decimals: 1, adds: false, pick: |it| it.idle_stream_kb },
    Column { title: "full speed, events/s", decimals: 0, adds: false, pick: |it| it.full_speed_events_per_s },
    Column {
        title: "CPU/event there, us",
        decimals: 2,
        adds: false,
        pick: |it| it.full_speed_cpu_per_event_us,
    },
];

fn header() -> Vec<String> {
    let mut header = vec!["through".to_owned()];
    for column in COLUMNS {
        header.push(column.title.to_owned());
        if column.adds {
            header.push("added".to_owned());
        }
    }
    header
}

/// The lines as one table, figures to the right, the first line as its head.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut table = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        table.push(format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        if number == 0 {
            let rules = widths.iter().enumerate().map(|(at, &width)| {
                if at == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width.saturating_sub(1))) }
            });
            table.push(format!("| {} |\n", rules.collect::<Vec<_>>().join(" | ")));
        }
    }
    table.concat()
}

fn median(rounds: &[Figures]) -> Figures {
    let of = |pick: fn(&Figures) -> Option<f64>| {
        let mut values: Vec<f64> = rounds.iter().filter_map(pick).collect();
        values.sort_by(f64::total_cmp);
        let upper = values.get(values.len() / 2).copied()?;
        let lower = values.get((values.len() - 1) / 2).copied()?;
        Some(f64::midpoint(lower, upper))
    };
    Figures {
        ttft_p50_us: of(|it| it.ttft_p50_us),
        delay_p50_us: of(|it| it.delay_p50_us),
        delay_p99_us: of(|it| it.delay_p99_us),
        cpu_per_event_us: of(|it| it.cpu_per_event_us),
        idle_stream_kb: of(|it| it.idle_stream_kb),
        full_speed_events_per_s: of(|it| it.full_speed_events_per_s),
        full_speed_cpu_per_event_us: of(|it| it.full_speed_cpu_per_event_us),
    }
}
