//! Servers and proxies that have no snippet: each passes everything on to one address, with the lines that a test adds.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::program::free_address;
use super::running::{Hop, folder, found, is_root};

/// lighttpd with these lines.
pub(crate) async fn lighttpd(target: SocketAddr, lines: &str) -> Hop {
    let (host, port) = (target.ip(), target.port());
    start("lighttpd", "lighttpd.conf", |folder, address, command| {
        command.args(["-D", "-f", "lighttpd.conf"]);
        format!(
            "server.modules = ( \"mod_proxy\" )\nserver.document-root = \"{}\"\nserver.bind = \"{}\"\n\
             server.port = {}\nproxy.server = ( \"\" => (( \"host\" => \"{host}\", \"port\" => {port} )) )\n{lines}\n",
            folder.display(),
            address.ip(),
            address.port()
        )
    })
    .await
}

pub(crate) async fn h2o(target: SocketAddr) -> Hop {
    start("h2o", "h2o.conf", |_, address, command| {
        command.args(["-c", "h2o.conf"]);
        let user = if is_root() { "user: root\n" } else { "" };
        format!(
            "{user}listen: {{ host: {}, port: {} }}\nnum-threads: 1\n\
             hosts: {{ default: {{ paths: {{ /: {{ proxy.reverse.url: \"http://{target}/\" }} }} }} }}\n",
            address.ip(),
            address.port()
        )
    })
    .await
}

pub(crate) async fn nghttpx(target: SocketAddr) -> Hop {
    start("nghttpx", "nghttpx.conf", |_, address, command| {
        command.args(["--conf=nghttpx.conf", "--accesslog-file=/dev/null"]);
        format!(
            "frontend={},{};no-tls\nbackend={},{}\nworkers=1\n",
            address.ip(),
            address.port(),
            target.ip(),
            target.port()
        )
    })
    .await
}

/// Squid as an accelerator.
pub(crate) async fn squid(target: SocketAddr) -> Hop {
    start("squid", "squid.conf", |_, address, command| {
        // Its shared memory has its name.
        command.args(["-N", "-n", &format!("hop{}", address.port()), "-f", "squid.conf"]);
        let user = if is_root() { "cache_effective_user proxy\n" } else { "" };
        format!(
            "{user}http_port {address} accel defaultsite=localhost no-vhost\n\
             cache_peer {} parent {} 0 no-query originserver\ncache deny all\nhttp_access allow all\n\
             visible_hostname hop\npid_filename none\naccess_log none\ncache_log stdio:/dev/null\nmemory_cache_shared off\n",
            target.ip(),
            target.port()
        )
    })
    .await
}

/// Apache Traffic Server with Debian's files, but for its cache, and these lines in `records.config`.
pub(crate) async fn traffic_server(target: SocketAddr, lines: &str) -> Hop {
    start("traffic_server", "runroot.yaml", |folder, address, command| {
        command.arg(format!("--run-root={}", folder.join("runroot.yaml").display()));
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        for entry in std::fs::read_dir("/etc/trafficserver").unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        write("storage.config", "");
        write("remap.config", &format!("map / http://{target}/\n"));
        let own = format!(
            "CONFIG proxy.config.http.server_ports STRING {}:ip-in={}\nCONFIG proxy.config.http.cache.http INT 0\n\
             CONFIG proxy.config.admin.user_id STRING #-1\nCONFIG proxy.config.exec_thread.autoconfig INT 0\n\
             CONFIG proxy.config.exec_thread.limit INT 1\n{lines}\n",
            address.port(),
            address.ip()
        );
        let set = |name: &str| own.contains(&format!("CONFIG {name} "));
        let usual = std::fs::read_to_string("/etc/trafficserver/records.config").unwrap();
        let usual = usual.lines().filter(|line| !line.split(' ').nth(1).is_some_and(set));
        write("records.config", &(usual.collect::<Vec<_>>().join("\n") + "\n" + &own));
        let here = folder.display().to_string();
        let within = ["sysconfdir", "localstatedir", "runtimedir", "logdir", "cachedir"];
        let within: String = within.iter().flat_map(|name| [*name, ": ", here.as_str(), "\n"]).collect();
        format!(
            "prefix: /\nexec_prefix: /\nbindir: /usr/bin\nsbindir: /usr/sbin\ndatadir: /usr/share/trafficserver\n\
             includedir: /usr/include\nlibdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\n{within}"
        )
    })
    .await
}

/// Starts a program whose arguments and whose file are made for the address that it is to listen at.
async fn start(
    program: &str,
    file: &str,
    configure: impl FnOnce(&Path, SocketAddr, &mut Command) -> String,
) -> Hop {
    let (folder, address) = (folder(), free_address());
    let mut command = Command::new(found(program));
    let text = configure(folder.path(), address, &mut command);
    std::fs::write(folder.path().join(file), text).unwrap();
    let hop = Hop::launch(command, address, folder);
    hop.answers().await;
    hop
}
