//! The lines that cure a fault in the program of the hop.

mod clouds;
mod frameworks;
mod proxies;

use crate::doctor::advice::REFUSES_TO_BUFFER;
use crate::doctor::judge::{Fault, Measure};
use crate::doctor::pattern::Pattern;
use crate::doctor::program::Program;
use crate::doctor::refusal::{NO_STREAM, remedy};
use crate::doctor::variant::Variant;

/// What kind of cure a fault takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Buffering,
    Compression,
    Idle,
    Lifetime,
    Abort,
    Delay,
    /// What breaks off does not come out so.
    Truncation,
}

fn ill(fault: &Fault) -> Option<Ill> {
    match fault {
        Fault::Held { when: Variant::Gzip, .. } | Fault::Members(_) => Some(Ill::Compression),
        Fault::Held { pattern: Pattern::Delayed(_), .. }
        | Fault::Held { pattern: Pattern::Lumps { .. }, measure: Some(Measure::Time), .. } => {
            Some(Ill::Delay)
        }
        Fault::Held { .. } | Fault::HeadLate | Fault::Refused { status: REFUSES_TO_BUFFER, .. } => {
            Some(Ill::Buffering)
        }
        Fault::IdleCut(_) => Some(Ill::Idle),
        Fault::LifetimeCut(_) | Fault::Cut { .. } => Some(Ill::Lifetime),
        Fault::Truncated(_) => Some(Ill::Truncation),
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
        Program::Nginx => proxies::nginx(ill),
        Program::HaProxy => proxies::haproxy(ill),
        Program::Varnish => proxies::varnish(ill),
        Program::Apache => proxies::apache(ill),
        Program::Lighttpd | Program::H2o | Program::Nghttpx | Program::TrafficServer => {
            proxies::servers(program, ill)
        }
        Program::Squid | Program::Privoxy | Program::Mitmproxy => proxies::others(program, ill),
        Program::Envoy | Program::Traefik | Program::Caddy | Program::Iis => proxies::edges(program, ill),
        Program::Vite | Program::Webpack | Program::Next | Program::Nitro | Program::Fastify => {
            frameworks::node_made(program, ill)
        }
        Program::Hono | Program::Node => frameworks::node(ill),
        Program::Bun => frameworks::bun(ill),
        Program::Workerd => &[],
        Program::Django => frameworks::django(ill),
        Program::Python => frameworks::python(ill),
        Program::Cloudflare
        | Program::CloudFront
        | Program::Alb
        | Program::Fastly
        | Program::FrontDoor
        | Program::GoogleLb
        | Program::AlibabaCdn
        | Program::TencentCdn
        | Program::Heroku => clouds::lines(program, ill),
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
        Ill::Truncation => &[
            "let the hop close its connection to the client without the last chunk (HTTP/2: RST_STREAM) when the gateway does",
            "# clients take an answer without its terminator (`[DONE]`, `message_stop`, `\"done\":true`) for one that failed",
        ],
        Ill::Abort => &["have the hop close its request to the gateway when its client closes"],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::advice::{cause, words};
    use crate::doctor::truncation::Truncation;

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
    fn a_program_has_the_line_that_was_tried_with_it() {
        let held = |when| Fault::Held { pattern: Pattern::Whole, when, measure: None };
        let (whole, gzip) = (held(Variant::Plain), held(Variant::Gzip));
        let (idle, hangs) = (Fault::IdleCut(Duration::from_secs(12)), Fault::Truncated(Truncation::Hangs));
        let hidden = Fault::Truncated(Truncation::Hidden);
        for (program, fault, line) in [
            (Program::Lighttpd, &whole, "server.stream-response-body = 1"),
            (Program::Lighttpd, &hidden, "server.stream-response-body = 1"),
            (Program::H2o, &idle, "proxy.timeout.io: 3600000"),
            (Program::Nghttpx, &idle, "backend-read-timeout=1h"),
            (Program::TrafficServer, &idle, "transaction_no_activity_timeout_out INT 3600"),
            (Program::TrafficServer, &Fault::AbortLost, "allow_half_open INT 0"),
            (Program::Privoxy, &whole, "{-filter}"),
            (Program::Mitmproxy, &whole, "stream_large_bodies=1"),
            (Program::Mitmproxy, &Fault::Truncated(Truncation::Replaced(502)), "stream_large_bodies=1"),
            (Program::Vite, &hangs, "proxyRes"),
            (Program::Webpack, &gzip, "compress: false"),
            (Program::Next, &gzip, "compress: false"),
            (Program::Next, &idle, "proxyTimeout"),
            (Program::Bun, &idle, "idleTimeout: 0"),
            (Program::Django, &gzip, "GZipMiddleware"),
            (Program::Django, &Fault::Members(8), "GZipMiddleware"),
        ] {
            let lines = cure(Some(program), fault).join("\n");
            assert!(lines.contains(line), "{program}: {line} in {lines}");
        }
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
            Fault::Truncated(Truncation::Hidden),
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
