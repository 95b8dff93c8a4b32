//! The benchmark `cargo bench --bench relay`: what a proxy adds to paced streams of small events, in time, CPU and memory.
//! The same streams go directly, through nginx and through the gateway in turn, in one run, so that the machine is the same.

mod event;
mod load;
mod measure;
mod origin;
mod procfs;
mod program;
mod report;
mod subject;

use std::convert::Infallible;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use tokio::process::Command;
use tokio::runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::LocalSet;

use crate::measure::Figures;
use crate::measure::Plan;
use crate::measure::measure;
use crate::program::Program;
use crate::report::Report;
use crate::subject::Subject;

/// Measures what stands between client and model server: nothing, nginx, the gateway
#[derive(Debug, Parser)]
#[command(name = "relay")]
struct Arguments {
    /// Streams at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// Time between two events of a stream
    #[arg(long, default_value = "20ms", value_parser = interval)]
    interval: Duration,
    /// Length of the paced part of a round [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Rounds, of which the medians are shown [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Open but silent streams, for the memory of one [default: 1000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    idle: Option<u32>,
    /// Only these (and direct, to which the others are compared)
    #[arg(long, value_delimiter = ',')]
    only: Vec<Subject>,
    /// The gateway's program
    #[arg(long, env = "STREAMGATE_BIN", default_value = env!("CARGO_BIN_EXE_streamgate"))]
    gateway: PathBuf,
    /// One short round, to see that everything works
    #[arg(long)]
    quick: bool,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the benchmark starts itself as, in another process.
#[derive(Debug, Subcommand)]
enum Role {
    /// Be the model server
    #[command(hide = true)]
    Origin,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let (seconds, rounds, idle, burst) =
            if self.quick { (2, 1, 200, 320_000) } else { (10, 3, 1000, 1_600_000) };
        Plan {
            streams: self.streams as usize,
            interval: self.interval,
            seconds: self.seconds.unwrap_or(seconds),
            rounds: self.rounds.unwrap_or(rounds) as usize,
            idle: self.idle.unwrap_or(idle) as usize,
            burst,
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(Role::Origin) = arguments.role {
        return runtime.block_on(origin::run());
    }
    let plan = arguments.plan();
    // both legs of every stream may lie in one process
    let connections = plan.idle.max(plan.streams) as u64 + 100;
    raise_open_files(2 * connections)?;
    let report = LocalSet::new().block_on(&runtime, async {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            // whoever gives up, the programs under test end with the future that owns them
            _ = terminated.recv() => bail!("terminated"),
            _ = ctrl_c() => bail!("interrupted"),
            report = run(&arguments, plan, connections) => report,
        }
    })?;
    let text = if arguments.json { report.json()? } else { report.table() };
    writeln!(anstream::stdout(), "{text}")?;
    Ok(())
}

/// All rounds, interleaved: a disturbance of the machine hits every subject, and the median drops it.
async fn run(arguments: &Arguments, plan: Plan, connections: u64) -> Result<Report> {
    let mut stderr = anstream::stderr();
    if cfg!(debug_assertions) {
        writeln!(stderr, "this is a debug build: the figures mean nothing")?;
    }
    let (subjects, versions) = subjects(arguments).await?;
    let mut origin = Command::new(std::env::current_exe()?);
    let origin = Program::start_speaking(origin.arg("origin").stdin(Stdio::piped()), None).await?;

    let mut found: Vec<(Subject, Vec<Figures>)> =
        subjects.into_iter().map(|subject| (subject, Vec::new())).collect();
    for round in 1..=plan.rounds {
        for (subject, rounds) in &mut found {
            writeln!(stderr, "round {round} of {}: {}", plan.rounds, subject.label())?;
            // a fresh process each time: what an earlier round left in its memory is not this one's
            let running = subject.start(origin.address, &arguments.gateway, connections).await?;
            let processes = running.processes()?;
            let figures = measure(running.target, processes.as_ref(), &plan).await;
            rounds.push(figures.with_context(|| format!("round {round}: {}", subject.label()))?);
            running.stop().await?;
        }
    }
    origin.stop().await?;
    Report::new(plan, versions, found)
}

/// Who takes part, and in which version.
async fn subjects(arguments: &Arguments) -> Result<(Vec<Subject>, Vec<String>)> {
    let chosen = |subject: &Subject| {
        arguments.only.is_empty() || *subject == Subject::Direct || arguments.only.contains(subject)
    };
    let mut subjects: Vec<Subject> = Subject::value_variants().iter().copied().filter(chosen).collect();
    let mut versions = Vec::new();
    if subjects.contains(&Subject::Nginx) {
        if let Ok(output) = Command::new("nginx").arg("-v").output().await {
            let text = String::from_utf8_lossy(&output.stderr);
            versions.push(text.rsplit("version: ").next().unwrap_or_default().trim().to_owned());
        } else {
            writeln!(anstream::stderr(), "nginx is not installed: its row is left out")?;
            subjects.retain(|subject| *subject != Subject::Nginx);
        }
    }
    if subjects.contains(&Subject::Redis) && Command::new("redis-server").arg("-v").output().await.is_err() {
        writeln!(anstream::stderr(), "redis-server is not installed: its row is left out")?;
        subjects.retain(|subject| *subject != Subject::Redis);
    }
    if subjects.iter().any(|subject| subject.is_gateway()) {
        let gateway = arguments.gateway.display();
        let output = Command::new(&arguments.gateway).arg("--version").output().await;
        let output = output
            .with_context(|| format!("no gateway at {gateway}: build it, or name it with `--gateway`"))?;
        ensure!(output.status.success(), "{gateway} --version failed");
        versions.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Ok((subjects, versions))
}

/// Starts this program anew under a higher soft limit where the present one is too low; children inherit it.
fn raise_open_files(needed: u64) -> Result<()> {
    let (soft, hard) = procfs::open_file_limits()?;
    if soft >= needed {
        return Ok(());
    }
    ensure!(
        hard >= needed,
        "{needed} open files are needed, {hard} are allowed: lower `--idle` or `--streams`"
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -S -n \"$0\" && exec \"$@\"", &needed.to_string()]);
    let failure: Result<Infallible, _> =
        Err(shell.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).exec());
    bail!("cannot raise the limit of open files: {failure:?}")
}

fn interval(text: &str) -> Result<Duration> {
    let interval = humantime::parse_duration(text)?;
    ensure!(interval >= Duration::from_millis(1), "less than 1ms is finer than the timer");
    Ok(interval)
}
