//! The command line. Data goes to stdout, talk to stderr.

mod check;
mod completions;
mod doctor;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Listen, Problems};

/// A reverse proxy gateway for streams of language models
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Serve(Serve),
    /// Name every problem of a configuration, with its file, line and a hint
    Check(Check),
    /// Find out which hop of a path holds a stream up, and what cures it
    Doctor(Box<doctor::Doctor>),
    /// Print a completion script
    Completions { shell: Shell },
}

#[derive(Args, Debug)]
struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml", env = "STREAMGATE_CONFIG")]
    config: PathBuf,
    /// The address to listen on, over `server.listen`
    #[arg(long, value_name = "ADDRESS", env = "STREAMGATE_LISTEN")]
    listen: Option<Listen>,
}

#[derive(Args, Debug)]
struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml", env = "STREAMGATE_CONFIG")]
    config: PathBuf,
}

const EXIT_CODES: &str = "Exit codes: 0 ended as asked, 1 could not run, 2 wrong usage or configuration, 3 `doctor` found something wrong";

/// Runs the command line.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let result = match cli.command {
        None => serve::run(&cli.serve.config, cli.serve.listen),
        Some(Command::Serve(serve)) => serve::run(&serve.config, serve.listen),
        Some(Command::Check(check)) => check::run(&check.config),
        Some(Command::Doctor(doctor)) => return doctor::run(*doctor),
        Some(Command::Completions { shell }) => completions::run(shell),
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is::<Problems>() => {
            use std::io::Write as _;
            writeln!(anstream::stderr(), "{error}")?;
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error),
    }
}
