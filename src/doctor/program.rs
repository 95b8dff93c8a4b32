//! Which program a hop is: by the name it was given, by the headers it adds, by the pages it has of its own, or by what it does.

use std::fmt;

use http::HeaderMap;

/// The program of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Nginx,
    HaProxy,
    Varnish,
    Apache,
    Lighttpd,
    H2o,
    Nghttpx,
    TrafficServer,
    Squid,
    Privoxy,
    Mitmproxy,
    Caddy,
    Envoy,
    Traefik,
    Vite,
    Webpack,
    Next,
    Nitro,
    Hono,
    Fastify,
    Node,
    Bun,
    Workerd,
    Django,
    Python,
    Iis,
    Cloudflare,
    CloudFront,
    Alb,
    Fastly,
    FrontDoor,
    GoogleLb,
    AlibabaCdn,
    TencentCdn,
    Heroku,
}

/// A program, its name, the words that operators and `Via` or `Server` call it by, and the headers that only it sends.
type Sign = (Program, &'static str, &'static [&'static str], &'static [&'static str]);

/// Where several fit, the first does.
const SIGNS: &[Sign] = &[
    (Program::Cloudflare, "Cloudflare", &["cloudflare", "cloudflared"], &["cf-ray", "cf-cache-status"]),
    (Program::CloudFront, "CloudFront", &["cloudfront"], &["x-amz-cf-id", "x-amz-cf-pop"]),
    (Program::Fastly, "Fastly", &["fastly"], &["x-fastly-request-id", "fastly-restarts"]),
    (Program::FrontDoor, "Azure Front Door", &["frontdoor", "front-door"], &["x-azure-ref"]),
    (
        Program::AlibabaCdn,
        "Alibaba CDN",
        &["alibaba", "aliyun", "dcdn", "tengine"],
        &["eagleid", "ali-swift-global-savetime"],
    ),
    (Program::TencentCdn, "Tencent CDN", &["tencent"], &["x-nws-log-uuid"]),
    (Program::GoogleLb, "Google Cloud load balancer", &["google", "gclb"], &["x-cloud-trace-context"]),
    (Program::Alb, "AWS ALB", &["awselb", "alb"], &["x-amzn-trace-id"]),
    (Program::Heroku, "Heroku", &["heroku", "vegur", "cowboy"], &["heroku-request-id"]),
    (Program::Envoy, "Envoy", &["envoy", "istio", "istio-envoy"], &["x-envoy-upstream-service-time"]),
    (Program::Varnish, "Varnish", &["varnish"], &["x-varnish"]),
    (Program::Traefik, "Traefik", &["traefik"], &[]),
    (Program::HaProxy, "HAProxy", &["haproxy"], &[]),
    (Program::Caddy, "Caddy", &["caddy"], &[]),
    (Program::Lighttpd, "lighttpd", &["lighttpd"], &[]),
    (Program::H2o, "h2o", &["h2o"], &[]),
    (Program::Nghttpx, "nghttpx", &["nghttpx"], &[]),
    (
        Program::TrafficServer,
        "Apache Traffic Server",
        &["ats", "apachetrafficserver", "trafficserver", "traffic-server"],
        &[],
    ),
    (Program::Squid, "Squid", &["squid"], &[]),
    (Program::Privoxy, "Privoxy", &["privoxy"], &[]),
    (Program::Mitmproxy, "mitmproxy", &["mitmproxy", "mitmdump", "mitmweb"], &[]),
    (Program::Apache, "Apache", &["apache", "apache2", "httpd"], &[]),
    (Program::Iis, "IIS", &["microsoft-iis", "iis", "arr"], &["x-powered-by-arr"]),
    (
        Program::Nginx,
        "nginx",
        &["nginx", "openresty", "apisix", "kong", "ingress"],
        &["x-kong-upstream-latency"],
    ),
    (Program::Vite, "Vite", &["vite"], &[]),
    (Program::Webpack, "webpack-dev-server", &["webpack", "webpack-dev-server"], &[]),
    (Program::Next, "Next.js", &["next", "next.js", "nextjs"], &[]),
    (Program::Nitro, "Nitro", &["nitro", "nuxt"], &[]),
    (Program::Hono, "Hono", &["hono"], &[]),
    (Program::Fastify, "Fastify", &["fastify"], &[]),
    (Program::Bun, "Bun", &["bun"], &[]),
    (Program::Workerd, "workerd", &["workerd", "wrangler", "miniflare"], &[]),
    (Program::Django, "Django", &["django"], &[]),
    (
        Program::Python,
        "Python",
        &[
            "python",
            "uvicorn",
            "hypercorn",
            "gunicorn",
            "waitress",
            "flask",
            "fastapi",
            "aiohttp",
            "werkzeug",
        ],
        &[],
    ),
    (Program::Node, "Node", &["node", "express"], &[]),
];

/// The headers in which programs call themselves by their names.
const NAMING: [&str; 3] = ["server", "via", "x-powered-by"];
/// What stands in headers that several programs send, in this way only where it is this one: all of a row. Django's
/// `SecurityMiddleware`; webpack-dev-server beside its Express; Fastify's default of 72 s, and Node's of 5 s.
const MANNERS: &[(Program, &[(&str, &str)])] = &[
    (Program::Django, &[("referrer-policy", "same-origin"), ("cross-origin-opener-policy", "same-origin")]),
    (Program::Webpack, &[("x-powered-by", "express"), ("cross-origin-resource-policy", "same-origin")]),
];
const HABITS: &[(Program, &[(&str, &str)])] =
    &[(Program::Fastify, &[("keep-alive", "timeout=72")]), (Program::Node, &[("keep-alive", "timeout=5")])];
/// What stands in the pages of a program's own.
const PAGES: &[(Program, &str)] = &[
    (Program::Vite, "/@vite/client"),
    (Program::Next, "/_next/static/"),
    (Program::Nitro, "\"Cannot find any route matching "),
    (Program::Privoxy, "//config.privoxy.org/"),
];
/// A shorter word inside a longer one is a coincidence.
const TELLING: usize = 5;

impl Program {
    /// By what the hop is called: one of its words, else what is found inside them.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let part = |letter: char| !letter.is_ascii_alphanumeric();
        let words =
            || name.split(part).map(|word| word.trim_end_matches(|letter: char| letter.is_ascii_digit()));
        let spelled = |word: &&str| word.contains(part) && name.contains(*word);
        let by_word = || {
            let says =
                |word: &&str| name.split(part).any(|said| said == *word) || words().any(|said| said == *word);
            signs().filter(|(_, word)| says(word) || spelled(word)).max_by_key(|(_, word)| word.len())
        };
        let inside = || {
            let words = signs().filter(|(_, word)| word.len() >= TELLING && name.contains(word));
            words.max_by_key(|(_, word)| word.len())
        };
        by_word().or_else(inside).map(|(program, _)| program)
    }

    /// By the headers of an answer that came through it, but for those that were there before it.
    pub(super) fn of_headers(headers: &HeaderMap, inner: Option<&HeaderMap>) -> Option<Self> {
        let added = Added { headers, inner };
        let own = SIGNS.iter().find(|(_, _, _, marks)| marks.iter().any(|mark| !added.get(mark).is_empty()));
        let named = || NAMING.iter().find_map(|name| Self::of_products(&added.get(name)));
        // A `Server` that stays the same may be the hop's own as well as the inner one's: these write their own.
        let kept = || {
            let server = headers.get("server")?.to_str().ok()?.to_ascii_lowercase();
            Self::of_products(&server).filter(|program| {
                matches!(program, Self::Nginx | Self::Apache | Self::Cloudflare | Self::AlibabaCdn)
            })
        };
        own.map(|(program, ..)| *program).or_else(|| added.manner(MANNERS)).or_else(named).or_else(kept)
    }

    /// By headers that are only how it usually does things.
    pub(super) fn of_habits(headers: &HeaderMap, inner: Option<&HeaderMap>) -> Option<Self> {
        Added { headers, inner }.manner(HABITS)
    }

    /// By the text of a page that it answers with itself.
    pub(super) fn of_page(text: &str) -> Option<Self> {
        PAGES.iter().find(|(_, mark)| text.contains(mark)).map(|(program, _)| *program)
    }

    /// By the names of products in a `Server`, `Via` or `X-Powered-By`, each whole: `httpd` is not in `lighttpd/1.4.69`.
    fn of_products(value: &str) -> Option<Self> {
        let between = |letter: char| letter.is_ascii_whitespace() || matches!(letter, ',' | ';' | '(' | ')');
        let products: Vec<&str> = value.split(between).filter_map(|token| token.split('/').next()).collect();
        let said = |word: &str| {
            products.iter().any(|product| {
                // `abc.cloudfront.net` is one as well.
                *product == word || product.split('.').any(|label| label == word && label.len() >= TELLING)
            })
        };
        SIGNS.iter().find(|(_, _, words, _)| words.iter().any(|word| said(word))).map(|sign| sign.0)
    }
}

fn signs() -> impl Iterator<Item = (Program, &'static str)> {
    SIGNS.iter().flat_map(|(program, _, words, _)| words.iter().map(|word| (*program, *word)))
}

/// The headers of an answer, but for those that are the same in the answer behind it.
struct Added<'h> {
    headers: &'h HeaderMap,
    inner: Option<&'h HeaderMap>,
}

impl Added<'_> {
    /// All values under this name in lower case, if there are others than before.
    fn get(&self, name: &str) -> String {
        let values = |headers: &HeaderMap| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
        };
        let (all, before) = (values(self.headers), self.inner.map(values).unwrap_or_default());
        if all == before { String::new() } else { all }
    }

    fn manner(&self, rows: &[(Program, &[(&str, &str)])]) -> Option<Program> {
        let fits =
            |row: &&(Program, &[(&str, &str)])| row.1.iter().all(|(name, value)| self.get(name) == *value);
        rows.iter().find(fits).map(|row| row.0)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SIGNS.iter().find(|(program, ..)| program == self).map_or("", |(_, name, ..)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn headers_tell_the_program() {
        for (lines, program) in [
            (&[("server", "nginx/1.22.1")][..], Program::Nginx),
            (&[("via", "1.1 varnish (Varnish/7.1)"), ("x-varnish", "2")], Program::Varnish),
            (&[("server", "cloudflare"), ("cf-ray", "8f-FRA")], Program::Cloudflare),
            (
                &[("via", "1.1 abc.cloudfront.net (CloudFront)"), ("x-cache", "Miss from cloudfront")],
                Program::CloudFront,
            ),
            (&[("server", "Apache/2.4.71 (Debian)")], Program::Apache),
            (&[("x-powered-by", "Express")], Program::Node),
            (&[("server", "Werkzeug/3.1.9 Python/3.11.7")], Program::Python),
            (&[("server", "uvicorn")], Program::Python),
            (&[("via", "1.1 Caddy")], Program::Caddy),
            (&[("server", "envoy"), ("x-envoy-upstream-service-time", "3")], Program::Envoy),
            (&[("server", "istio-envoy")], Program::Envoy),
            (&[("server", "lighttpd/1.4.69")], Program::Lighttpd),
            (&[("server", "h2o/2.2.5")], Program::H2o),
            (&[("server", "nghttpx"), ("via", "1.1 nghttpx")], Program::Nghttpx),
            (&[("server", "ATS/9.2.9"), ("age", "0")], Program::TrafficServer),
            (
                &[("via", "http/1.1 hop (ApacheTrafficServer/9.2.5 [uScMsSf pSeN:t cCMp s ])")],
                Program::TrafficServer,
            ),
            (&[("via", "1.1 hop (squid/5.7)"), ("x-cache", "MISS from hop")], Program::Squid),
            (&[("server", "mitmproxy 12.3.1")], Program::Mitmproxy),
            (
                &[("x-powered-by", "Express"), ("cross-origin-resource-policy", "same-origin")],
                Program::Webpack,
            ),
            (&[("x-powered-by", "Next.js")], Program::Next),
            (
                &[
                    ("server", "uvicorn"),
                    ("referrer-policy", "same-origin"),
                    ("cross-origin-opener-policy", "same-origin"),
                ],
                Program::Django,
            ),
            (&[("server", "Microsoft-IIS/10.0")], Program::Iis),
            (&[("server", "Apache/2.4.71 (Unix) OpenSSL/3.0")], Program::Apache),
        ] {
            assert_eq!(Program::of_headers(&headers(lines), None), Some(program), "{lines:?}");
        }
        assert_eq!(Program::of_headers(&headers(&[("content-type", "text/event-stream")]), None), None);
    }

    #[test]
    fn a_product_is_named_by_the_whole_of_its_name() {
        for server in ["lighttpd-like/1", "mynginx/1", "Cowboys", "balbo/2", "ats-lb", "node42", "Nodejs-ish"]
        {
            assert_eq!(Program::of_headers(&headers(&[("server", server)]), None), None, "{server}");
        }
    }

    #[test]
    fn a_habit_tells_where_nothing_else_does() {
        for (value, program) in [("timeout=72", Some(Program::Fastify)), ("timeout=5", Some(Program::Node))] {
            let all = headers(&[("keep-alive", value)]);
            assert_eq!((Program::of_headers(&all, None), Program::of_habits(&all, None)), (None, program));
            assert_eq!(Program::of_habits(&all, Some(&all)), None, "it was there before");
        }
        assert_eq!(Program::of_habits(&headers(&[("keep-alive", "timeout=5, max=100")]), None), None);
    }

    #[test]
    fn a_page_of_its_own_tells_the_program() {
        for (page, program) in [
            ("<script type=\"module\" src=\"/@vite/client\"></script>", Some(Program::Vite)),
            ("<link href=\"/_next/static/chunks/a.css\">", Some(Program::Next)),
            ("{\"statusMessage\": \"Cannot find any route matching /x.\"}", Some(Program::Nitro)),
            ("{\"error\":{\"message\":\"there is no route GET /x\"}}", None),
        ] {
            assert_eq!(Program::of_page(page), program, "{page}");
        }
    }

    #[test]
    fn headers_that_were_there_before_are_another_hops() {
        let (express, through) =
            ([("x-powered-by", "Express")], [("x-powered-by", "Express"), ("via", "1.1 varnish")]);
        let inner = headers(&express);
        assert_eq!(Program::of_headers(&headers(&express), Some(&inner)), None);
        assert_eq!(Program::of_headers(&headers(&through), Some(&inner)), Some(Program::Varnish));
        let nginx = headers(&[("server", "nginx")]);
        assert_eq!(Program::of_headers(&nginx, Some(&nginx)), Some(Program::Nginx), "one behind the other");
    }

    #[test]
    fn a_name_tells_the_program() {
        assert_eq!(Program::of_name("ingress-nginx"), Some(Program::Nginx));
        assert_eq!(Program::of_name("edge-haproxy"), Some(Program::HaProxy));
        for (name, program) in [
            ("lighttpd", Program::Lighttpd),
            ("my-lighttpd-2", Program::Lighttpd),
            ("mynginx", Program::Nginx),
            ("nginx2", Program::Nginx),
            ("h2o", Program::H2o),
            ("traffic-server", Program::TrafficServer),
            ("ats1", Program::TrafficServer),
            ("webpack-dev-server", Program::Webpack),
            ("next.js", Program::Next),
            ("nuxt", Program::Nitro),
            ("bun", Program::Bun),
            ("azure-front-door", Program::FrontDoor),
            ("istio-ingressgateway", Program::Envoy),
        ] {
            assert_eq!(Program::of_name(name), Some(program), "{name}");
        }
        for name in ["gateway", "bundle", "stats", "10.0.0.1:8080", "context"] {
            assert_eq!(Program::of_name(name), None, "{name}");
        }
    }
}
