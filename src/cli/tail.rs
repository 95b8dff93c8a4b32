//! `streamgate tail`.

use std::io;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::talk::{At, INTERRUPTED, block_on, interrupt, say, shown, write};
use crate::client::{Backoff, ClientError, Follow, Meaning, Message, Outcome, Server, Subject, Told};

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The id of a stream, `conversation:NAME`, `channel:NAME`, a path (`/v1/…`) or an address
    #[arg(value_name = "ID|URL")]
    target: String,
    #[command(flatten)]
    at: At,
    /// Begin behind this event: `<stream>.<n>`, or the number alone for the id of a stream
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,
    /// Print the events as they are sent instead of their text
    #[arg(long)]
    raw: bool,
    /// Print one JSON object an event: `id`, `event`, `data`
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Connections in a row that bring nothing before it gives up
    #[arg(long, value_name = "N", default_value_t = 10)]
    retries: u32,
}

const EXIT_CODES: &str = "\
After a cut it comes back by itself and goes on behind the last event, also when the gateway restarts meanwhile.

Exit codes: 0 ended well, 1 could not be read, 2 wrong usage, 3 the stream failed, 4 it was cancelled or \
another viewer took over, 5 events are missing that are no longer kept, 130 interrupted";

const FAILED: u8 = 3;
const CANCELLED: u8 = 4;
const LOST: u8 = 5;

/// Prints what comes until it ends.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (server, subject) = target(arguments)?;
    let after = arguments.after.clone().map(|after| match &subject {
        Subject::Stream(id) if !after.contains('.') => format!("{id}.{after}"),
        Subject::Stream(_)
        | Subject::Conversation(_)
        | Subject::Channel(_)
        | Subject::Path(_)
        | Subject::Address => after,
    });
    let mut follow = Follow::new(server, &subject, after, Backoff::new(arguments.retries))?;
    let mut page = Page::new(arguments, follow.is_channel());
    let mut interrupted = false;
    let code = block_on(async {
        tokio::select! {
            biased;
            () = interrupt() => {
                interrupted = true;
                Ok(ExitCode::from(INTERRUPTED))
            }
            code = print(&mut follow, &mut page) => code,
        }
    })?;
    if interrupted {
        page.close()?;
        if let Some(cursor) = follow.cursor() {
            say(&format!("streamgate: interrupted; `--after {cursor}` goes on from here"))?;
        }
    }
    Ok(code)
}

/// Which server, and what of it.
fn target(arguments: &Arguments) -> Result<(Server, Subject), ClientError> {
    let target = arguments.target.as_str();
    if target.starts_with("http://") || target.starts_with("https://") {
        return Ok((arguments.at.server_at(target)?, Subject::Address));
    }
    if target.rsplit(':').next().is_none_or(str::is_empty) {
        let words = "no stream is named: is a variable of the shell empty?";
        return Err(ClientError::Usage(words.to_owned()));
    }
    let subject = if let Some(name) = target.strip_prefix("conversation:") {
        Subject::Conversation(name.to_owned())
    } else if let Some(name) = target.strip_prefix("channel:") {
        Subject::Channel(name.to_owned())
    } else if target.starts_with('/') {
        Subject::Path(target.to_owned())
    } else if target.len() == 26
        && target.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        Subject::Stream(target.to_owned())
    } else {
        let words = format!(
            "`{target}` is no stream: an id has 26 letters and digits\n\n\
             hint: write `conversation:{target}` or `channel:{target}` for what has a name"
        );
        return Err(ClientError::Usage(words));
    };
    Ok((arguments.at.server()?, subject))
}

async fn print(follow: &mut Follow, page: &mut Page) -> anyhow::Result<ExitCode> {
    let mut lost = false;
    loop {
        match follow.next().await? {
            Told::Message(message, meaning) => page.print(&message, &meaning)?,
            Told::Waiting { wait, why } => {
                page.close()?;
                let from = follow.cursor().map(|cursor| format!(" behind {cursor}")).unwrap_or_default();
                say(&format!("streamgate: {why}; going on{from} in {:.1} s", wait.as_secs_f64()))?;
            }
            Told::Lost(words) => {
                lost = true;
                page.close()?;
                say(&format!("streamgate: {words}"))?;
            }
            Told::Ended(outcome) => {
                page.close()?;
                return Ok(ended(&outcome, lost)?);
            }
        }
    }
}

fn ended(outcome: &Outcome, lost: bool) -> io::Result<ExitCode> {
    let code = match outcome {
        Outcome::Done if lost => LOST,
        Outcome::Done => return Ok(ExitCode::SUCCESS),
        Outcome::Failed(why) => {
            say(&format!("streamgate: the stream failed: {why}"))?;
            FAILED
        }
        Outcome::Cancelled(why) => {
            say(&format!("streamgate: the stream was cancelled ({why})"))?;
            CANCELLED
        }
        Outcome::Displaced => {
            say("streamgate: another viewer has taken this one's place")?;
            CANCELLED
        }
        Outcome::Gone(why) => {
            say(&format!("streamgate: {why}: what was not read yet is lost"))?;
            LOST
        }
    };
    Ok(ExitCode::from(code))
}

/// How events are printed.
#[derive(Clone, Copy)]
enum Form {
    Json,
    /// As they were sent.
    Raw,
    /// The data of each, on a line of its own.
    Data,
    /// The text of the answer.
    Text,
}

struct Page {
    form: Form,
    /// The last line has no end yet.
    open: bool,
}

impl Page {
    fn new(arguments: &Arguments, is_channel: bool) -> Self {
        let form = match (arguments.json, arguments.raw) {
            (true, _) => Form::Json,
            (false, true) => Form::Raw,
            (false, false) if is_channel => Form::Data,
            (false, false) => Form::Text,
        };
        Self { form, open: false }
    }

    fn print(&mut self, message: &Message, meaning: &Meaning) -> io::Result<()> {
        let Message { id, name, data, .. } = message;
        match self.form {
            Form::Json => {
                let data = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data.as_str()));
                write(&format!("{}\n", json!({ "id": id, "event": name, "data": data })))
            }
            Form::Raw => write(&shown(&raw(message))),
            // The gateway's own word that the connection stands.
            Form::Data if name == "connected" => Ok(()),
            Form::Data => write(&shown(&format!("{data}\n"))),
            Form::Text if meaning.text.is_empty() => Ok(()),
            Form::Text => {
                self.open = !meaning.text.ends_with('\n');
                write(&shown(&meaning.text))
            }
        }
    }

    /// Ends the line of a text.
    fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) { write("\n") } else { Ok(()) }
    }
}

/// An event in the form of Server-Sent Events.
fn raw(Message { id, name, data, retry }: &Message) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| text.extend([name, ": ", value, "\n"]);
    if !id.is_empty() {
        field("id", id);
    }
    if let Some(retry) = retry {
        field("retry", &retry.as_millis().to_string());
    }
    if !matches!(name.as_str(), "" | "message") {
        field("event", name);
    }
    data.split('\n').for_each(|line| field("data", line));
    text.push('\n');
    text
}
