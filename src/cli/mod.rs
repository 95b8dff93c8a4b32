//! The command line. Data goes to stdout, talk to stderr.

mod bar;
mod bench;
mod check;
mod completions;
mod doctor;
mod health;
mod key;
mod pull;
mod serve;
mod snippet;
mod tail;
mod talk;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::client::ClientError;
use crate::config::{Listen, Problems};
use crate::snippet::{Bind, Certificate, Gateway, Place, Program};

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
    /// Ask the gateway of this configuration whether it lives: for the health checks of containers
    Health(Health),
    /// Print the configuration of a program in front of this gateway
    Snippet(Snippet),
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
#[command(after_help = "Exit codes: 0 no problems, 2 problems, all of them named on stderr")]
struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml", env = "STREAMGATE_CONFIG")]
    config: PathBuf,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 it is well, 1 it is not, or nobody answers, 2 wrong usage or configuration"
)]
struct Health {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml", env = "STREAMGATE_CONFIG")]
    config: PathBuf,
    /// Ask whether it takes new streams
    #[arg(long)]
    ready: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 printed, 1 could not run, 2 wrong usage or configuration")]
struct Snippet {
    /// The program
    program: Program,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", default_value = "proxy.toml", env = "STREAMGATE_CONFIG")]
    config: PathBuf,
    /// What the program listens on: a port, or an address with its port [default: 80, or 443 with a certificate]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<Bind>,
    /// Where the program finds a gateway; may be repeated [default: `server.listen`]
    #[arg(long = "gateway", value_name = "HOST:PORT")]
    gateways: Vec<Gateway>,
    /// The file of the program's TLS certificate, with its chain
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<String>,
    /// The file of that certificate's key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<String>,
}

impl Snippet {
    fn run(self) -> anyhow::Result<()> {
        let Self { program, config, listen, gateways, certificate, key } = self;
        let certificate = certificate.zip(key).map(|(certificate, key)| Certificate { certificate, key });
        snippet::run(program, &config, &Place { listen, certificate, gateways })
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 ended as asked, 1 could not run, 2 wrong usage or configuration; those of \
`doctor`, `tail`, `pull` and `bench` stand in their --help";

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
        Some(Command::Health(health)) => health::run(&health.config, health.ready).map(done),
        Some(Command::Snippet(snippet)) => snippet.run().map(done),
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
