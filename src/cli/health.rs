//! `streamgate health`: an image without a shell has nothing else to ask with.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, Overrides};
use crate::snippet::reachable;

/// Asks the admin listener of the gateway that runs with this configuration; an error if it is not well.
pub(super) fn run(file: &Path, ready: bool) -> anyhow::Result<()> {
    let config = Config::load(file, Overrides::default())?;
    let address = reachable(config.admin.listen);
    let path = if ready { "/readyz" } else { "/healthz" };
    let status = ask(address, path).with_context(|| format!("no gateway answers at {address}"))?;
    anyhow::ensure!(status == "200", "{path} of {address} answers {status}");
    writeln!(anstream::stdout(), "{address} is well")?;
    Ok(())
}

/// The status of the answer to a GET.
fn ask(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
    Ok(status.context("what answers speaks no HTTP")?.trim().to_owned())
}

const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const MOST: u64 = 4096;
