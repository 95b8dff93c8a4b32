//! Programs as operators set them up without our snippet, wrong or right: each passes everything on to one address, with the lines
//! that a test adds.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::program::{Program, free_address};
use super::running::{Hop, folder};

/// nginx with these lines in its `location /`.
pub(crate) async fn nginx(target: SocketAddr, lines: &str) -> Hop {
    let hop = nginx_listening(target, "", lines).await;
    hop.answers().await;
    hop
}

/// The same with more behind its `listen` (`ssl http2; ssl_certificate …`).
pub(crate) async fn nginx_listening(target: SocketAddr, listen: &str, lines: &str) -> Hop {
    let hop = Program::Nginx.start_as(|address| {
        format!(
            "server {{ listen {address} {listen};\n\
             location / {{ proxy_pass http://{target}; proxy_set_header Host localhost;\n{lines}\n}} }}\n"
        )
    });
    hop.listens().await;
    hop
}

/// `HAProxy` with these lines in its `defaults`, and these in its `backend`.
pub(crate) async fn haproxy(target: SocketAddr, defaults: &str, backend: &str) -> Hop {
    let hop = Program::Haproxy.start_as(|address| {
        format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{defaults}\n\
             frontend f\n  bind {address}\n  default_backend b\nbackend b\n  server s {target}\n{backend}\n"
        )
    });
    hop.answers().await;
    hop
}

/// Varnish with these subroutines.
pub(crate) async fn varnish(target: SocketAddr, subroutines: &str) -> Hop {
    let (host, port) = (target.ip(), target.port());
    let hop = Program::Varnish.start_as(|address| {
        format!(
            "#   varnishd -a {address} -f hop.vcl\nvcl 4.1;\nbackend b {{ .host = \"{host}\"; .port = \"{port}\"; }}\n\
             sub vcl_backend_fetch {{ set bereq.http.Host = \"localhost\"; }}\n{subroutines}\n"
        )
    });
    hop.answers().await;
    hop
}

/// Apache with these lines behind its `ProxyPass`.
pub(crate) async fn apache(target: SocketAddr, lines: &str) -> Hop {
    let hop = Program::Apache.start_as(|_| format!("ProxyPass \"/\" \"http://{target}/\"\n{lines}\n"));
    hop.answers().await;
    hop
}

/// Caddy with these global options, these lines in its site and these in its `reverse_proxy`.
pub(crate) async fn caddy(target: SocketAddr, options: &str, site: &str, proxy: &str) -> Hop {
    let hop = Program::Caddy.start_as(|address| {
        format!(
            "{{\n\tadmin off\n\tauto_https off\n\t{options}\n}}\n\
             http://{address} {{\n\t{site}\n\treverse_proxy {target} {{\n\t\t{proxy}\n\t}}\n}}\n"
        )
    });
    hop.answers().await;
    hop
}

/// Envoy with these fields of its connection manager, these of its route and these filters before its router, each in YAML's flow
/// style and with a comma behind it.
pub(crate) async fn envoy(target: SocketAddr, manager: &str, route: &str, filters: &str) -> Hop {
    let kind = |name: &str| format!("\"@type\": type.googleapis.com/envoy.extensions.{name}");
    let endpoint = |address: SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
    };
    let hop = Program::Envoy.start_as(|address| {
        format!(
            "static_resources:\n  listeners:\n  - address: {listen}\n    filter_chains:\n    - filters:\n      \
             - name: envoy.filters.network.http_connection_manager\n        typed_config: {{ {manager_kind}, stat_prefix: hop,\n\
             {manager}\n\
             route_config: {{ virtual_hosts: [{{ name: all, domains: [\"*\"],\n\
             routes: [{{ match: {{ prefix: / }}, route: {{ {route} cluster: gateway }} }}] }}] }},\n\
             http_filters: [{filters}\n\
             {{ name: envoy.filters.http.router, typed_config: {{ {router_kind} }} }}] }}\n  clusters:\n  \
             - {{ name: gateway, type: STATIC, load_assignment: {{ cluster_name: gateway,\n\
             endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {target} }} }}] }}] }} }}\n",
            listen = endpoint(address),
            target = endpoint(target),
            manager_kind = kind("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            router_kind = kind("filters.http.router.v3.Router"),
        )
    });
    hop.answers().await;
    hop
}

/// Traefik with this middleware, or with none, and this in its service's `loadBalancer`; all in YAML's flow style.
pub(crate) async fn traefik(target: SocketAddr, middleware: &str, balancer: &str) -> Hop {
    let (used, middlewares) = match middleware {
        "" => ("[]", String::new()),
        middleware => ("[own]", format!("  middlewares: {{ own: {{ {middleware} }} }}\n")),
    };
    let hop = Program::Traefik.start_as(|address| {
        format!(
            "#   traefik --entryPoints.web.address={address} --providers.file.filename=hop.yaml\n\
             http:\n  routers: {{ all: {{ rule: \"PathPrefix(`/`)\", service: gateway, middlewares: {used} }} }}\n{middlewares}  \
             services: {{ gateway: {{ loadBalancer: {{ {balancer} servers: [{{ url: \"http://{target}\" }}] }} }} }}\n"
        )
    });
    hop.answers().await;
    hop
}

/// Express, with `compression` if wished, and without the `no-transform` that would keep it off streams.
pub(crate) async fn express(target: SocketAddr, compressing: bool) -> Hop {
    let target = target.port().to_string();
    node("express_hop.mjs", &[&target, if compressing { "compression" } else { "" }]).await
}

/// A script of `tests/clients` that is told the port to listen at, and then these arguments.
pub(crate) async fn node(script: &str, arguments: &[&str]) -> Hop {
    let address = free_address();
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script));
    command.arg(address.port().to_string()).args(arguments);
    let hop = Hop::launch(command, address, folder());
    hop.answers().await;
    hop
}
