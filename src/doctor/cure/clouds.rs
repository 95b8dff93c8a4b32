//! Clouds and CDNs: what is to be switched there.

use crate::doctor::cure::Ill;
use crate::doctor::program::Program;

pub(super) fn lines(program: Program, ill: Ill) -> &'static [&'static str] {
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
