//! Who calls: API keys, known by their SHA-256 and looked up by it, so that neither the configuration nor the time of a look-up
//! gives one away.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, Ready, ready};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE};
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::sleep;
use tower::{Layer, Service};

use crate::edge::key::{KeyConfig, Priority, Scope};
use crate::edge::revoked::Validity;
use crate::edge::route::percent_decode;
use crate::edge::{Allowance, Endpoint, Grant, Known, Refusal, Routed, Share, Signer};
use crate::wire::Code;

/// All keys. None at all: everybody may do everything, and the gateway listens on loopback only.
#[derive(Clone, Default)]
pub struct Keys {
    callers: Arc<HashMap<[u8; 32], Caller>>,
    /// A key has used something that the other replicas do not know of.
    owes: Arc<Notify>,
    /// Where replicas count together.
    share: Option<Share>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("callers", &self.callers).finish_non_exhaustive()
    }
}

/// How long it is waited until replicas that could not be told are told again.
const AGAIN: Duration = Duration::from_millis(500);

/// Whose key it is.
#[derive(Clone, Debug)]
pub struct Caller {
    owner: Option<Arc<Owner>>,
    /// The address is signed: it opens the one stream that it names, whoever's it is.
    signed: bool,
}

#[derive(Debug)]
struct Owner {
    name: Arc<str>,
    priority: Priority,
    scopes: HashSet<Scope>,
    max_streams: Option<usize>,
    streams: Arc<AtomicUsize>,
    allowance: Arc<Allowance>,
    validity: Validity,
}

impl Caller {
    /// Everybody, where there are no keys or none is asked for.
    pub fn anyone() -> Self {
        Self { owner: None, signed: false }
    }

    /// Does the address itself allow what is asked, without a key?
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// The name of the key; `None` where there are no keys.
    pub fn name(&self) -> Option<&str> {
        self.owner.as_ref().map(|owner| &*owner.name)
    }

    /// The same, to be kept.
    pub fn key(&self) -> Option<Arc<str>> {
        self.owner.as_ref().map(|owner| Arc::clone(&owner.name))
    }

    /// A caller of weight 4 is let in four times as often as one of weight 1 while both wait.
    pub fn weight(&self) -> u32 {
        self.owner.as_ref().map_or(Priority::Normal, |owner| owner.priority).weight()
    }

    /// What the caller may use; `None`: everything.
    pub fn allowance(&self) -> Option<&Arc<Allowance>> {
        self.owner.as_ref().map(|owner| &owner.allowance)
    }

    /// Waits until the key is taken back: for ever where there is none. To be polled by one task.
    pub async fn revoked(&self) {
        match &self.owner {
            Some(owner) => owner.validity.revoked().await,
            None => pending().await,
        }
    }

    /// May the caller use this model?
    pub fn may_use(&self, model: &str) -> bool {
        self.allowance().is_none_or(|allowance| allowance.allows(model))
    }

    /// The caller's limit of streams and how many it has.
    pub(super) fn streams(&self) -> Option<(usize, &Arc<AtomicUsize>)> {
        let owner = self.owner.as_ref()?;
        Some((owner.max_streams?, &owner.streams))
    }

    fn may(&self, scopes: &[Scope]) -> bool {
        self.owner.as_ref().is_none_or(|owner| scopes.iter().any(|scope| owner.scopes.contains(scope)))
    }
}

impl Keys {
    /// `configs` have been checked. `share`: where replicas count together.
    pub fn new(configs: &[KeyConfig], share: Option<Share>) -> Self {
        Self { share, ..Self::default() }.renewed(configs)
    }

