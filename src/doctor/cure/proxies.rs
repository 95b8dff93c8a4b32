//! Servers and proxies: the lines of their configurations.

use crate::doctor::cure::Ill;
use crate::doctor::program::Program;

pub(super) fn nginx(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Delay => &[
            "proxy_buffering off;",
            "# and no `limit_req` that has requests wait (`nodelay`), no server in `upstream` that is tried in vain (proxy_connect_timeout)",
        ],
        Ill::Buffering => &[
            "proxy_http_version 1.1;",
            "proxy_set_header Connection \"\";",
            "proxy_buffering off;",
            "# and no `proxy_ignore_headers X-Accel-Buffering;`",
        ],
        Ill::Compression => {
            &["gzip off;", "proxy_buffering off;", "# or take text/event-stream out of gzip_types"]
        }
        Ill::Idle | Ill::Lifetime => &["proxy_read_timeout 1h;", "send_timeout 1h;"],
        Ill::Abort => &["proxy_ignore_client_abort off;", "proxy_buffering off;"],
        Ill::Truncation => &[
            "proxy_http_version 1.1;    # its default since 1.29.7: over HTTP/1.0 an answer ends with its connection, however that ends",
        ],
    }
}

pub(super) fn haproxy(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay => &[
            "option http-no-delay",
            "# and no `option http-buffer-response`, no `http-response wait-for-body`",
        ],
        Ill::Compression => &["# take text/event-stream out of `compression type`", "option http-no-delay"],
        Ill::Idle | Ill::Lifetime => &["timeout server 1h", "timeout client 1h"],
        Ill::Abort => {
            &["option abortonclose", "# in `defaults` or a `listen` section: a frontend cannot have it"]
        }
        Ill::Truncation => &[],
    }
}

pub(super) fn varnish(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay | Ill::Compression => &[
            "sub vcl_recv { if (req.url ~ \"^/(v1|api)/\") { return (pass); } }",
            "sub vcl_backend_response { set beresp.do_stream = true; set beresp.do_gzip = false; set beresp.do_esi = false; }",
        ],
        Ill::Idle | Ill::Lifetime => &[
            "sub vcl_backend_fetch { set bereq.first_byte_timeout = 1h; set bereq.between_bytes_timeout = 1h; }",
            "# varnishd -p idle_send_timeout=3600 -p send_timeout=3600",
        ],
        Ill::Abort => &["sub vcl_recv { if (req.method == \"POST\") { return (pipe); } }"],
        Ill::Truncation => &[],
    }
}

pub(super) fn apache(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay => &[
            "# no output filter that gathers on these paths (mod_substitute, mod_ext_filter, SetOutputFilter BUFFER)",
        ],
        Ill::Compression => {
            &["SetEnv no-gzip 1", "# or take text/event-stream out of AddOutputFilterByType DEFLATE"]
        }
        Ill::Idle | Ill::Lifetime => &["ProxyTimeout 3600"],
        Ill::Abort => &["# it learns so by writing: gateway: [stream] keep_alive = \"2s\""],
        Ill::Truncation => &[],
    }
}

/// lighttpd 1.4.69, h2o 2.2.5, nghttpx 1.52.0 and Apache Traffic Server 9.2.5, each of which was tried.
pub(super) fn servers(program: Program, ill: Ill) -> &'static [&'static str] {
    match (program, ill) {
        (Program::Lighttpd, Ill::Buffering | Ill::Delay | Ill::Truncation | Ill::Abort) => {
            &["server.stream-response-body = 1"]
        }
        (Program::Lighttpd, Ill::Compression) => {
            &["# take text/event-stream out of deflate.mimetypes", "server.stream-response-body = 1"]
        }
        (Program::H2o, Ill::Idle) => &["proxy.timeout.io: 3600000   # milliseconds; 30000 is its default"],
        (Program::H2o, Ill::Compression) => &["compress: OFF"],
        (Program::H2o, Ill::Truncation) => &[
            "# no setting of h2o 2.2 cures it: it writes the last chunk behind whatever broke off",
            "# clients take an answer without its terminator (`[DONE]`, `message_stop`, `\"done\":true`) for one that failed",
        ],
        (Program::Nghttpx, Ill::Idle) => &["backend-read-timeout=1h", "frontend-write-timeout=1h"],
        (Program::TrafficServer, Ill::Idle) => &[
            "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600",
            "CONFIG proxy.config.http.transaction_no_activity_timeout_in INT 3600",
        ],
        (Program::TrafficServer, Ill::Lifetime) => &[
            "CONFIG proxy.config.http.transaction_active_timeout_in INT 0    # 900 s is its default",
            "CONFIG proxy.config.http.transaction_active_timeout_out INT 0",
        ],
        (Program::TrafficServer, Ill::Abort) => &["CONFIG proxy.config.http.allow_half_open INT 0"],
        (Program::Nghttpx | Program::TrafficServer, Ill::Truncation) => LINGERS,
        _ => &[],
    }
}

