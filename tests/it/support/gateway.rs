//! The built binary, started for one test and killed with it. Its log is shown when the test fails.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::answer::Answer;
use super::client::Client;
use super::request::Request;
use super::{until, within};

pub(crate) struct Gateway {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    process: Child,
    log: Lines,
    said: Lines,
    _readers: JoinSet<()>,
    folder: TempDir,
}

impl Gateway {
    /// Starts it with this `proxy.toml`, both listeners on ports of the system's choice.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    pub(crate) async fn start_with(config: &str, environment: &[(String, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        let command = command(folder.path());
        Self::launch(command, config, environment, folder).await
    }

    /// Starts it under a limit of its resources, as prlimit(1) writes it: `--nofile=256`, `--as=1610612736`.
    pub(crate) async fn start_limited(config: &str, limit: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = command_of("prlimit", folder.path());
        command.arg(limit).arg(env!("CARGO_BIN_EXE_streamgate"));
        Self::launch(command, config, &[], folder).await
    }

    /// Starts it with its log going to this file, which nobody reads.
    pub(crate) async fn start_logging_to(config: &str, log: impl Into<Stdio>) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = command(folder.path());
        command.stderr(log);
        Self::launch(command, config, &[], folder).await
    }

    async fn launch(
        mut command: Command,
        config: &str,
        environment: &[(String, String)],
        folder: TempDir,
    ) -> Self {
        let file = folder.path().join("proxy.toml");
        std::fs::write(&file, config).unwrap();
        command.args(["serve", "--config"]).arg(&file).envs(environment.iter().cloned());
        let mut process = command.spawn().expect("the built binary");
        let (log, said) = (Lines::default(), Lines::default());
        let mut readers = JoinSet::new();
        if let Some(stderr) = process.stderr.take() {
            readers.spawn(log.clone().fill(stderr));
        }
        readers.spawn(said.clone().fill(process.stdout.take().unwrap()));
        until("the gateway to say where it listens", async || {
            let ended = process.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the gateway ended with {ended:?}:\n{}\nits configuration:\n{config}",
                log.text()
            );
            said.address("admin on").is_some() && said.text().contains("listening on")
        })
        .await;
        // a Unix socket has none
        let public = said.address("listening on").unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let admin = said.address("admin on").unwrap();
        Self { public, admin, process, log, said, _readers: readers, folder }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.public).await
    }

    /// A fresh connection with this request written to it.
    pub(crate) async fn ask(&self, request: &Request) -> Client {
        let mut client = self.client().await;
        client.ask(request).await;
        client
    }

    /// A fresh connection with a POST written to it.
    pub(crate) async fn ask_post(&self, path: &str, body: &Value) -> Client {
        self.ask(&Request::post(path, body)).await
    }

    /// Asks and reads the head of the answer.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        self.ask(request).await.answer().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::post(path, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&Request::get(path)).await
    }

    /// The page of metrics, as text.
    pub(crate) async fn metrics(&self) -> String {
        let mut answer = self.ask_admin(&Request::get("/metrics")).await;
        assert_eq!(answer.status, 200);
        answer.text().await
    }

    /// The admin listener's answer.
    pub(crate) async fn ask_admin(&self, request: &Request) -> Answer {
        let mut client = Client::connect(self.admin).await;
        client.ask(request).await;
        client.answer().await
    }

    /// The sum of all samples of `name` that carry these labels (`reason="done"`).
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.metrics().await;
        let samples = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        samples.map(|line| line.split_whitespace().nth_back(0).unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until such a sum is at least this much.
    pub(crate) async fn metric_reaches(&self, name: &str, labels: &[&str], least: f64) {
        until(&format!("{name}{labels:?} to be {least}"), async || self.metric(name, labels).await >= least)
            .await;
    }

    /// Waits until the log has this text.
    pub(crate) async fn logged(&self, text: &str) {
        until(&format!("{text:?} in the log"), async || self.log.text().contains(text)).await;
    }

    /// The access line of the request with this id, once it is written.
    pub(crate) async fn access_line(&self, id: &str) -> String {
        let line = || {
            let log = self.log.text();
            let mut lines = log.lines().filter(|line| line.contains("access") && line.contains(id));
            lines.next().map(str::to_owned)
        };
        until(&format!("an access line with {id}"), async || line().is_some()).await;
        line().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Gives its configuration another text, in one step.
    pub(crate) fn rewrite(&self, config: &str) {
        let (next, file) = (self.folder.path().join("next.toml"), self.folder.path().join("proxy.toml"));
        std::fs::write(&next, config).unwrap();
        std::fs::rename(next, file).unwrap();
    }

    /// Writes its configuration as a program does that is at it still, or has ended before it was through.
    pub(crate) fn write_in_place(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join("proxy.toml"), bytes).unwrap();
    }

    /// What it wrote to standard output.
    pub(crate) fn said(&self) -> String {
        self.said.text()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("a process that was not waited for")
    }

    /// Sends a signal (`TERM`).
    pub(crate) fn signal(&self, name: &str) {
        let kill =
            std::process::Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(kill.expect("the command `kill`").success());
    }

    /// Stops it until it is sent `CONT`. Only one thread hears of the signal at first: what comes behind this none of them takes.
    pub(crate) async fn freeze(&self) {
        self.signal("STOP");
        until("all threads to be stopped", async || self.is_stopped()).await;
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap()).all(
            |stat| {
                let (_, state) = stat.rsplit_once(") ").unwrap();
                state.starts_with('T')
            },
        )
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        within("the gateway to end", self.process.wait()).await.unwrap()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log.text());
        }
    }
}

/// What a run of the binary that ends by itself left behind.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// Both streams: what a person at a terminal sees.
    pub(crate) all: String,
}

/// Runs the binary in this folder to its end.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Run {
    run_with(folder, arguments, &[]).await
}

/// The same with more in its environment.
pub(crate) async fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = command(folder);
    command.args(arguments).envs(environment.iter().copied());
    let output = within("the program to end", command.output()).await;
    let Output { status, stdout, stderr } = output.expect("the built binary");
    let stdout = String::from_utf8(stdout).expect("output in UTF-8");
    let stderr = String::from_utf8(stderr).expect("output in UTF-8");
    Run { code: status.code(), all: format!("{stdout}{stderr}"), stdout }
}

fn command(folder: &Path) -> Command {
    command_of(env!("CARGO_BIN_EXE_streamgate"), folder)
}

fn command_of(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("RUST_LOG").env("NO_COLOR", "1").kill_on_drop(true);
    // A proxy in the environment must make no difference: nobody listens there.
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lines of an output, shared with the task that reads them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

impl Lines {
    fn text(&self) -> String {
        self.0.lock().clone()
    }

    /// The address behind these words.
    fn address(&self, words: &str) -> Option<SocketAddr> {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(words))?;
        let (_, address) = line.trim().split_once("://")?;
        address.trim_end_matches('/').parse().ok()
    }

    async fn fill(self, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).await.unwrap_or(0) > 0 {
            self.0.lock().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
}
