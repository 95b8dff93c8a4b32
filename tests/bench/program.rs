//! A child process that takes connections: its start, its address, its end.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio::time::timeout;

/// A child process that listens. Dropped, it is told to end: nginx would leave its worker behind if it were killed.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    child: Child,
    /// Its configuration, which goes when the program does.
    _directory: Option<TempDir>,
    /// Held open: it has more to say than its address.
    _output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Program {
    /// Starts a program that says on standard output where it listens, and reads the address there.
    pub(crate) async fn start_speaking(command: &mut Command, directory: Option<TempDir>) -> Result<Self> {
        let mut child =
            command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("start of a program")?;
        let pid = child.id().context("the program ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let address = timeout(START_WITHIN, async {
            loop {
                let line = lines.next_line().await?.context("the program ended before it listened")?;
                if let Some(address) = line.strip_prefix("listening on http://") {
                    break Ok::<SocketAddr, anyhow::Error>(address.parse()?);
                }
            }
        });
        let address = address.await.context("waited for the line `listening on …`")??;
        Ok(Self { address, pid, child, _directory: directory, _output: Some(lines) })
    }

    /// Starts a program that was told to listen on `address`, and waits until it does.
    pub(crate) async fn start_on(
        address: SocketAddr,
        command: &mut Command,
        directory: TempDir,
    ) -> Result<Self> {
        let child = command.spawn().context("start of a program")?;
        let pid = child.id().context("the program ended at once")?;
        let program = Self { address, pid, child, _directory: Some(directory), _output: None };
        let listening = timeout(START_WITHIN, async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        listening.await.context("the program does not listen")?;
        Ok(program)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        terminate(self.pid)?;
        timeout(STOP_WITHIN, self.child.wait()).await.context("the program does not end")??;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // nothing is left to do about a failure
            terminate(self.pid).unwrap_or_default();
        }
    }
}

fn terminate(pid: u32) -> Result<()> {
    let status =
        std::process::Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status()?;
    ensure!(status.success(), "cannot end process {pid}");
    Ok(())
}

const START_WITHIN: Duration = Duration::from_secs(10);
/// Longer than the gateway is given to drain.
const STOP_WITHIN: Duration = Duration::from_secs(10);
