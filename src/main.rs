//! The binary: reads the command line, runs it, and turns an error into an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use streamgate::cli::{Cli, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody to tell: the code says it.
            drop(writeln!(anstream::stderr(), "streamgate: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
