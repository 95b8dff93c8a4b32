//! Which program a hop is: by the name it was given, by the headers it adds, or by what it does.

use std::fmt;

use http::HeaderMap;

/// The program of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Nginx,
    HaProxy,
    Varnish,
    Apache,
    Caddy,
    Envoy,
    Traefik,
    Node,
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

/// Programs, their names, the words that operators and `Via` or `Server` call them by, and the headers that only they send.
const SIGNS: &[(Program, &str, &[&str], &[&str])] = &[
    (Program::Cloudflare, "Cloudflare", &["cloudflare"], &["cf-ray", "cf-cache-status"]),
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
    (Program::Envoy, "Envoy", &["envoy", "istio"], &["x-envoy-upstream-service-time"]),
    (Program::Varnish, "Varnish", &["varnish"], &["x-varnish"]),
    (Program::Traefik, "Traefik", &["traefik"], &[]),
    (Program::HaProxy, "HAProxy", &["haproxy"], &[]),
    (Program::Caddy, "Caddy", &["caddy"], &[]),
    (Program::Apache, "Apache", &["apache", "httpd"], &[]),
    (Program::Iis, "IIS", &["microsoft-iis", "iis", "arr/"], &["x-powered-by-arr"]),
    (
        Program::Nginx,
        "nginx",
        &["nginx", "openresty", "apisix", "kong", "ingress"],
        &["x-kong-upstream-latency"],
    ),
    (
        Program::Python,
        "Python",
        &["python", "uvicorn", "hypercorn", "gunicorn", "waitress", "flask", "fastapi", "aiohttp"],
        &[],
    ),
    (Program::Node, "Node", &["node", "express", "next.js", "vite"], &[]),
];

/// The headers in which programs call themselves by their names.
const NAMING: [&str; 3] = ["server", "via", "x-powered-by"];

impl Program {
    /// By what the hop is called.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::called(&name)
    }

    /// By the headers of an answer that came through it, but for those that were there before it.
    pub(super) fn of_headers(headers: &HeaderMap, inner: Option<&HeaderMap>) -> Option<Self> {
        let new = |name: &str| {
            let values = |headers: &HeaderMap| {
                let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
                values.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
            };
            let (all, before) = (values(headers), inner.map(values).unwrap_or_default());
            if all == before { String::new() } else { all }
        };
        let own = SIGNS.iter().find(|(_, _, _, marks)| marks.iter().any(|mark| !new(mark).is_empty()));
        let named = || NAMING.iter().find_map(|name| Self::called(&new(name)));
        // A `Server` that stays the same may be the hop's own as well as the inner one's: these write their own.
        let kept = || {
            let server = headers.get("server")?.to_str().ok()?.to_ascii_lowercase();
            Self::called(&server).filter(|program| {
                matches!(program, Self::Nginx | Self::Apache | Self::Cloudflare | Self::AlibabaCdn)
            })
        };
        own.map(|(program, ..)| *program).or_else(named).or_else(kept)
    }

    fn called(text: &str) -> Option<Self> {
        SIGNS.iter().find(|(_, _, words, _)| words.iter().any(|word| text.contains(word))).map(|sign| sign.0)
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
        ] {
            assert_eq!(Program::of_headers(&headers(lines), None), Some(program), "{lines:?}");
        }
        assert_eq!(Program::of_headers(&headers(&[("content-type", "text/event-stream")]), None), None);
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
        assert_eq!(Program::of_name("gateway"), None);
    }
}
