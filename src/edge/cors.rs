//! Web pages of other origins: those on the list may call, and are told so; others are refused whatever they ask.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::ready;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower::{Layer, Service};

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
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = text.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        if self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(text)) {
            From::Allowed(origin.clone())
        } else if own {
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
                let words =
                    "pages of this origin may not call the gateway; list it under `server.allowed_origins`";
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
