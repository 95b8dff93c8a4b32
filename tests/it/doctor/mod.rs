//! The doctor on paths that are wrong in a known way, with real programs as hops, and on paths that are right.

mod command;
mod full;
mod ours;
mod programs;
mod proxies;
mod refused;
mod right;
mod servers;
mod trust;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::{Gateway, Setup};

/// What the doctor said.
struct Diagnosis {
    code: Option<i32>,
    report: Value,
    all: String,
}

/// A gateway with the built-in model, for hops that call it whatever they like.
async fn gateway() -> Gateway {
    setup().start().await
}

fn setup() -> Setup {
    Setup::new().server("allowed_hosts = [\"*\"]").stream("commit_after = \"200ms\"").demo()
}

/// The doctor with these arguments.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    command
        .args(["doctor", "--pace", "60ms"])
        .args(if arguments.contains(&"--early") { &[][..] } else { &["--early", "700ms"] })
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("HTTP_PROXY", "http://127.0.0.1:9");
    command.env_remove("STREAMGATE_KEY").stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The doctor, run with these arguments, and whatever it printed.
async fn doctor(arguments: &[&str]) -> (Option<i32>, String, String) {
    let full = arguments.contains(&"--full");
    let guard = Duration::from_mins(if full { 4 } else { 1 });
    let output = tokio::time::timeout(guard, command(arguments).output()).await;
    let output = output.expect("the doctor to end").expect("the built binary");
    let text = |bytes| String::from_utf8(bytes).expect("output in UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What it says of a path: the public address, then the hops behind it, the gateway last; each `[name=]url`.
async fn examine(path: &[&str]) -> Diagnosis {
    examine_with(path, &[]).await
}

async fn examine_with(path: &[&str], more: &[&str]) -> Diagnosis {
    let (public, hops) = path.split_first().unwrap();
    let mut arguments = vec![*public, "--json"];
    if !more.contains(&"--full") && !more.contains(&"--silence") {
        arguments.extend(["--silence", "1400ms"]);
    }
    for hop in hops {
        arguments.extend(["--hop", hop]);
    }
    arguments.extend(more);
    let (code, stdout, stderr) = doctor(&arguments).await;
    let all = format!("{stdout}{stderr}");
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}:\n{all}"));
    Diagnosis { code, report, all }
}

impl Diagnosis {
    /// It found nothing.
    fn is_clean(&self) {
        assert_eq!((self.code, &self.report["verdict"]), (Some(0), &"clean".into()), "{}", self.all);
        for hop in self.report["hops"].as_array().unwrap() {
            assert_eq!(hop["verdict"], "clean", "{}", self.all);
        }
    }

    /// It blames this hop, counted from the gateway outward, and no other, for this alone, and says how to cure it.
    fn blames(&self, at: usize, program: &str, cause: &str, cure: &str) {
        assert_eq!((self.code, &self.report["verdict"]), (Some(3), &"faulty".into()), "{}", self.all);
        for (number, hop) in self.report["hops"].as_array().unwrap().iter().enumerate() {
            let findings = hop["findings"].as_array().unwrap();
            if number != at {
                let verdict = if number < at { "clean" } else { "inherited" };
                assert_eq!(
                    (&hop["verdict"], findings.len()),
                    (&verdict.into(), 0),
                    "hop {number}: {}",
                    self.all
                );
                continue;
            }
            let causes: Vec<&str> =
                findings.iter().map(|finding| finding["cause"].as_str().unwrap()).collect();
            assert_eq!(causes, [cause], "{}", self.all);
            let known = hop["program"].as_str().unwrap_or_default();
            assert_eq!(known, program, "{}", self.all);
            let lines = findings[0]["cure"].to_string();
            assert!(lines.contains(cure), "{cure} in {lines}");
        }
    }
}
