//! From a fault to what it is called, what it does, and the lines that cure it in the program of the hop.

use std::time::Duration;

use crate::doctor::judge::{Fault, Measure};
use crate::doctor::pattern::Pattern;
use crate::doctor::program::Program;
use crate::doctor::refusal::{NO_STREAM, remedy};
use crate::doctor::variant::Variant;

/// What a program answers that is set up to buffer and understands `Incremental`.
const REFUSES_TO_BUFFER: u16 = 501;

/// The name of a fault, for machines.
pub(super) fn cause(fault: &Fault) -> &'static str {
    match fault {
        Fault::Held { when: Variant::Gzip, .. } => "compression_buffers",
        Fault::Held { when: Variant::Get, .. } => "get_buffers",
        Fault::Held { when: Variant::Http2, .. } => "http2_buffers",
        Fault::Held { pattern, measure, .. } => match (pattern, measure) {
            (Pattern::Lumps { .. } | Pattern::Whole, Some(Measure::Bytes)) => "buffers_by_size",
            (Pattern::Lumps { .. }, Some(Measure::Time)) => "batches_by_time",
            (Pattern::Lumps { .. }, None) => "buffers",
            (Pattern::Whole, _) => "buffers_whole_answer",
            (Pattern::Behind, _) => "one_event_behind",
            (Pattern::Delayed(_) | Pattern::Prompt, _) => "delays_every_event",
        },
        Fault::HeadLate => "head_late",
        Fault::IdleCut(_) => "idle_cut",
        Fault::LifetimeCut(_) => "lifetime_cut",
        Fault::Cut { .. } => "cut",
        Fault::AbortLost => "abort_lost",
        Fault::Refused { .. } => "refused",
        Fault::NoStream { .. } => "no_stream",
        Fault::Unreachable(_) => "unreachable",
    }
}

/// What a fault does to a reader.
pub(super) fn words(fault: &Fault) -> String {
    match fault {
        Fault::Held { pattern, when, measure } => {
            let how = match (pattern, measure) {
                (Pattern::Whole, Some(Measure::Bytes)) => {
                    "fills a buffer before it hands anything on: short answers come at their end, long ones in lumps".to_owned()
                }
                (Pattern::Whole, _) => "gathers the whole answer before it hands it on".to_owned(),
                (Pattern::Lumps { bytes, .. }, Some(Measure::Bytes)) => {
                    format!("fills a buffer of about {bytes} bytes before it hands them on")
                }
                (Pattern::Lumps { held, .. }, Some(Measure::Time)) => {
                    format!("gathers events for {} before it hands them on", time(*held))
                }
                (Pattern::Lumps { bytes, events, .. }, None) => {
                    format!("hands events on in lumps of about {events} events, {bytes} bytes")
                }
                (Pattern::Behind, _) => "keeps every event until the next one comes".to_owned(),
                (Pattern::Delayed(by), _) => format!("keeps every event for {}", time(*by)),
                (Pattern::Prompt, _) => "hands events on as they come".to_owned(),
            };
            how + way(*when)
        }
        Fault::HeadLate => "keeps the head of the answer until the first event comes".to_owned(),
        Fault::IdleCut(after) => format!("cuts off a stream that is silent for about {}", time(*after)),
        Fault::LifetimeCut(after) => {
            format!("cuts off every stream about {} after it began, whatever it says", time(*after))
        }
        Fault::Cut { after, when } => format!("cuts off the stream after {}{}", time(*after), way(*when)),
        Fault::AbortLost => {
            "does not tell the gateway when a client leaves: the model works on for nobody".to_owned()
        }
        Fault::Refused { status: REFUSES_TO_BUFFER, .. } => {
            "answers with status 501: it buffers answers, and refuses this one, which must not be (`Incremental: ?1`)".to_owned()
        }
        Fault::Refused { status, when } => format!("answers with status {status}{}", way(*when)),
        Fault::NoStream { kind, when } => format!("answers with `{kind}`, which is no stream{}", way(*when)),
        Fault::Unreachable(failure) => format!("cannot be reached: {}", failure.why),
    }
}

/// With which way to ask, where not with every one.
fn way(when: Variant) -> &'static str {
    match when {
        Variant::Gzip => ", for clients that accept gzip",
        Variant::Get => ", when a stream is read by GET",
        Variant::Http2 => ", over HTTP/2",
        Variant::Plain | Variant::Early | Variant::Padded | Variant::Silence(_) | Variant::Lasting(_) => "",
    }
}

