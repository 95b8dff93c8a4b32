//! A real program in front of the gateway, started for one test with what `streamgate snippet` prints, and killed with it.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::super::support::port::free_port;
use super::super::support::{Client, Request, run, until};

/// A program that can stand in front of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Apache,
    Caddy,
    Envoy,
    Haproxy,
    Nginx,
    Traefik,
    Varnish,
}

/// A program that runs.
pub(super) struct Hop {
    pub(super) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Varnish => "varnish",
        }
    }

    /// What it prints for itself: `more` are further arguments of `streamgate snippet`.
    pub(super) async fn snippet(self, folder: &Path, more: &[&str]) -> String {
        std::fs::write(folder.join("proxy.toml"), CONFIG).unwrap();
        let arguments = [&["snippet", self.name(), "--config", "proxy.toml"], more].concat();
        let run = run(folder, &arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.all);
        run.stdout
    }

    /// In front of these gateways.
    pub(super) async fn start(self, gateways: &[SocketAddr]) -> Hop {
        self.start_with(gateways, &[], |text| text).await
    }

    /// With further arguments for the snippet, which a test then changes.
    pub(super) async fn start_with(
        self,
        gateways: &[SocketAddr],
        more: &[&str],
        edit: impl FnOnce(String) -> String,
    ) -> Hop {
        let folder = TempDir::new().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (listen, gateways) = (address.to_string(), gateways.iter().map(ToString::to_string));
        let gateways: Vec<String> = gateways.flat_map(|gateway| ["--gateway".to_owned(), gateway]).collect();
        let mut arguments: Vec<&str> = vec!["--listen", &listen];
        arguments.extend(gateways.iter().map(String::as_str));
        arguments.extend(more);
        let text = edit(self.snippet(folder.path(), &arguments).await);
        let command = self.command(folder.path(), address, &text);
        let hop = Hop::launch(command, address, folder);
        if !more.contains(&"--certificate") {
            hop.answers().await;
        }
        hop
    }

    /// The program with this configuration in its folder.
    fn command(self, folder: &Path, address: SocketAddr, text: &str) -> Command {
        // Envoy and Traefik go by the name.
        let yaml = matches!(self, Self::Envoy | Self::Traefik);
        let file = folder.join(if yaml { "snippet.yaml" } else { "snippet.conf" });
        let text = match self {
            Self::Apache => format!("{}Listen {address}\n{text}", apache_around(folder)),
            Self::Nginx => nginx_around(folder, text),
            Self::Haproxy => format!("global\n    maxconn 1000\n\n{text}"),
            Self::Caddy | Self::Envoy | Self::Traefik | Self::Varnish => text.to_owned(),
        };
        std::fs::write(&file, &text).unwrap();
        let mut command = Command::new(found(self.binary()));
        match self {
            Self::Apache => command.args(["-D", "FOREGROUND", "-d"]).arg(folder).arg("-f").arg(file),
            Self::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file),
            Self::Envoy => command.args(["--use-dynamic-base-id", "--concurrency", "1", "-c"]).arg(file),
            Self::Haproxy => command.arg("-db").arg("-f").arg(file),
            Self::Nginx => command.arg("-p").arg(folder).args(["-e", "error.log", "-c"]).arg(file),
            // Its snippet says how it is started.
            Self::Traefik => command.args(traefik_arguments(&text, &file)),
            Self::Varnish => {
                let memory = ["-F", "-j", "none", "-s", "malloc,16m", "-a"];
                command.args(memory).arg(address.to_string()).arg("-n").arg(folder).arg("-f").arg(file)
            }
        };
        command
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Apache => "apache2",
            Self::Varnish => "varnishd",
            Self::Caddy | Self::Envoy | Self::Haproxy | Self::Nginx | Self::Traefik => self.name(),
        }
    }
}

impl Hop {
    /// Starts a program that listens at this address.
    pub(super) fn launch(mut command: Command, address: SocketAddr, folder: TempDir) -> Self {
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

    /// Waits until it passes on what the gateway answers.
    pub(super) async fn answers(&self) {
        until("the program to listen", async || {
            let Ok(mut client) = Client::try_connect(self.address).await else {
                return false;
            };
            client.try_ask(&Request::get("/healthz").header("connection", "close")).await
                && client.answer_or_close().await.is_some_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// A fresh connection to it with this request written.
    pub(super) async fn ask(&self, request: &Request) -> Client {
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
pub(super) fn found(program: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.programs/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [own, "/usr/sbin".into()].into_iter().chain(std::env::split_paths(&path));
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| program.into())
}

/// What stands around a file of `conf.d` in an `nginx.conf`.
pub(super) fn nginx_around(folder: &Path, text: &str) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {}/{name};\n", folder.display()))
        .concat();
    let user = match std::fs::metadata("/proc/self").map(|this| std::os::unix::fs::MetadataExt::uid(&this)) {
        Ok(0) => "user root;\n",
        _ => "",
    };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n\
         http {{\n    access_log off;\n{paths}{text}}}\n"
    )
}

fn apache_around(folder: &Path) -> String {
    let names = [
        "mpm_event",
        "authz_core",
        "env",
        "headers",
        "http2",
        "lbmethod_bybusyness",
        "proxy",
        "proxy_balancer",
        "proxy_http",
        "reqtimeout",
        "slotmem_shm",
        "ssl",
    ];
    let load = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let folder = folder.display();
    format!(
        "{}ServerName localhost\nPidFile {folder}/pid\nMutex file:{folder}\nDefaultRuntimeDir {folder}\n\
         ErrorLog {folder}/error.log\nUser www-data\nGroup www-data\n",
        names.map(load).concat()
    )
}

fn traefik_arguments(text: &str, file: &Path) -> Vec<OsString> {
    let line = text.lines().find_map(|line| line.strip_prefix("#   traefik ")).expect("how it is started");
    line.split(' ')
        .map(|word| match word.strip_prefix("--providers.file.filename=") {
            Some(_) => format!("--providers.file.filename={}", file.display()).into(),
            None => word.into(),
        })
        .collect()
}

/// The snippets are of the defaults.
const CONFIG: &str = "\
[[backend]]
name = \"demo\"
api = \"demo\"
[[route]]
model = \"*\"
backends = [\"demo\"]
";
