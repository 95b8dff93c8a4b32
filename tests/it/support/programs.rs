//! Real programs as hops before a gateway: nginx, `HAProxy`, Varnish, Apache, Caddy and Node, each started for one test with the
//! lines that the test gives it, and ended with it. `tests/setup` installs them.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::until;

pub(crate) struct Program {
    pub(crate) port: u16,
    process: Child,
    folder: TempDir,
}

impl Program {
    /// nginx before a server on this port, with these lines in its `location /`.
    pub(crate) async fn nginx(target: u16, lines: &str) -> Self {
        Self::nginx_listening(target, "", lines).await
    }

    /// The same with more behind its `listen` (`ssl http2; ssl_certificate …`).
    pub(crate) async fn nginx_listening(target: u16, listen: &str, lines: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let at = folder.path().display();
        let config = format!(
            "daemon off; worker_processes 1; user {user}; pid {at}/pid; error_log {at}/log; events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;\n\
             uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
             server {{ listen 127.0.0.1:{port} {listen};\n\
             location / {{ proxy_pass http://127.0.0.1:{target}; proxy_set_header Host localhost;\n{lines}\n}} }} }}\n",
            user = user(),
        );
        let file = write(&folder, "nginx.conf", &config);
        let log = format!("{at}/log");
        Self::start(folder, port, Command::new("nginx").args(["-e", &log, "-c", &file])).await
    }

    /// `HAProxy` with these lines in its `defaults`.
    pub(crate) async fn haproxy(target: u16, lines: &str) -> Self {
        Self::haproxy_with(target, lines, "").await
    }

    /// The same with lines in its `backend`.
    pub(crate) async fn haproxy_with(target: u16, lines: &str, backend: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let config = format!(
            "global\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{lines}\n\
             frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:{target}\n{backend}\n"
        );
        let file = write(&folder, "haproxy.cfg", &config);
        Self::start(folder, port, Command::new("haproxy").args(["-f", &file])).await
    }

    /// Varnish with these subroutines.
    pub(crate) async fn varnish(target: u16, subroutines: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let config = format!(
            "vcl 4.1;\nbackend b {{ .host = \"127.0.0.1\"; .port = \"{target}\"; }}\n\
             sub vcl_backend_fetch {{ set bereq.http.Host = \"localhost\"; }}\n{subroutines}\n"
        );
        let file = write(&folder, "hop.vcl", &config);
        let (address, work) = (format!("127.0.0.1:{port}"), format!("{}/work", folder.path().display()));
        let mut command = Command::new("varnishd");
        command.args([
            "-F",
            "-j",
            "none",
            "-T",
            "none",
            "-s",
            "malloc,32m",
            "-n",
            &work,
            "-a",
            &address,
            "-f",
            &file,
        ]);
        Self::start(folder, port, &mut command).await
    }

    /// Apache with these lines behind its `ProxyPass`.
    pub(crate) async fn apache(target: u16, lines: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let at = folder.path().display();
        let modules: String =
            ["mpm_event", "authz_core", "proxy", "proxy_http", "filter", "deflate", "env", "ext_filter"]
                .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
                .concat();
        // Run by root it takes another user for its work, run by anybody else it stays what it is.
        let user = if user() == "root" { "User www-data\nGroup www-data\n" } else { "" };
        let config = format!(
            "ServerRoot {at}\nPidFile {at}/pid\nErrorLog {at}/log\nDefaultRuntimeDir {at}\nServerName localhost\n\
             Listen 127.0.0.1:{port}\n{modules}{user}StartServers 1\nServerLimit 2\nThreadsPerChild 32\n\
             MinSpareThreads 8\nMaxSpareThreads 64\nMaxRequestWorkers 64\n\
             ProxyPass \"/\" \"http://127.0.0.1:{target}/\"\n{lines}\n"
        );
        let file = write(&folder, "apache.conf", &config);
        Self::start(folder, port, Command::new("apache2").args(["-DFOREGROUND", "-f", &file])).await
    }

    /// Caddy with these lines before its `reverse_proxy`.
    pub(crate) async fn caddy(target: u16, lines: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let config = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://127.0.0.1:{port} {{\n\t{lines}\n\treverse_proxy 127.0.0.1:{target}\n}}\n"
        );
        let file = write(&folder, "Caddyfile", &config);
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", &file]).env("HOME", folder.path());
        Self::start(folder, port, &mut command).await
    }

    /// Express before the target, with `compression` if wished, and without the `no-transform` that would keep it off streams.
    pub(crate) async fn node(target: u16, compressing: bool) -> Self {
        let port = free_port();
        let folder = folder();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/express_hop.mjs");
        let mut command = Command::new("node");
        command.arg(script).args([port.to_string(), target.to_string()]);
        if compressing {
            command.arg("compression");
        }
        Self::start(folder, port, &mut command).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn start(folder: TempDir, port: u16, command: &mut Command) -> Self {
        let log = std::fs::File::create(folder.path().join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // They live where only administrators look.
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/sbin:/sbin");
        command.env("PATH", path);
        let name = command.get_program().to_string_lossy().into_owned();
        let process =
            command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; tests/setup installs it"));
        let mut program = Self { port, process, folder };
        until(&format!("{name} to listen"), async || {
            let ended = program.process.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended with {ended:?}:\n{}", program.said());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })
        .await;
        program
    }

    fn said(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("said"), read("log"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the hop said:\n{}", self.said());
        }
        // Asked to end, a program ends its children as well.
        drop(Command::new("kill").arg(self.process.id().to_string()).status());
        drop(self.process.wait());
    }
}

/// A folder that a program may read which works for another user than it was started by.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn user() -> String {
    let name = Command::new("id").arg("-un").output().expect("the command `id`").stdout;
    String::from_utf8(name).unwrap().trim().to_owned()
}

/// A port that nobody is given by chance: below those that the system hands out, and another for every process of the tests.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = std::process::id().wrapping_mul(17) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 11_000 + u16::try_from(number % 8_000).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