/// A time as people say it.
pub(super) fn time(time: Duration) -> String {
    match time.as_millis() {
        milliseconds @ ..1000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// What kind of cure a fault takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Buffering,
    Compression,
    Idle,
    Lifetime,
    Abort,
    Delay,
}

fn ill(fault: &Fault) -> Option<Ill> {
    match fault {
        Fault::Held { when: Variant::Gzip, .. } => Some(Ill::Compression),
        Fault::Held { pattern: Pattern::Delayed(_), .. }
        | Fault::Held { pattern: Pattern::Lumps { .. }, measure: Some(Measure::Time), .. } => {
            Some(Ill::Delay)
        }
        Fault::Held { .. } | Fault::HeadLate | Fault::Refused { status: REFUSES_TO_BUFFER, .. } => {
            Some(Ill::Buffering)
        }
        Fault::IdleCut(_) => Some(Ill::Idle),
        Fault::LifetimeCut(_) | Fault::Cut { .. } => Some(Ill::Lifetime),
        Fault::AbortLost => Some(Ill::Abort),
        Fault::Refused { .. } | Fault::NoStream { .. } | Fault::Unreachable(_) => None,
    }
}

/// The lines that cure a fault in this program, and without a program what to look for.
pub(super) fn cure(program: Option<Program>, fault: &Fault) -> Vec<&'static str> {
    let ill = match (ill(fault), fault) {
        (Some(ill), _) => ill,
        (None, Fault::Refused { status, .. }) => return remedy(program, *status).to_vec(),
        (None, Fault::Unreachable(failure)) => return vec![failure.hint],
        (None, _) => return NO_STREAM.to_vec(),
    };
    let lines = program.map_or(&[][..], |program| lines(program, ill));
    if lines.is_empty() { general(ill).to_vec() } else { lines.to_vec() }
}

fn lines(program: Program, ill: Ill) -> &'static [&'static str] {
    match program {
        Program::Nginx => nginx(ill),
        Program::HaProxy => haproxy(ill),
        Program::Varnish => varnish(ill),
        Program::Apache => apache(ill),
        Program::Node => node(ill),
        Program::Python => python(ill),
        Program::Envoy | Program::Traefik | Program::Caddy | Program::Iis => proxies(program, ill),
        Program::Cloudflare
        | Program::CloudFront
        | Program::Alb
        | Program::Fastly
        | Program::FrontDoor
        | Program::GoogleLb
        | Program::AlibabaCdn
        | Program::TencentCdn
        | Program::Heroku => clouds(program, ill),
    }
}

fn nginx(ill: Ill) -> &'static [&'static str] {
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
    }
}

fn haproxy(ill: Ill) -> &'static [&'static str] {
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
    }
}

fn varnish(ill: Ill) -> &'static [&'static str] {
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
    }
}

fn apache(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay => &[
            "# no output filter that gathers on these paths (mod_substitute, mod_ext_filter, SetOutputFilter BUFFER)",
        ],
        Ill::Compression => {
            &["SetEnv no-gzip 1", "# or take text/event-stream out of AddOutputFilterByType DEFLATE"]
        }
        Ill::Idle | Ill::Lifetime => &["ProxyTimeout 3600"],
        Ill::Abort => &["# it learns so by writing: gateway: [stream] keep_alive = \"2s\""],
    }
}

fn node(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Compression => &[
            "app.use(compression({ filter: (req, res) => !/event-stream|ndjson/.test(res.getHeader('Content-Type')) && compression.filter(req, res) }))",
            "// or res.flush() behind every write",
        ],
        Ill::Buffering | Ill::Delay => &[
            "res.flushHeaders(); upstream.pipe(res) // as it comes: no await of the whole body, no selfHandleResponse",
        ],
        Ill::Idle | Ill::Lifetime => {
            &["server.requestTimeout = 0; server.timeout = 0 // and proxyTimeout, timeout: 0 of the proxy"]
        }
        Ill::Abort => &["res.on('close', () => upstream.destroy())"],
    }
}

fn python(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering | Ill::Delay => &[
            "# hand on what comes when it comes, no `response.content` and no `await response.read()`:",
            "Response(requests.post(…, stream=True).iter_content(None))                      # Flask",
            "StreamingResponse(upstream.aiter_raw())                                         # FastAPI, httpx's stream()",
            "async for chunk in upstream.content.iter_any(): await response.write(chunk)     # aiohttp",
        ],
        Ill::Compression => {
            &["# no GZipMiddleware, Flask-Compress or enable_compression() on the paths that stream"]
        }
        Ill::Idle | Ill::Lifetime => &[
            "httpx.AsyncClient(timeout=None)                             # its default is 5 s between reads",
            "aiohttp.ClientSession(timeout=ClientTimeout(total=None))    # its default is 5 min in all",
            "gunicorn --timeout 0 --worker-class gthread                 # its default is 30 s",
        ],
        Ill::Abort => &[],
    }
}

fn proxies(program: Program, ill: Ill) -> &'static [&'static str] {
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
        (Program::Caddy, Ill::Idle | Ill::Lifetime) => &[
            "{ servers { timeouts { write 0 } } }",
            "reverse_proxy { transport http { read_timeout 0 write_timeout 0 } }",
        ],
        (Program::Iis, Ill::Compression) => &["<urlCompression doDynamicCompression=\"false\" />"],
        (Program::Iis, Ill::Buffering | Ill::Delay) => &["<proxy responseBufferLimit=\"0\" />"],
        _ => &[],
    }
}

