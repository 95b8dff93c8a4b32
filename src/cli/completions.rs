//! `streamgate completions`.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// Prints the completion script of a shell.
pub(super) fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "streamgate", &mut script);
    anstream::stdout().write_all(&script)?;
    Ok(())
}
