//! Web pages of other origins: those on the list may call, and are told so; others are refused whatever they ask.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::ready;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower::{Layer, Service};

use crate::edge::guard::authority;
use crate::edge::{Refusal, Traced};
use crate::wire::Code;

/// Answers preflights and names the origin that may read an answer.
#[derive(Clone, Debug)]
pub struct CorsLayer(pub Arc<[String]>);

/// See [`CorsLayer`].
#[derive(Clone, Debug)]
pub struct Cors<S> {
    origins: Arc<[String]>,
    inner: S,
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { origins: Arc::clone(&self.0), inner }
    }
}

/// Who asks.
enum From {
    /// No page, or a page of our own.
    Here,
    Allowed(HeaderValue),
    Stranger,
}

impl<S> Cors<S> {
    fn from<B>(&self, request: &Request<B>) -> From {
        let Some(origin) = request.headers().get(ORIGIN) else {
            return From::Here;
        };
        let text = origin.to_str().unwrap_or_default();
        if self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(text)) {
            From::Allowed(origin.clone())
        } else if is_own(text, request) {
            From::Here
        } else {
            From::Stranger
        }
    }
}

impl<S, B> Service<Traced> for Cors<S>
where
    S: Service<Traced, Response = Response<B>, Error = Refusal>,
    S::Future: Send + 'static,
    B: Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Refusal>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, traced: Traced) -> Self::Future {
        match self.from(&traced.request) {
            From::Here => Box::pin(self.inner.call(traced)),
            From::Stranger => {
                let words = "pages of this origin may not call the gateway: list it under `[server] allowed_origins`, \
                             also that of a program with a page inside (`tauri://localhost`, `app://obsidian.md`)";
                Box::pin(ready(Err(Refusal::new(Code::Forbidden, words).unread(traced.request))))
            }
            From::Allowed(origin) if is_preflight(&traced.request) => {
                Box::pin(ready(Ok(preflight(traced.request.headers(), &origin))))
            }
            From::Allowed(origin) => Box::pin(self.inner.call(traced).map(move |result| match result {
                Ok(mut response) => {
                    name(&origin, response.headers_mut());
                    Ok(response)
                }
                Err(mut refusal) => {
                    let mut headers = HeaderMap::new();
                    name(&origin, &mut headers); // a page may read why
                    refusal
                        .headers
                        .extend(headers.into_iter().filter_map(|(name, value)| Some((name?, value))));
                    Err(refusal)
                }
            })),
        }
    }
}

/// Is it the origin of the gateway itself, as its callers see it (RFC 6454 section 4)? The scheme among its extensions is that of
/// our own TLS, or what a trusted proxy says. Where neither tells, TLS may have ended at a hop in front, and either scheme is ours.
fn is_own<B>(origin: &str, request: &Request<B>) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let told = request.extensions().get::<Scheme>();
    let (Some(asked), Ok(theirs)) = (authority(request), rest.parse::<Authority>()) else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    told.is_none_or(|told| told.as_str() == scheme)
        && !rest.contains('@')
        && theirs.host().eq_ignore_ascii_case(asked.host())
        && port(&theirs) == port(&asked)
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn name(origin: &HeaderValue, headers: &mut HeaderMap) {
    const EXPOSED: &str = "x-request-id, x-dropped-fields, retry-after, x-should-retry, \
         location, stream-id, stream-resumed-after, stream-earliest-id, preference-applied";
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

fn preflight<B: Default>(asked: &HeaderMap, origin: &HeaderValue) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, DELETE"));
    // SDKs send a dozen headers of their own (`x-stainless-*`, `openai-beta`): those that are asked for are allowed.
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    name(origin, headers);
    response
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;

    fn own(origin: &str, host: &str, told: Option<Scheme>) -> bool {
        let mut request = Request::builder().header(HOST, host).body(()).unwrap();
        if let Some(scheme) = told {
            request.extensions_mut().insert(scheme);
        }
        is_own(origin, &request)
    }

    #[test]
    fn an_origin_is_own_by_its_scheme_its_host_and_its_port() {
        let https = || Some(Scheme::HTTPS);
        assert!(own("https://llm.example.org", "llm.example.org", https()));
        assert!(own("https://llm.example.org", "LLM.example.org:443", https()));
        assert!(own("https://llm.example.org:8443", "llm.example.org:8443", https()));
        assert!(own("http://[::1]:8080", "[::1]:8080", Some(Scheme::HTTP)));
        for origin in [
            "http://llm.example.org",
            "https://llm.example.org:80",
            "https://llm.example.org.evil.test",
            "https://evil.test",
            "https://u@llm.example.org",
            "ftp://llm.example.org",
            "llm.example.org",
            "null",
            "",
        ] {
            assert!(!own(origin, "llm.example.org", https()), "{origin}");
        }
        assert!(!own("https://llm.example.org", "llm.example.org", Some(Scheme::HTTP)));
    }

    #[test]
    fn without_a_word_of_the_scheme_either_is_own() {
        assert!(own("http://localhost:8080", "localhost:8080", None));
        assert!(own("https://llm.example.org", "llm.example.org", None));
        assert!(!own("https://llm.example.org", "llm.example.org:80", None));
    }

    #[test]
    fn the_authority_of_http_2_is_the_host() {
        let request = Request::builder().uri("https://llm.example.org/v1/models").body(()).unwrap();
        assert!(is_own("https://llm.example.org", &request));
        assert!(!is_own("https://evil.test", &request));
    }
}
