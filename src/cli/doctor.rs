//! `streamgate doctor`.

use std::pin::pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use tokio::time::{Instant, interval};

use crate::cli::bar::{bar, columns};
use crate::cli::talk::{INTERRUPTED, Key, Trust, block_on, interrupt, say, time, write};
use crate::client::{ClientError, credentials};
use crate::doctor::{Hop, Order, Report, Unwell, Verdict};

/// What is typed.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(super) struct Doctor {
    /// The public address: where browsers ask. `https://chat.example.org`, with the path of a door or of any SSE stream if wished
    #[arg(value_name = "[NAME=]URL")]
    url: Named,
    /// A hop behind it, in the order in which a request meets them, the gateway last: `nginx=http://10.0.0.2`
    #[arg(long = "hop", value_name = "NAME=URL")]
    hops: Vec<Named>,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    trust: Trust,
    /// The model to ask; any but the built-in one is judged by weaker evidence
    #[arg(long, default_value = "demo")]
    model: String,
    /// The `Host` to ask hops for
    #[arg(long)]
    host: Option<String>,
    /// Silences to try, separated by commas, instead of 13s
    #[arg(long, value_name = "TIME", value_delimiter = ',', value_parser = silence, conflicts_with = "full")]
    silence: Vec<Duration>,
    /// All silences: 5, 13, 20, 35, 65 and 105 seconds
    #[arg(long)]
    full: bool,
    /// A silence before the first event, longer than the gateway's `commit_after`: the head must come in it
    #[arg(long, value_name = "TIME", default_value = "2500ms", value_parser = silence)]
    early: Duration,
    /// Events of an answer
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(12..=1000))]
    events: u16,
    /// Time between two events
    #[arg(long, value_name = "TIME", default_value = "90ms", value_parser = pace)]
    pace: Duration,
    /// How long an answer is watched whose end nobody knows
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time)]
    watch: Duration,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "A picture is one answer: time runs to the right, `|` is one event, a number so many at once, `#` more than nine.
`late` is how long the promptest and the tardiest event were on their way, over what a whole answer takes.
Ctrl-C ends it with what is known by then.

Exit codes: 0 clean, 1 could not run or a hop cannot be reached, 2 wrong usage,
3 something is wrong, 130 interrupted";
/// Longer than the shortest patience that is met: a server of Bun ends a stream behind 8 to 12 s of silence.
const QUICK: [u64; 1] = [13];
const FULL: [u64; 6] = [5, 13, 20, 35, 65, 105];

/// The built-in model is silent for no longer than an hour.
fn silence(text: &str) -> Result<Duration, String> {
    let silence = time(text)?;
    if silence > Duration::from_hours(1) {
        Err("a silence is no longer than 1h".to_owned())
    } else {
        Ok(silence)
    }
}

/// Events closer together than a machine's own jitter show nothing.
fn pace(text: &str) -> Result<Duration, String> {
    let pace = time(text)?;
    if (Duration::from_millis(30)..=Duration::from_secs(10)).contains(&pace) {
        return Ok(pace);
    }
    Err("a pace is a time from 30ms to 10s".to_owned())
}

/// `name=url`, or an address alone.
#[derive(Clone, Debug)]
struct Named(Hop);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.split_once('=').filter(|(name, _)| !name.contains(['/', ':', '?']));
        let (name, url) = named.map_or((None, text), |(name, url)| (Some(name.to_owned()), url));
        let address = url.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let hint = || format!("`{url}` is no address: write it like http://127.0.0.1:8080");
        Ok(Self(Hop { name, url: address.ok_or_else(hint)? }))
    }
}

impl Doctor {
    fn order(self) -> Result<Order, ClientError> {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        Ok(Order {
            hops: std::iter::once(self.url).chain(self.hops).map(|named| named.0).collect(),
            host: self.host,
            credentials: credentials(self.key.get())?,
            model: self.model,
            silences: match (self.full, self.silence.is_empty()) {
                (true, _) => seconds(&FULL),
                (false, true) => seconds(&QUICK),
                (false, false) => self.silence,
            },
            early: self.early,
            events: self.events.into(),
            pace: self.pace,
            watch: self.watch,
            transport: self.trust.transport()?,
        })
    }
}

/// Examines, and prints what was found. The exit code is the verdict.
pub(super) fn run(doctor: Doctor) -> anyhow::Result<ExitCode> {
    let json = doctor.json;
    let order = doctor.order()?;
    let mut report = None;
    block_on(async {
        report = Some(examine(&order).await?);
        Ok(ExitCode::SUCCESS)
    })
    .or_else(|error| match error.downcast_ref() {
        Some(Unwell::Interrupted) => {
            say(&format!("streamgate: {error}"))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(error),
    })?;
    let Some(report) = report else { return Ok(ExitCode::from(INTERRUPTED)) };
    write(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.page(columns()) })?;
    Ok(match report.verdict {
        _ if report.interrupted => ExitCode::from(INTERRUPTED),
        Verdict::Clean | Verdict::Inherited => ExitCode::SUCCESS,
        Verdict::Unreachable => ExitCode::FAILURE,
        Verdict::Faulty => ExitCode::from(3),
    })
}

/// Examines, with a bar on a terminal that shows how long it still takes.
async fn examine(order: &Order) -> anyhow::Result<Report> {
    let length = u64::try_from(order.duration().as_millis()).unwrap_or(u64::MAX);
    let bar = bar(length, "{wide_bar} {percent:>3}% {msg}")?;
    let told = |hop: &str| bar.set_message(format!("{hop} done"));
    let (began, mut tick) = (Instant::now(), interval(Duration::from_millis(100)));
    let mut work = pin!(order.examine(&told, interrupt()));
    let report = loop {
        tokio::select! {
            biased;
            report = &mut work => break report,
            _ = tick.tick() => {
                bar.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or(length).min(length));
            }
        }
    };
    bar.finish_and_clear();
    Ok(report?)
}
