//! The programs that can stand in front of the gateway, and how each is started: with what `streamgate snippet` prints, or with a
//! configuration of the test's own.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::port::free_port;
use super::super::run;
use super::running::{Hop, folder, found, is_root};

/// A program that can stand in front of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Apache,
    Caddy,
    Envoy,
    Haproxy,
    Nginx,
    Traefik,
    Varnish,
}

impl Program {
    pub(crate) const ALL: [Self; 7] =
        [Self::Apache, Self::Caddy, Self::Envoy, Self::Haproxy, Self::Nginx, Self::Traefik, Self::Varnish];

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

    /// The file that holds the certificate for it: `HAProxy` takes both from one.
    pub(crate) fn certificate(self) -> &'static str {
        if self == Self::Haproxy { "both.pem" } else { "certificate.pem" }
    }

    /// What it prints for itself: `more` are further arguments of `streamgate snippet`.
    pub(crate) async fn snippet(self, folder: &Path, more: &[&str]) -> String {
        std::fs::write(folder.join("proxy.toml"), CONFIG).unwrap();
        let arguments = [&["snippet", self.name(), "--config", "proxy.toml"], more].concat();
        let run = run(folder, &arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.all);
        run.stdout
    }

    /// In front of these gateways.
    pub(crate) async fn start(self, gateways: &[SocketAddr]) -> Hop {
        self.start_with(gateways, &[], |text| text).await
    }

    /// With further arguments for the snippet, which a test then changes.
    pub(crate) async fn start_with(
        self,
        gateways: &[SocketAddr],
        more: &[&str],
        edit: impl FnOnce(String) -> String,
    ) -> Hop {
        let (folder, address) = (folder(), free_address());
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

    /// With a configuration of the test's own, made for the address that it is to listen at.
    pub(crate) fn start_as(self, text: impl FnOnce(SocketAddr) -> String) -> Hop {
        let (folder, address) = (folder(), free_address());
        let command = self.command(folder.path(), address, &text(address));
        Hop::launch(command, address, folder)
    }

    /// The program's own check of a configuration; Traefik has none.
    pub(crate) fn check(self, folder: &Path, text: &str) -> Option<Command> {
        let file = self.write(folder, "127.0.0.1:80", text);
        let mut command = Command::new(found(self.binary()));
        match self {
            Self::Apache => command.args(["-t", "-d"]).arg(folder).arg("-f").arg(file),
            Self::Caddy => command.args(["validate", "--adapter", "caddyfile", "--config"]).arg(file),
            Self::Envoy => command.args(["--mode", "validate", "-c"]).arg(file),
            Self::Haproxy => command.arg("-c").arg("-f").arg(file),
            Self::Nginx => command.arg("-t").arg("-p").arg(folder).args(["-e", "error.log", "-c"]).arg(file),
            Self::Traefik => return None,
            Self::Varnish => command.arg("-n").arg(folder).arg("-C").arg("-f").arg(file),
        };
        command.current_dir(folder).env("HOME", folder);
        Some(command)
    }

    /// The program with this configuration in its folder.
    fn command(self, folder: &Path, address: SocketAddr, text: &str) -> Command {
        let file = self.write(folder, &address.to_string(), text);
        let mut command = Command::new(found(self.binary()));
        match self {
            Self::Apache => command.args(["-D", "FOREGROUND", "-d"]).arg(folder).arg("-f").arg(file),
            Self::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file),
            Self::Envoy => command.args(["--use-dynamic-base-id", "--concurrency", "1", "-c"]).arg(file),
            Self::Haproxy => command.arg("-db").arg("-f").arg(file),
            Self::Nginx => command.arg("-p").arg(folder).args(["-e", "error.log", "-c"]).arg(file),
            Self::Traefik => command.args(arguments(text, "traefik", &file)),
            Self::Varnish => {
                command.args(["-F", "-j", "none", "-s", "malloc,16m", "-n"]).arg(folder);
                command.args(arguments(text, "varnishd", &file))
            }
        };
        command
    }

    /// Its file, with what an installation has around the text.
    fn write(self, folder: &Path, listen: &str, text: &str) -> PathBuf {
        // Envoy and Traefik go by the name.
        let yaml = matches!(self, Self::Envoy | Self::Traefik);
        let file = folder.join(if yaml { "snippet.yaml" } else { "snippet.conf" });
        let text = match self {
            Self::Apache => format!("{}Listen {listen}\n{text}", apache_around(folder)),
            Self::Nginx => nginx_around(folder, text),
            Self::Haproxy => format!("global\n    maxconn 1000\n\n{text}"),
            Self::Caddy | Self::Envoy | Self::Traefik | Self::Varnish => text.to_owned(),
        };
        std::fs::write(&file, text).unwrap();
        file
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Apache => "apache2",
            Self::Varnish => "varnishd",
            Self::Caddy | Self::Envoy | Self::Haproxy | Self::Nginx | Self::Traefik => self.name(),
        }
    }
}

/// What stands around a file of `conf.d` in an `nginx.conf`.
pub(crate) fn nginx_around(folder: &Path, text: &str) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {}/{name};\n", folder.display()))
        .concat();
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n\
         http {{\n    access_log off;\n{paths}{text}}}\n"
    )
}

fn apache_around(folder: &Path) -> String {
    let names = [
        "mpm_event",
        "authz_core",
        "deflate",
        "env",
        "ext_filter",
        "filter",
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
    let user = if is_root() { "User www-data\nGroup www-data\n" } else { "" };
    format!(
        "{}ServerName localhost\nPidFile {folder}/pid\nMutex file:{folder}\nDefaultRuntimeDir {folder}\n\
         ErrorLog {folder}/error.log\n{user}",
        names.map(load).concat()
    )
}

/// What a snippet says that its program is started with, with this file.
fn arguments(text: &str, program: &str, file: &Path) -> Vec<OsString> {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("#   {program} ")));
    let named = |word: &str| {
        Path::new(word).extension().is_some_and(|extension| extension == "yaml" || extension == "vcl")
    };
    line.expect("how it is started")
        .split(' ')
        .map(|word| match word.split_once('=') {
            Some((option, path)) if named(path) => format!("{option}={}", file.display()).into(),
            None if named(word) => file.into(),
            _ => word.into(),
        })
        .collect()
}

pub(super) fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
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
