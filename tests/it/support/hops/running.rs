//! A program that runs in front of the gateway, started for one test and killed with it.

use std::fs::{File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::super::port::free_port;
use super::super::{Client, Request, until};

/// A program that runs.
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Hop {
    /// Starts a program that listens at this address.
    pub(crate) fn launch(mut command: Command, address: SocketAddr, folder: TempDir) -> Self {
        let log = File::create(folder.path().join("log.txt")).unwrap();
        command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path());
        command.env("CADDY_ADMIN", format!("127.0.0.1:{}", free_port()));
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{error}: {:?}, which tests/setup installs", command.get_program())
        });
        Self { address, process, folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it passes on what the gateway answers.
    pub(crate) async fn answers(&self) {
        until("the program to listen", async || {
            let Ok(mut client) = Client::try_connect(self.address).await else {
                return false;
            };
            client.try_ask(&Request::get("/healthz").header("connection", "close")).await
                && client.answer_or_close().await.is_some_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// Waits until it listens, where nobody here speaks its protocol.
    pub(super) async fn listens(&self) {
        until("the program to listen", async || Client::try_connect(self.address).await.is_ok()).await;
    }

    /// A fresh connection to it with this request written.
    pub(crate) async fn ask(&self, request: &Request) -> Client {
        let mut client = Client::connect(self.address).await;
        client.ask(request).await;
        client
    }

    fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        [read("log.txt"), read("error.log")].concat()
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program in front of the gateway says:\n{}", self.log());
        }
        // With its workers.
        let group = format!("-{}", self.process.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.process.wait());
    }
}

/// Where a program is: among those of Debian, which are not all in everybody's PATH, or among those that `tests/setup` brings.
pub(crate) fn found(program: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.programs/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [own, "/usr/sbin".into()].into_iter().chain(std::env::split_paths(&path));
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| program.into())
}

/// A folder that a program may read which works for another user than it was started by.
pub(super) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Is this root, whose programs take another user for their work unless they are told otherwise?
pub(super) fn is_root() -> bool {
    let this = std::fs::metadata("/proc/self").unwrap();
    std::os::unix::fs::MetadataExt::uid(&this) == 0
}
