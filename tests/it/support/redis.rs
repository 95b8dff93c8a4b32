//! A real Redis server, started for one test and killed with it, on a port of its own. `STREAMGATE_TEST_REDIS` names another
//! program that speaks its protocol and takes its arguments: `STREAMGATE_TEST_REDIS=valkey-server cargo test --test it replicas::`.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::port::free_port;
use super::until;

pub(crate) struct Redis {
    port: u16,
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments (`--requirepass`, `secret`).
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = launch(port, &folder, &arguments);
        let redis = Self { port, process, folder, arguments };
        redis.answers().await;
        redis
    }

    /// A port where a server is started later.
    pub(crate) fn absent() -> u16 {
        free_port()
    }

    /// A server on a port that was chosen before.
    pub(crate) async fn start_on(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let process = launch(port, &folder, &[]);
        let redis = Self { port, process, folder, arguments: Vec::new() };
        redis.answers().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What `redis-cli` says to this.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask_bytes(arguments)).trim().to_owned()
    }

    pub(crate) fn ask_bytes(&self, arguments: &[&str]) -> Vec<u8> {
        let password = self.arguments.iter().skip_while(|word| *word != "--requirepass").nth(1);
        let mut command = Command::new("redis-cli");
        command.arg("-p").arg(self.port.to_string()).args(arguments);
        if let Some(password) = password {
            command.env("REDISCLI_AUTH", password);
        }
        command.output().expect("redis-cli of the package redis-server").stdout
    }

    /// Has `redis-cli` say this without waiting for the answer.
    pub(crate) fn say(&self, arguments: &[&str]) {
        let mut command = Command::new("redis-cli");
        command.arg("-p").arg(self.port.to_string()).args(arguments);
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// All keys, and all that is stored.
    pub(crate) fn dump(&self) -> Vec<u8> {
        self.ask(&["SAVE"]);
        std::fs::read(self.folder.path().join("dump.rdb")).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, empty.
    pub(crate) async fn start_again(&mut self) {
        self.process = launch(self.port, &self.folder, &self.arguments);
        self.answers().await;
    }

    async fn answers(&self) {
        until("redis-server to answer", async || self.ask(&["PING"]) == "PONG").await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed by the test.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn launch(port: u16, folder: &TempDir, arguments: &[String]) -> Child {
    let program = std::env::var_os("STREAMGATE_TEST_REDIS").unwrap_or_else(|| "redis-server".into());
    let mut command = Command::new(program);
    command.args([
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--rdbcompression",
        "no",
        "--appendonly",
        "no",
        "--enable-debug-command",
        "yes",
    ]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(folder.path()).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server: tests/setup installs it")
}
