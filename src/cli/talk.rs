//! What the tools share that talk to a server: where it is, and how they run, speak and are interrupted.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;

use crate::client::{ClientError, Server, Transport};

/// Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Which gateway.
#[derive(Args, Debug)]
pub(super) struct At {
    /// The gateway's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "STREAMGATE_SERVER")]
    server: String,
    #[command(flatten)]
    pub(super) key: Key,
    #[command(flatten)]
    pub(super) trust: Trust,
}

/// Who asks.
#[derive(Args, Debug)]
pub(super) struct Key {
    /// The API key
    #[arg(long, value_name = "KEY", env = "STREAMGATE_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Key {
    /// An empty one is none.
    pub(super) fn get(&self) -> Option<&str> {
        self.key.as_deref().map(str::trim).filter(|key| !key.is_empty())
    }
}

impl At {
    pub(super) fn server(&self) -> Result<Server, ClientError> {
        self.server_at(&self.server)
    }

    /// The server of another address.
    pub(super) fn server_at(&self, url: &str) -> Result<Server, ClientError> {
        Server::new(url, self.key.get(), &self.trust.transport()?)
    }
}

/// Whose certificates are trusted.
#[derive(Args, Debug)]
pub(super) struct Trust {
    /// Trust the certificate authorities in this file (PEM), and no others
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Do not verify certificates
    #[arg(long)]
    insecure: bool,
}

impl Trust {
    pub(super) fn transport(&self) -> Result<Transport, ClientError> {
        let transport = Transport::default().insecure(self.insecure);
        let Some(file) = &self.cacert else { return Ok(transport) };
        let pem = std::fs::read(file)
            .map_err(|error| ClientError::Usage(format!("{} cannot be read: {error}", file.display())))?;
        transport.trusting(&pem)
    }
}

/// A time as it is typed. What is beyond a month is a slip, and beyond what clocks can hold.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time > LONGEST { Err("a time is no longer than 30 days".to_owned()) } else { Ok(time) }
}

const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Runs a tool.
pub(super) fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Resolves with Ctrl-C; never, where it cannot be heard.
pub(super) async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Says something that is no data.
pub(super) fn say(words: &str) -> io::Result<()> {
    writeln!(anstream::stderr(), "{words}")
}

/// Writes data as it is, at once.
pub(super) fn write(data: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data.as_bytes())?;
    out.flush()
}

/// Text that others wrote. A terminal does what control characters tell it, so it is not shown them.
pub(super) fn shown(text: &str) -> String {
    let lawful = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    if !io::stdout().is_terminal() || text.chars().all(lawful) {
        return text.to_owned();
    }
    text.chars().map(|letter| if lawful(letter) { letter } else { '\u{fffd}' }).collect()
}
