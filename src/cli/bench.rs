//! `streamgate bench`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::cli::bar::bar;
use crate::cli::talk::{INTERRUPTED, Key, Trust, block_on, interrupt, time, write};
use crate::client::{Api, Ask, ClientError, HttpVersion, Load, Plan, Tally, comparison, described, told};

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The server (`http://127.0.0.1:8080`), or the address of its API
    url: String,
    /// Another one to compare it with: streams begin at both in turns
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// How many streams run at a time; with --rate, at most
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    streams: u32,
    /// How long streams begin; what still runs then is not waited for
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    duration: Duration,
    /// How many streams begin in a second, whether or not earlier ones have ended
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// End after so many streams
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// The model that is asked
    #[arg(long, default_value = "demo")]
    model: String,
    /// What it is asked
    #[arg(long, default_value = "Hello")]
    prompt: String,
    /// The longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_tokens: u32,
    /// The API [default: what the address shows, else openai]
    #[arg(long)]
    api: Option<Door>,
    /// With `--api sse`: the data of the event without which a stream is cut
    #[arg(long, value_name = "DATA")]
    until: Option<String>,
    /// A stream that tells nothing for so long has failed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    stall: Duration,
    /// The version of HTTP; by plain http, 2 begins without asking [default: 2 where https offers it, else 1.1]
    #[arg(long, value_name = "VERSION")]
    http: Option<Version>,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    trust: Trust,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Door {
    /// POST /v1/chat/completions
    Openai,
    /// POST /v1/messages
    Anthropic,
    /// POST /api/chat
    Ollama,
    /// GET of the address, answered with Server-Sent Events
    Sse,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    #[value(name = "1.1")]
    One,
    #[value(name = "2")]
    Two,
}

const EXIT_CODES: &str = "\
Errors: `connect` (TLS and names included), `no answer` (the connection broke before a head came), `status N`, `no stream` (the \
answer is none), `cut` (the body ended or broke without its terminator), `stall`, `error CODE` (told in the stream), `malformed`. \
Beside each stands what was said of the first.

The rate is that of content behind the first; p90 is what nine of ten streams reach. Ctrl-C prints what was measured until then.

Exit codes: 0 every stream that ended, ended well, 1 could not run, or no stream ended, 2 wrong usage, 3 streams failed or were \
skipped, 130 interrupted";

const FAILED: u8 = 3;
/// Of the bar.
const STEPS: u64 = 1000;

/// Runs the load and prints what came of it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = plan(arguments)?;
    let names: Vec<String> = plan.asks.iter().map(Ask::shown).collect();
    let mut load = Load::new(plan);
    let bar = bar(STEPS, "{wide_bar} {msg}")?;
    let mut stopped = false;
    block_on(async {
        stopped = load.run(interrupt(), |load| show(load, &bar)).await;
        Ok(ExitCode::SUCCESS)
    })?;
    bar.finish_and_clear();
    let tallies = load.into_tallies();
    let report = if arguments.json { document(&names, &tallies, stopped) } else { text(&names, &tallies) };
    write(&report)?;
    Ok(if stopped { ExitCode::from(INTERRUPTED) } else { verdict(&tallies) })
}

/// How far it is: by time, or by requests where these are over sooner.
fn show(load: &Load, bar: &ProgressBar) {
    let (begun, ended, failed) = load.progress();
    let (elapsed, Plan { duration, requests, .. }) = (load.elapsed(), load.plan());
    let by_time = elapsed.as_millis() * u128::from(STEPS) / duration.as_millis().max(1);
    let by_requests =
        requests.map_or(0, |requests| u128::from(ended) * u128::from(STEPS) / u128::from(requests));
    bar.set_position(u64::try_from(by_time.max(by_requests)).unwrap_or(STEPS));
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let running = begun.saturating_sub(ended);
    let (elapsed, duration) = (elapsed.as_secs(), duration.as_secs());
    bar.set_message(format!("{elapsed}/{duration}s {running} running, {ended} ended{failed}"));
}

fn plan(arguments: &Arguments) -> Result<Plan, ClientError> {
    if arguments.rate.is_some_and(|rate| !(1e-6..=1e6).contains(&rate)) {
        return Err(ClientError::Usage("--rate is a number from 0.000001 to 1000000".into()));
    }
    if arguments.requests == Some(0) {
        return Err(ClientError::Usage("--requests is a number above 0".into()));
    }
    if arguments.duration.is_zero() || arguments.stall.is_zero() {
        return Err(ClientError::Usage("--duration and --stall are times above 0".into()));
    }
    if arguments.until.is_some() && !matches!(arguments.api, Some(Door::Sse)) {
        return Err(ClientError::Usage(
            "--until goes with `--api sse`: other APIs have their own terminators".into(),
        ));
    }
    let api = arguments.api.map(|door| match door {
        Door::Openai => Api::OpenAi,
        Door::Anthropic => Api::Anthropic,
        Door::Ollama => Api::Ollama,
        Door::Sse => Api::Sse,
    });
    let version = arguments.http.map(|version| match version {
        Version::One => HttpVersion::Http1,
        Version::Two => HttpVersion::Http2,
    });
    let transport = arguments.trust.transport()?.version(version);
    let streams = usize::try_from(arguments.streams).unwrap_or(usize::MAX);
    let ask = |url: &String| {
        let ask = Ask::new(url, arguments.key.get(), api, &transport)?;
        let ask = ask.streams(streams, arguments.key.get(), &transport)?;
        Ok(ask
            .model(&arguments.model, &arguments.prompt, arguments.max_tokens)
            .until(arguments.until.clone()))
    };
    let urls = [Some(&arguments.url), arguments.against.as_ref()];
    Ok(Plan {
        asks: urls.into_iter().flatten().map(ask).collect::<Result<_, ClientError>>()?,
        streams,
        duration: arguments.duration,
        rate: arguments.rate,
        requests: arguments.requests,
        stall: arguments.stall,
    })
}

fn verdict(tallies: &[Tally]) -> ExitCode {
    if tallies.iter().any(|tally| !tally.failures().is_empty() || tally.skipped() > 0) {
        ExitCode::from(FAILED)
    } else if tallies.iter().any(|tally| tally.done() == 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn text(names: &[String], tallies: &[Tally]) -> String {
    let mut reports: Vec<String> =
        names.iter().zip(tallies).map(|(name, tally)| format!("{name}\n{}", told(tally))).collect();
    if let ([name, against], [one, other]) = (names, tallies) {
        reports.push(format!("{name} as a multiple of {against}\n{}", comparison(one, other)));
    }
    reports.join("\n")
}

fn document(names: &[String], tallies: &[Tally], interrupted: bool) -> String {
    let of = |(name, tally): (&String, &Tally)| json!({ "url": name, "measured": described(tally) });
    let results: Value = names.iter().zip(tallies).map(of).collect();
    format!("{}\n", json!({ "interrupted": interrupted, "results": results }))
}