/// What drops the bytes that come together with the end of a connection.
const LINGERS: &[&str] = &[
    "# what comes together with the end is dropped: is the gateway of this version? It waits 300 ms between the error and the end",
];

/// Squid 5.7, Privoxy 3.0.34 and mitmproxy 11.0.2, each of which was tried.
pub(super) fn others(program: Program, ill: Ill) -> &'static [&'static str] {
    match (program, ill) {
        (Program::Squid, Ill::Idle) => &["read_timeout 1 hour"],
        (Program::Squid, Ill::Lifetime) => &["client_lifetime 1 day"],
        (Program::Squid, Ill::Abort) => &["half_closed_clients off", "quick_abort_min 0 KB"],
        (Program::Privoxy, Ill::Buffering | Ill::Delay | Ill::Truncation) => {
            &["# in user.action, with the host of the gateway:", "{-filter}", "HOST/(v1|api)/"]
        }
        (Program::Mitmproxy, Ill::Buffering | Ill::Delay | Ill::Truncation | Ill::Abort) => {
            &["mitmproxy --set stream_large_bodies=1"]
        }
        _ => &[],
    }
}

pub(super) fn edges(program: Program, ill: Ill) -> &'static [&'static str] {
    match (program, ill) {
        (Program::Envoy, Ill::Lifetime) => &["route: { timeout: 0s }"],
        (Program::Envoy, Ill::Idle) => {
            &["route: { timeout: 0s, idle_timeout: 3600s }", "stream_idle_timeout: 0s"]
        }
        (Program::Envoy, Ill::Buffering | Ill::Delay) => &[
            "# off the route: Lua that calls `response_handle:body()`, file_system_buffer, ext_proc in BUFFERED mode",
        ],
        (Program::Envoy, Ill::Compression) => {
            &["# take text/event-stream out of the compressor's content_type"]
        }
        (Program::Traefik, Ill::Compression) => {
            &["compress: { excludedContentTypes: [\"text/event-stream\", \"application/x-ndjson\"] }"]
        }
        (Program::Traefik, Ill::Buffering) => &["# take the `buffering` middleware off the router"],
        (Program::Traefik, Ill::Delay) => {
            &["loadBalancer: { responseForwarding: { flushInterval: \"-1\" } }"]
        }
        (Program::Traefik, Ill::Idle | Ill::Lifetime) => {
            &["respondingTimeouts: { readTimeout: 0, writeTimeout: 0, idleTimeout: 3600 }"]
        }
        (Program::Caddy, Ill::Buffering | Ill::Delay) => {
            &["# no `response_buffers` in reverse_proxy (before Caddy 2.7: `buffer_responses`)"]
        }
        (Program::Caddy, Ill::Compression) => {
            &["# keep `encode` off the paths that stream: `@rest not path /v1/* /api/*`, `encode @rest gzip`"]
        }
        (Program::Caddy, Ill::Truncation) => {
            &["# Caddy 2.11 hands the break on; 2.6 ends such a stream well"]
        }
        (Program::Caddy, Ill::Idle | Ill::Lifetime) => &[
            "{ servers { timeouts { write 0 } } }",
            "reverse_proxy { transport http { read_timeout 0 write_timeout 0 } }",
        ],
        (Program::Iis, Ill::Compression) => &["<urlCompression doDynamicCompression=\"false\" />"],
        (Program::Iis, Ill::Buffering | Ill::Delay) => &["<proxy responseBufferLimit=\"0\" />"],
        _ => &[],
    }
}
