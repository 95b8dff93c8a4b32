//! Who calls: API keys, known by their SHA-256 and looked up by it, so that neither the configuration nor the time of a look-up
//! gives one away; and signed addresses, which open what they name without one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, Ready, ready};
use http::HeaderMap;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::sleep;
use tower::{Layer, Service};

use crate::edge::caller::Owner;
use crate::edge::credentials;
use crate::edge::key::KeyConfig;
use crate::edge::sign::{Verified, hex};
use crate::edge::{Allowance, Caller, Endpoint, Known, Parameter, Refusal, Resource, Routed, Share, Signer};
use crate::wire::Code;

/// All keys. None at all: everybody may do everything, and the gateway listens on loopback only.
#[derive(Clone, Default)]
pub struct Keys {
    owners: Arc<HashMap<[u8; 32], Arc<Owner>>>,
    /// A key has used something that the other replicas do not know of.
    owes: Arc<Notify>,
    /// Where replicas count together.
    share: Option<Share>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("owners", &self.owners).finish_non_exhaustive()
    }
}

/// How long it is waited until replicas that could not be told are told again.
const AGAIN: Duration = Duration::from_millis(500);

impl Keys {
    /// `configs` have been checked. `share`: where replicas count together.
    pub fn new(configs: &[KeyConfig], share: Option<Share>) -> Self {
        Self { share, ..Self::default() }.renewed(configs)
    }

    /// Other keys. Those that stay keep what was counted of them.
    #[must_use]
    pub fn renewed(&self, configs: &[KeyConfig]) -> Self {
        let owner = |config: &KeyConfig| {
            let digest = config.digest()?;
            let before = self.owners.get(&digest);
            let owner = Owner {
                id: owner_id(digest),
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
            Some((digest, Arc::new(owner)))
        };
        let owners = Arc::new(configs.iter().filter_map(owner).collect());
        Self { owners, owes: Arc::clone(&self.owes), share: self.share.clone() }
    }

    /// These keys are in force no more, but others: what runs under those that are gone ends.
    pub fn give_way(&self, newer: &Self) {
        let gone = self.owners.iter().filter(|(digest, _)| !newer.owners.contains_key(*digest));
        for (_, owner) in gone {
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
        for owner in self.owners.values() {
            told &= owner.allowance.tell().await;
        }
        told
    }

    /// The holder of the key that a request brings along; the same answer for a key that is missing, unknown or of another shape.
    fn holder(&self, headers: &HeaderMap, endpoint: &Endpoint) -> Result<&Arc<Owner>, Refusal> {
        let key = credentials::key(headers, *endpoint == Endpoint::Events)?;
        let digest = key.map(|key| <[u8; 32]>::from(Sha256::digest(key)));
        digest.and_then(|digest| self.owners.get(&digest)).ok_or_else(|| {
            let words = "a valid API key is needed: `Authorization: Bearer` or `x-api-key`";
            Refusal::new(Code::Unauthorized, words)
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        })
    }

    /// Who made an address, if its key is there: where there are none, nobody.
    fn maker(&self, verified: &Verified) -> Option<Maker<'_>> {
        if self.owners.is_empty() {
            return verified.is_of(None).then_some(Maker::Nobody);
        }
        self.owners.values().find(|owner| verified.is_of(Some(&owner.id))).map(Maker::Key)
    }
}

/// Who made an address.
enum Maker<'k> {
    Nobody,
    Key(&'k Arc<Owner>),
}

/// What stands for a key wherever something belongs to it: no credential, and not what the configuration says of the key.
fn owner_id(digest: [u8; 32]) -> String {
    let id = Sha256::new().chain_update(b"owner").chain_update(digest).finalize();
    hex(id.get(..16).unwrap_or_default())
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
        let scopes = routed.policy.scopes;
        if scopes.is_empty() {
            return Ok(Caller::anyone());
        }
        if let Some(caller) = self.signed(routed) {
            return Ok(caller);
        }
        if self.keys.owners.is_empty() {
            return Ok(Caller::anyone());
        }
        let owner = self.keys.holder(routed.traced.request.headers(), &routed.endpoint)?;
        routed.traced.access.caller(&owner.name, &owner.id);
        routed.traced.standing.of(&owner.allowance);
        if !owner.may(scopes) {
            return Err(Refusal::new(Code::Forbidden, "this API key may not do that"));
        }
        Ok(Caller::with_key(owner))
    }

    /// The holder of an address that was signed for what is asked. An address that is not good is as none. It opens nothing that
    /// its key may not.
    fn signed(&self, routed: &Routed) -> Option<Caller> {
        let grant = routed.policy.signed?;
        let resource = if let Endpoint::Channel(name) = &routed.endpoint {
            // The address names the record behind the channel, so that it does not open the next one of that name.
            Resource::Channel { id: routed.query.get(Parameter::Id)?, name }
        } else if let Endpoint::Stream(id) | Endpoint::CancelStream(id) = &routed.endpoint {
            Resource::Stream(id)
        } else {
            return None;
        };
        let verified = self.signer.verify(&routed.query, resource, grant)?;
        let maker = match self.keys.maker(&verified)? {
            Maker::Nobody => None,
            Maker::Key(owner) if owner.may(routed.policy.scopes) => Some(owner),
            Maker::Key(_) => return None,
        };
        Some(Caller::with_address(maker, &verified, resource))
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
    use http::header::AUTHORIZATION;

    use super::*;

    const ALICE: &str =
        "name = 'alice'\nsha256 = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'"; // of "secret"

    fn keys() -> Keys {
        Keys::new(&[toml::from_str(ALICE).unwrap()], None)
    }

    fn holder(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        keys().holder(&headers, &Endpoint::Models).ok().map(|owner| owner.name.to_string())
    }

    #[test]
    fn a_key_is_found_by_its_digest() {
        assert_eq!(holder("Bearer secret").as_deref(), Some("alice"));
        assert_eq!(holder("Bearer Secret"), None);
        assert_eq!(holder("Basic secret"), None);
    }

    #[test]
    fn what_belongs_to_a_key_belongs_to_no_other_of_its_name() {
        let other = ALICE.replace("2bb8", "2bb9");
        let id = |keys: &Keys| keys.owners.values().next().unwrap().id.clone();
        let another = Keys::new(&[toml::from_str(&other).unwrap()], None);
        assert_ne!(id(&keys()), id(&another));
        assert_eq!(id(&keys()), id(&keys().renewed(&[toml::from_str(ALICE).unwrap()])));
        assert!(!ALICE.contains(&id(&keys())), "nobody learns the digest of a key by it");
    }
}