fn clouds(program: Program, ill: Ill) -> &'static [&'static str] {
    match (program, ill) {
        (Program::Cloudflare, Ill::Buffering | Ill::Compression | Ill::Delay) => &[
            "Cache Rule for the stream's paths: Bypass cache",
            "a named tunnel instead of a quick one (cloudflared), or read the stream by POST",
        ],
        (Program::Cloudflare, Ill::Idle) => {
            &["gateway: [stream] keep_alive = \"10s\" (Cloudflare's proxy read timeout is 100 s)"]
        }
        (Program::CloudFront, Ill::Idle) => {
            &["origin response timeout: 60 s; gateway: [stream] keep_alive = \"10s\""]
        }
        (Program::CloudFront, Ill::Buffering | Ill::Compression | Ill::Delay) => {
            &["cache policy of the behaviour: CachingDisabled, Compress objects automatically: No"]
        }
        (Program::Alb, Ill::Idle) => &[
            "aws elbv2 modify-load-balancer-attributes --attributes Key=idle_timeout.timeout_seconds,Value=300 --load-balancer-arn ARN",
        ],
        (Program::GoogleLb, Ill::Idle | Ill::Lifetime) => {
            &["gcloud compute backend-services update NAME --timeout=86400 (it is the lifetime of a stream)"]
        }
        (Program::FrontDoor, Ill::Idle) => &["origin response timeout: 240 s"],
        (Program::FrontDoor, Ill::Buffering | Ill::Compression | Ill::Delay) => {
            &["route: caching and compression off"]
        }
        (Program::AlibabaCdn, Ill::Idle | Ill::Lifetime) => {
            &["origin request timeout: 60 s or more; a dynamic path rule for /v1/*"]
        }
        (Program::AlibabaCdn, Ill::Buffering | Ill::Compression | Ill::Delay) => {
            &["a dynamic path rule for /v1/*; page optimisation and gzip off for text/event-stream"]
        }
        (Program::TencentCdn, Ill::Idle | Ill::Lifetime) => &["origin load timeout: 60 s (default 10 s)"],
        (Program::Heroku, Ill::Idle) => &["gateway: [stream] keep_alive = \"10s\" (Heroku cuts at 55 s)"],
        _ => &[],
    }
}

/// What helps where the program is not known.
fn general(ill: Ill) -> &'static [&'static str] {
    match ill {
        Ill::Buffering => &[
            "nginx: proxy_buffering off;  HAProxy: no http-response wait-for-body;  Varnish: set beresp.do_stream = true",
            "turn response buffering off for text/event-stream and application/x-ndjson",
        ],
        Ill::Delay => &[
            "turn off the batching of small writes (Nagle's algorithm, flush intervals, `option http-no-delay`)",
        ],
        Ill::Compression => {
            &["leave text/event-stream uncompressed, or flush the compressor behind every event"]
        }
        Ill::Idle => &[
            "nginx: proxy_read_timeout 1h;  HAProxy: timeout server 1h, timeout client 1h;  Apache: ProxyTimeout 3600",
            "or have the gateway say something sooner: [stream] keep_alive = \"1s\"",
        ],
        Ill::Lifetime => &[
            "raise the time that one request may take: streams live for minutes; until then clients must resume (GET /v1/streams/{id})",
        ],
        Ill::Abort => &["have the hop close its request to the gateway when its client closes"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fault_has_another_cure_in_another_program() {
        let fault = Fault::IdleCut(Duration::from_secs(3));
        assert_eq!(cause(&fault), "idle_cut");
        assert!(words(&fault).contains("about 3.0 s"));
        assert!(cure(Some(Program::Nginx), &fault).contains(&"proxy_read_timeout 1h;"));
        assert!(cure(Some(Program::HaProxy), &fault).contains(&"timeout server 1h"));
        assert!(cure(None, &fault)[1].contains("keep_alive"));
    }

    #[test]
    fn every_fault_of_the_stream_has_a_cure_everywhere() {
        let held = |pattern, when, measure| Fault::Held { pattern, when, measure };
        let lumps = Pattern::Lumps { bytes: 4096, events: 16, held: Duration::from_millis(700) };
        let faults = [
            held(Pattern::Whole, Variant::Plain, None),
            held(Pattern::Whole, Variant::Gzip, None),
            held(lumps, Variant::Plain, Some(Measure::Bytes)),
            held(lumps, Variant::Plain, Some(Measure::Time)),
            held(Pattern::Delayed(Duration::from_millis(205)), Variant::Plain, None),
            Fault::HeadLate,
            Fault::LifetimeCut(Duration::from_secs(15)),
            Fault::AbortLost,
        ];
        for program in
            [None, Some(Program::Nginx), Some(Program::Python), Some(Program::Envoy), Some(Program::Heroku)]
        {
            for fault in &faults {
                assert!(!cure(program, fault).is_empty(), "{program:?}: {fault:?}");
            }
        }
    }
}