    /// Other keys. Those that stay keep what was counted of them.
    #[must_use]
    pub fn renewed(&self, configs: &[KeyConfig]) -> Self {
        let caller = |config: &KeyConfig| {
            let digest = config.digest()?;
            let before = self.callers.get(&digest).and_then(|caller| caller.owner.as_ref());
            let owner = Owner {
                name: config.name.as_str().into(),
                priority: config.priority,
                scopes: config.scopes.iter().copied().collect(),
                max_streams: config.max_streams,
                streams: before.map(|owner| Arc::clone(&owner.streams)).unwrap_or_default(),
                allowance: Arc::new(match before {
                    Some(owner) => owner.allowance.renewed(config),
                    None => Allowance::new(config, self.share.clone(), Arc::clone(&self.owes)),
                }),
                validity: before.map(|owner| owner.validity.clone()).unwrap_or_default(),
            };
            Some((digest, Caller { owner: Some(Arc::new(owner)), signed: false }))
        };
        let callers = Arc::new(configs.iter().filter_map(caller).collect());
        Self { callers, owes: Arc::clone(&self.owes), share: self.share.clone() }
    }

    /// These keys are in force no more, but others: what runs under those that are gone ends.
    pub fn give_way(&self, newer: &Self) {
        let gone = self.callers.iter().filter(|(digest, _)| !newer.callers.contains_key(*digest));
        for owner in gone.filter_map(|(_, caller)| caller.owner.as_ref()) {
            owner.validity.revoke();
        }
    }

    /// Tells the other replicas what the keys have used, for as long as the gateway runs. `newest`: the keys in force.
    pub async fn run(&self, newest: impl Fn() -> Self) {
        loop {
            self.owes.notified().await;
            while !newest().tell().await {
                sleep(AGAIN).await;
            }
        }
    }

    /// Tells the other replicas what they do not know yet. `false`: they cannot be told now.
    pub async fn tell(&self) -> bool {
        let mut told = true;
        for allowance in self.callers.values().filter_map(Caller::allowance) {
            told &= allowance.tell().await;
        }
        told
    }

    /// The same answer for a key that is missing, unknown or of another shape.
    fn caller(&self, headers: &HeaderMap, endpoint: &Endpoint) -> Option<Caller> {
        if self.callers.is_empty() {
            return Some(Caller::anyone());
        }
        let key = match key(headers) {
            Some(key) => key.to_vec(),
            None if *endpoint == Endpoint::Events => key_of_protocol(headers)?,
            None => return None,
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.callers.get(&digest).cloned()
    }
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The key that a request carries in its headers.
pub(super) fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| headers.get(X_API_KEY).map(HeaderValue::as_bytes))
}

/// What a page puts before its key where it asks for a WebSocket: a browser lets it say nothing else than protocols.
pub const KEY_PROTOCOL: &str = "streamgate.key.";

/// The key among the protocols of a WebSocket, percent-encoded as far as it must be.
fn key_of_protocol(headers: &HeaderMap) -> Option<Vec<u8>> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|value| value.split(','));
    let key = offered.find_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL))?;
    Some(percent_decode(key).into_bytes())
}

/// What an endpoint asks of a key: one of these. None at all: open to everybody.
fn scopes(endpoint: &Endpoint, method: &Method) -> &'static [Scope] {
    match endpoint {
        Endpoint::Generate(_)
        | Endpoint::CountTokens
        | Endpoint::Forward(_)
        | Endpoint::Streams
        | Endpoint::Stream(_)
        | Endpoint::CancelStream(_)
        | Endpoint::SignStream(_)
        | Endpoint::Conversation { .. }
        | Endpoint::Response(_)
        | Endpoint::CancelResponse(_) => &[Scope::Inference],
        Endpoint::Models | Endpoint::Model(_) | Endpoint::Tags | Endpoint::Running => &[Scope::Models],
        Endpoint::Channel(_) if matches!(*method, Method::POST | Method::DELETE) => &[Scope::Publish],
        Endpoint::Channel(_) | Endpoint::SignChannel(_) => &[Scope::Inference, Scope::Publish],
        Endpoint::Events => &[Scope::Inference, Scope::Models, Scope::Manage],
        Endpoint::PullTask | Endpoint::Manage(_) => &[Scope::Manage],
        Endpoint::Version | Endpoint::Root | Endpoint::Healthz | Endpoint::Readyz | Endpoint::Metrics => &[],
    }
}

/// Finds out who calls, and whether they may.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    pub keys: Keys,
    pub signer: Signer,
}

