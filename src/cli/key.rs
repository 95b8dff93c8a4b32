//! `streamgate key`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cli::talk::{say, write};
use crate::client::ClientError;

/// What makes a key known for one, to people and to scanners for secrets.
const PREFIX: &str = "sk-sg-";
/// Each stands for five random bits.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The name that stands in the log [default: one made of the digest]
    #[arg(long)]
    name: Option<String>,
    /// What the key may do, separated by commas [default: inference,models]
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// Print one line of JSON to stdout, the key included
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a key from stdin and print its digest
    Hash,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Ask models
    Inference,
    /// List models
    Models,
    /// Publish on channels
    Publish,
    /// Pull and delete models
    Manage,
}

const EXIT_CODES: &str = "\
The key is shown once and kept nowhere: `streamgate key --name alice >> proxy.toml` adds its digest to a configuration.

Exit codes: 0 printed, 1 could not run, 2 wrong usage, or no key on stdin";

/// Makes a key, or prints the digest of one.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(ClientError::Usage("a key has a name that is not empty".into()).into());
    }
    if let Some(Command::Hash) = arguments.command {
        write(&format!("{}\n", digest(&read()?)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    let key: String = PREFIX.chars().chain(letters.map(|letter| char::from(*letter))).collect();
    let sha256 = digest(&key);
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| format!("key-{}", sha256.chars().take(6).collect::<String>()));
    let scopes: Vec<String> =
        arguments.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
    if arguments.json {
        let told = json!({ "key": key, "name": name, "sha256": sha256, "scopes": scopes });
        write(&format!("{told}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{key}\n\nThis key is shown once. Its table, for the configuration:"))?;
    let name = toml::Value::String(name);
    let scopes = if scopes.is_empty() { String::new() } else { format!("scopes = {scopes:?}\n") };
    // The file that it is added to may end without a line break.
    write(&format!("\n[[key]]\nname = {name}\nsha256 = \"{sha256}\"\n{scopes}"))?;
    Ok(ExitCode::SUCCESS)
}

/// The key on stdin: one line.
fn read() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        say("the key, then Enter and Ctrl-D:")?;
    }
    let mut text = String::new();
    io::stdin().lock().take(64 * 1024).read_to_string(&mut text)?;
    let key = text.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        let words = "there must be one key on stdin\n\nhint: printf %s \"$KEY\" | streamgate key hash";
        return Err(ClientError::Usage(words.into()).into());
    }
    Ok(key.to_owned())
}

fn digest(key: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(key) {
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let known = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert_eq!(digest("secret"), known);
    }
}
