//! Who may read the metrics: on the admin listener they are opened by a key of their own, where there is one. Probes need none.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};
use tower::{Layer, Service};

use crate::edge::credentials::key;
use crate::edge::{Endpoint, Refusal, Routed};
use crate::wire::Code;

/// Asks for the key of the metrics; `None`: there is none. It holds the SHA-256 of the key.
#[derive(Clone, Copy, Debug)]
pub struct OperatorLayer(pub Option<[u8; 32]>);

/// See [`OperatorLayer`].
#[derive(Clone, Debug)]
pub struct Operator<S> {
    digest: Option<[u8; 32]>,
    inner: S,
}

impl<S> Layer<S> for OperatorLayer {
    type Service = Operator<S>;

    fn layer(&self, inner: S) -> Operator<S> {
        Operator { digest: self.0, inner }
    }
}

impl<S> Operator<S> {
    fn is_allowed(&self, routed: &Routed) -> bool {
        let Some(digest) = self.digest.filter(|_| routed.endpoint == Endpoint::Metrics) else { return true };
        // Digests are compared, so that the time that it takes says nothing of the key.
        let key = key(routed.traced.request.headers(), false).ok().flatten();
        key.is_some_and(|key| Sha256::digest(key)[..] == digest)
    }
}

impl<S: Service<Routed, Error = Refusal>> Service<Routed> for Operator<S> {
    type Response = S::Response;
    type Error = Refusal;
    type Future = Either<S::Future, Ready<Result<S::Response, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        if self.is_allowed(&routed) {
            return Either::Left(self.inner.call(routed));
        }
        let words = "the metrics need the key of `[admin]`: `Authorization: Bearer`";
        let refusal = Refusal::new(Code::Unauthorized, words);
        let refusal = refusal.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Either::Right(ready(Err(refusal.unread(routed.traced.request))))
    }
}
