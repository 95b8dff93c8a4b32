//! The tools of the command line, against real gateways: what they print, and how they exit.

mod bars;
mod bench;
mod comeback;
mod key;
mod pull;
mod readme;
mod tail;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::support::{Gateway, Run, run_with, within};

/// Runs a tool at a gateway to its end.
async fn tool(gateway: &Gateway, arguments: &[&str]) -> Run {
    tool_at(&format!("http://{}", gateway.public), arguments).await
}

async fn tool_at(server: &str, arguments: &[&str]) -> Run {
    run_with(Path::new("/"), arguments, &[("STREAMGATE_SERVER", server)]).await
}

/// A tool that runs.
struct Running {
    process: Child,
    out: BufReader<ChildStdout>,
    err: Lines<BufReader<ChildStderr>>,
    said: String,
    complained: String,
}

impl Running {
    fn start(server: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
        command.args(arguments).env("STREAMGATE_SERVER", server).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let err = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, out, err, said: String::new(), complained: String::new() }
    }

    /// The next line of its output.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        within("a line of the tool", self.out.read_line(&mut line)).await.unwrap();
        assert!(line.ends_with('\n'), "no line, but {line:?}");
        self.said.push_str(&line);
        line.trim_end_matches('\n').to_owned()
    }

    /// Waits for these letters, with or without a line that is whole.
    async fn letters(&mut self, letters: &str) {
        let mut bytes = vec![0; letters.len()];
        within("letters of the tool", self.out.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), letters);
        self.said.push_str(letters);
    }

    /// The next line on its standard error that has these words.
    async fn complaint(&mut self, words: &str) -> String {
        loop {
            let line = within(words, self.err.next_line()).await.unwrap().expect("a line");
            self.complained.extend([line.as_str(), "\n"]);
            if line.contains(words) {
                return line;
            }
        }
    }

    fn interrupt(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    async fn end(mut self) -> Run {
        let mut rest = String::new();
        let reading = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                self.complained.extend([line.as_str(), "\n"]);
            }
        };
        within("the tool to end", async { tokio::join!(self.out.read_to_string(&mut rest), reading) })
            .await
            .0
            .unwrap();
        self.said.push_str(&rest);
        let status = within("the tool to end", self.process.wait()).await.unwrap();
        let all = format!("{}{}", self.said, self.complained);
        Run { code: status.code(), stdout: self.said, all }
    }
}

/// What a tool makes of this on its standard input.
async fn fed(arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within("the program to end", process.wait_with_output()).await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let all = format!("{stdout}{}", String::from_utf8(output.stderr).unwrap());
    Run { code: output.status.code(), stdout, all }
}

/// A network before a server that cuts the first connection after so many bytes of its answer, and passes on all others.
struct Cutter {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Cutter {
    async fn start(server: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut passing = JoinSet::new();
            let mut left = Some(bytes);
            while let Ok((client, _)) = listener.accept().await {
                passing.spawn(pass(client, server, left.take()));
            }
        });
        Self { address, _task: task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, bytes: Option<usize>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let Some(bytes) = bytes else {
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await); // how it ends is theirs
        return;
    };
    let (mut answering, mut asking) = server.split();
    let (mut from, mut to) = client.split();
    let answer = async {
        let mut limited = (&mut answering).take(bytes as u64);
        drop(tokio::io::copy(&mut limited, &mut to).await);
    };
    tokio::select! {
        () = answer => {}
        _ = tokio::io::copy(&mut from, &mut asking) => {}
    }
}
