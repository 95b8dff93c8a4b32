//! The command line. Data goes to stdout, talk to stderr.

mod bench;
mod check;
mod completions;
mod doctor;
mod key;
mod pull;
mod serve;
mod tail;
mod talk;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::client::ClientError;
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
    /// Make an API key: the key to stderr, its `[[key]]` table to stdout
    Key(key::Arguments),
    /// Follow a recorded stream, a conversation or a channel
    Tail(tail::Arguments),
    /// Pull a model through a gateway
    Pull(pull::Arguments),
    /// Measure streams under load
    Bench(bench::Arguments),
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
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        None => serve::run(&cli.serve.config, cli.serve.listen).map(done),
        Some(Command::Serve(serve)) => serve::run(&serve.config, serve.listen).map(done),
        Some(Command::Check(check)) => check::run(&check.config).map(done),
        Some(Command::Key(arguments)) => key::run(&arguments),
        Some(Command::Tail(arguments)) => tail::run(&arguments),
        Some(Command::Pull(arguments)) => pull::run(&arguments),
        Some(Command::Bench(arguments)) => bench::run(&arguments),
        Some(Command::Doctor(doctor)) => doctor::run(*doctor),
        Some(Command::Completions { shell }) => completions::run(shell).map(done),
    };
    match result {
        Err(error) if error.is::<Problems>() => {
            writeln!(anstream::stderr(), "{error}")?;
            Ok(ExitCode::from(2))
        }
        Err(error) if error.downcast_ref().is_some_and(ClientError::is_usage) => {
            writeln!(anstream::stderr(), "streamgate: {error}")?;
            Ok(ExitCode::from(2))
        }
        // Whoever read the output has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(is_pipe) => Ok(ExitCode::SUCCESS),
        result => result,
    }
}

fn is_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
