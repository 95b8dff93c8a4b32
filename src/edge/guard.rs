//! The guard against web pages of strangers: a page whose name was bound to our address (DNS rebinding) gives itself away by
//! its `Host`.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    EXPECT, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
};
use http::uri::Authority;
use http::{HeaderMap, Request};
use tower::{Layer, Service};

use crate::edge::credentials::X_API_KEY;
use crate::edge::{Refusal, Traced};
use crate::wire::Code;

/// The names by which the gateway may be called: loopback always, others by configuration.
#[derive(Clone, Debug)]
pub struct Names(Arc<[String]>);

impl Names {
    /// `listen` is the address listened on, if it is one; `allowed` names hosts, `*` all of them.
    pub fn new(listen: Option<IpAddr>, allowed: &[String]) -> Self {
        let mut names: Vec<String> = allowed.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.extend(listen.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
        Self(names.into())
    }

    /// May the gateway be called `host` (a name without its port)?
    fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare == "localhost"
            || bare.ends_with(".localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        loopback || self.0.iter().any(|name| name == "*" || *name == bare)
    }

    fn check<B>(&self, request: &Request<B>, header_bytes: usize) -> Result<(), Refusal> {
        // The parser stops at a multiple of its buffer; the limit is exact.
        let size: usize =
            request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > header_bytes {
            let words = format!("the headers are larger than {header_bytes} bytes");
            let refusal = Refusal::new(Code::InvalidRequest, words).with_status(431);
            return Err(refusal);
        }
        check_framing(request)?;
        check_single(request.headers())?;
        let host = authority(request)
            .ok_or_else(|| Refusal::new(Code::InvalidRequest, "the request needs one valid Host"))?;
        if self.allows(host.host()) {
            return Ok(());
        }
        let words = "this Host is not one of the gateway's: list it under `[server] allowed_hosts`, also a name that containers \
                     have for their host (`host.docker.internal`, `host.containers.internal`)";
        Err(Refusal::new(Code::InvalidRequest, words).with_status(421))
    }
}

/// What hyper lets pass and other hops may read otherwise (RFC 9112 section 6.3): two lengths, or a coding beside `chunked`;
/// and a target that is not ASCII (RFC 3986 section 2).
fn check_framing<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let close = |refusal: Refusal| refusal.header(CONNECTION, HeaderValue::from_static("close"));
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if headers.contains_key(CONTENT_LENGTH) {
            let words = "the request has both a Content-Length and a Transfer-Encoding";
            return Err(close(Refusal::new(Code::InvalidRequest, words)));
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
            let refusal =
                Refusal::new(Code::InvalidRequest, "the only Transfer-Encoding that is known is `chunked`")
                    .with_status(501);
            return Err(close(refusal));
        }
    }
    if !request.uri().to_string().is_ascii() {
        return Err(close(Refusal::new(Code::InvalidRequest, "the request target is not ASCII")));
    }
    Ok(())
}

/// Fields that mean one thing (RFC 9110 section 5.3): with two, one hop would look at the first and another at the last.
const SINGLE: [HeaderName; 15] = [
    AUTHORIZATION,
    X_API_KEY,
    ORIGIN,
    EXPECT,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-conversation-id"),
    HeaderName::from_static("x-keep-alive"),
    HeaderName::from_static("x-on-conflict"),
];

fn check_single(headers: &HeaderMap) -> Result<(), Refusal> {
    let twice = SINGLE.into_iter().find(|name| headers.get_all(name).iter().nth(1).is_some());
    twice.map_or(Ok(()), |name| {
        Err(Refusal::new(Code::InvalidRequest, format!("the header `{name}` stands there twice")))
    })
}

/// The host that is asked, with its port. `None` unless there is exactly one (RFC 9112 section 3.2). HTTP/1.0 knows none, and
/// is what nginx speaks to its upstreams; it sends one all the same.
pub(super) fn authority<B>(request: &Request<B>) -> Option<Authority> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?.parse::<Authority>().ok()?),
        (None, None) => None,
        _ => return None,
    };
    let authority = request.uri().authority();
    if let (Some(header), Some(authority)) = (&header, authority)
        && header != authority
    {
        return None;
    }
    header.as_ref().or(authority).filter(|authority| !authority.as_str().contains('@')).cloned()
}

/// Refuses requests for other hosts, and heads beyond the limit.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    pub names: Names,
    pub header_bytes: usize,
}

/// See [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    names: Names,
    header_bytes: usize,
    inner: S,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { names: self.names.clone(), header_bytes: self.header_bytes, inner }
    }
}

impl<S: Service<Traced, Error = Refusal>> Service<Traced> for Guard<S> {
    type Response = S::Response;
    type Error = Refusal;
    type Future = Either<S::Future, Ready<Result<S::Response, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, traced: Traced) -> Self::Future {
        match self.names.check(&traced.request, self.header_bytes) {
            Ok(()) => Either::Left(self.inner.call(traced)),
            Err(refusal) => Either::Right(ready(Err(refusal.unread(traced.request)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_always_ours_and_others_by_list() {
        let names = Names::new(Some([0, 0, 0, 0].into()), &["chat.example.org".into()]);
        for host in ["localhost:8080", "127.0.0.1", "[::1]:80", "127.9.9.9:1", "Chat.Example.ORG:443"] {
            let request = Request::builder().header(HOST, host).body(()).unwrap();
            assert!(names.check(&request, 1000).is_ok(), "{host}");
        }
        for host in ["evil.test", "localhost.evil.test", "192.0.2.1", "[2001:db8::1]"] {
            let request = Request::builder().header(HOST, host).body(()).unwrap();
            assert_eq!(names.check(&request, 1000).unwrap_err().failure.status(), 421, "{host}");
        }
        let two = Request::builder().header(HOST, "localhost").header(HOST, "localhost").body(()).unwrap();
        assert_eq!(names.check(&two, 1000).unwrap_err().failure.status(), 400);
    }
}
