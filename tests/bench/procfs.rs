//! What the kernel tells of a process under test (CPU time, memory of its own) and of this machine.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use serde::Serialize;

/// A program under test: the process that was started, with its children (nginx works in one).
#[derive(Debug, Clone)]
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .context("children of a process")?;
        let mut pids = vec![pid];
        for child in children.split_whitespace() {
            pids.push(child.parse()?);
        }
        Ok(Self(pids))
    }

    /// User and system time of all threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for pid in &self.0 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // the name in parentheses may hold spaces; fields 14 and 15 of proc_pid_stat(5) are 12 and 13 after it
            let (_, fields) = stat.rsplit_once(')').context("stat of a process")?;
            for time in fields.split_whitespace().skip(11).take(2) {
                ticks += time.parse::<u64>()?;
            }
        }
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Memory that is nobody else's, in KB: unlike RSS it leaves out what the program's file and libraries share.
    pub(crate) fn private_kb(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in &self.0 {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            for line in rollup.lines().filter(|line| line.starts_with("Private_")) {
                sum += line.split_whitespace().nth(1).context("smaps of a process")?.parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}

/// The machine, for the line below the table.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn here() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model =
            cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        Ok(Self {
            cpu: model.map_or("unknown CPU", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }
}

/// How many files this process and its children may have open: now, and at most.
pub(crate) fn open_file_limits() -> Result<(u64, u64)> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .context("no limit of open files")?;
    let mut values = line.split_whitespace().map(|value| value.parse().unwrap_or(u64::MAX));
    values.next().zip(values.next()).context("limit of open files")
}

/// `USER_HZ`, the unit of times in /proc: 100 on every Linux in use.
const TICKS_PER_SECOND: u64 = 100;