/// See [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S> {
    keys: Keys,
    signer: Signer,
    inner: S,
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { keys: self.keys.clone(), signer: self.signer.clone(), inner }
    }
}

impl<S> Auth<S> {
    fn check(&self, routed: &Routed) -> Result<Caller, Refusal> {
        let request = &routed.traced.request;
        let scopes = scopes(&routed.endpoint, request.method());
        if scopes.is_empty() {
            return Ok(Caller::anyone());
        }
        if self.is_signed(routed) {
            return Ok(Caller { owner: None, signed: true });
        }
        let caller = self.keys.caller(request.headers(), &routed.endpoint).ok_or_else(|| {
            Refusal::new(
                Code::Unauthorized,
                "a valid API key is needed: `Authorization: Bearer` or `x-api-key`",
            )
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        })?;
        if let Some(name) = caller.name() {
            routed.traced.access.caller(name);
        }
        if let Some(allowance) = caller.allowance() {
            routed.traced.standing.of(allowance);
        }
        if !caller.may(scopes) {
            return Err(Refusal::new(Code::Forbidden, "this API key may not do that"));
        }
        Ok(caller)
    }
}

impl<S> Auth<S> {
    fn is_signed(&self, routed: &Routed) -> bool {
        let request = &routed.traced.request;
        let query = request.uri().query().unwrap_or_default();
        let (stream, grant) = match &routed.endpoint {
            // The address names the record behind the channel, so that it does not open the next one of that name.
            Endpoint::Channel(_) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                let id = query.split('&').find_map(|pair| pair.strip_prefix("id="));
                (id.unwrap_or_default(), Grant::Read)
            }
            Endpoint::Stream(id) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                (id.as_str(), Grant::Read)
            }
            Endpoint::Stream(id) | Endpoint::CancelStream(id) => (id.as_str(), Grant::Cancel),
            Endpoint::Generate(_)
            | Endpoint::CountTokens
            | Endpoint::Forward(_)
            | Endpoint::Models
            | Endpoint::Model(_)
            | Endpoint::Tags
            | Endpoint::Running
            | Endpoint::Version
            | Endpoint::Root
            | Endpoint::Streams
            | Endpoint::SignStream(_)
            | Endpoint::Conversation { .. }
            | Endpoint::Response(_)
            | Endpoint::CancelResponse(_)
            | Endpoint::Channel(_)
            | Endpoint::SignChannel(_)
            | Endpoint::Events
            | Endpoint::PullTask
            | Endpoint::Manage(_)
            | Endpoint::Healthz
            | Endpoint::Readyz
            | Endpoint::Metrics => return false,
        };
        self.signer.allows(query, stream, grant)
    }
}

impl<S: Service<Known, Error = Refusal>> Service<Routed> for Auth<S> {
    type Response = S::Response;
    type Error = Refusal;
    type Future = Either<S::Future, Ready<Result<S::Response, Refusal>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed) -> Self::Future {
        match self.check(&routed) {
            Ok(caller) => Either::Left(self.inner.call(Known { caller, routed })),
            Err(refusal) => Either::Right(ready(Err(refusal.unread(routed.traced.request)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let config =
            "name = 'alice'\nsha256 = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'"; // of "secret"
        Keys::new(&[toml::from_str(config).unwrap()], None)
    }

    fn caller(name: &'static str, value: &'static str) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        keys().caller(&headers, &Endpoint::Models)
    }

    #[test]
    fn a_key_is_found_in_either_header() {
        assert_eq!(caller("authorization", "Bearer secret").unwrap().name(), Some("alice"));
        assert_eq!(caller("authorization", "bearer  secret").unwrap().name(), Some("alice"));
        assert_eq!(caller("x-api-key", "secret").unwrap().name(), Some("alice"));
        assert!(caller("x-api-key", "Secret").is_none());
        assert!(caller("authorization", "Basic secret").is_none());
        assert!(keys().caller(&HeaderMap::new(), &Endpoint::Models).is_none());
    }
}
