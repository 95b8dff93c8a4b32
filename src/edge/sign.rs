//! Signed addresses: whoever holds one may read, or cancel, one record until it expires, for as long as the key is good that it
//! was made with. A browser's `EventSource` cannot send a key, so the address itself must say that it may (HMAC-SHA256).

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;

use crate::edge::{Parameter, Query};
use crate::telemetry::since_1970;

/// Signs addresses and knows its own signatures; a clone is a handle.
#[derive(Clone)]
pub struct Signer {
    keys: Arc<Mutex<Keys>>,
    lifetime: Duration,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// What is signed with, and what was: what a client was given is good until it expires.
struct Keys {
    now: Hmac<Sha256>,
    before: Vec<Hmac<Sha256>>,
}

/// How many earlier keys are remembered.
const BEFORE: usize = 4;

/// What a signature allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Read,
    Cancel,
}

impl Grant {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Cancel => "cancel",
        }
    }
}

/// The record that an address opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The stream of this id.
    Stream(&'a str),
    /// The channel of this id, while it goes by this name.
    Channel { id: &'a str, name: &'a str },
}

impl<'a> Resource<'a> {
    /// The id of the record.
    pub fn id(self) -> &'a str {
        match self {
            Self::Stream(id) | Self::Channel { id, .. } => id,
        }
    }

    fn kind_and_name(self) -> (&'static str, &'a str) {
        match self {
            Self::Stream(_) => ("stream", ""),
            Self::Channel { name, .. } => ("channel", name),
        }
    }
}

/// An address whose signature is good and that has not expired. Whose key made it is still to be found: [`Verified::is_of`].
pub(super) struct Verified {
    key: Hmac<Sha256>,
    owner: String,
    /// In seconds since 1970: it is good to the end of this one.
    expires: u64,
}

impl Signer {
    /// Signs with `secret`; addresses are good for `lifetime`.
    pub fn new(secret: &[u8], lifetime: Duration) -> Self {
        let keys = Keys { now: key(secret), before: Vec::new() };
        Self { keys: Arc::new(Mutex::new(keys)), lifetime }
    }

    /// Signs with another secret from now on.
    pub fn adopt(&self, secret: &[u8]) {
        let mut keys = self.keys.lock();
        let before = std::mem::replace(&mut keys.now, key(secret));
        keys.before.insert(0, before);
        keys.before.truncate(BEFORE);
    }

    /// The query that allows to do something with what belongs to `owner`, and when it expires, in seconds since 1970.
    pub fn query(&self, resource: Resource<'_>, grant: Grant, owner: Option<&str>) -> (String, u64) {
        let expires = since_1970().as_secs().saturating_add(self.lifetime.as_secs());
        let key = self.keys.lock().now.clone();
        let owner = tag(key.clone(), owner);
        let signature = hex(&mac(key, resource, grant, (&owner, expires)).finalize().into_bytes());
        (format!("expires={expires}&scope={}&owner={owner}&signature={signature}", grant.name()), expires)
    }

    /// Does the query allow to do that with the record now?
    pub(super) fn verify(&self, query: &Query, resource: Resource<'_>, grant: Grant) -> Option<Verified> {
        let signature = unhex(query.get(Parameter::Signature)?)?;
        let expires = query.number(Parameter::Expires)?;
        let owner = query.get(Parameter::Owner)?;
        if query.get(Parameter::Scope) != Some(grant.name()) || expires < since_1970().as_secs() {
            return None;
        }
        let is_ours = |key: &Hmac<Sha256>| {
            mac(key.clone(), resource, grant, (owner, expires)).verify_slice(&signature).is_ok()
        };
        let key = self.keys().find(is_ours)?;
        Some(Verified { key, owner: owner.to_owned(), expires })
    }

    fn keys(&self) -> impl Iterator<Item = Hmac<Sha256>> {
        let keys = self.keys.lock();
        let all: Vec<_> = std::iter::once(&keys.now).chain(&keys.before).cloned().collect();
        all.into_iter()
    }
}

impl Verified {
    /// Was it made with the key of this owner, or, where there are no keys, with none?
    pub(super) fn is_of(&self, owner: Option<&str>) -> bool {
        tag(self.key.clone(), owner) == self.owner
    }

    /// How long it is good from now on.
    pub(super) fn left(&self) -> Duration {
        Duration::from_secs(self.expires.saturating_add(1)).saturating_sub(since_1970())
    }
}

fn key(secret: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104 section 2).
    Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

fn mac(
    key: Hmac<Sha256>,
    resource: Resource<'_>,
    grant: Grant,
    (owner, expires): (&str, u64),
) -> Hmac<Sha256> {
    let (kind, name) = resource.kind_and_name();
    let expires = expires.to_string();
    over(key, &["address", grant.name(), kind, resource.id(), name, owner, &expires])
}

/// The owner as the address names it: a word that says nothing to who does not sign.
fn tag(key: Hmac<Sha256>, owner: Option<&str>) -> String {
    let kind = if owner.is_some() { "key" } else { "nobody" };
    let tag = over(key, &["owner", kind, owner.unwrap_or_default()]).finalize().into_bytes();
    hex(tag.get(..8).unwrap_or_default())
}

/// The lengths keep apart what could make the same text together.
fn over(key: Hmac<Sha256>, parts: &[&str]) -> Hmac<Sha256> {
    parts.iter().fold(key, |mac, part| {
        mac.chain_update((part.len() as u64).to_be_bytes()).chain_update(part.as_bytes())
    })
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn allows(signer: &Signer, query: &str, resource: Resource<'_>, grant: Grant) -> bool {
        let query = Query::of(&format!("/?{query}").parse().unwrap());
        query.is_ok_and(|query| {
            signer.verify(&query, resource, grant).is_some_and(|verified| verified.is_of(Some("alice")))
        })
    }

    #[test]
    fn a_signature_is_good_for_one_record_one_thing_one_owner_and_its_time() {
        let (signer, abc) = (Signer::new(b"secret", MINUTE), Resource::Stream("abc"));
        let (query, _) = signer.query(abc, Grant::Read, Some("alice"));
        assert!(allows(&signer, &query, abc, Grant::Read));
        assert!(allows(&signer, &format!("viewer=1&{query}&last_event_id=abc.1"), abc, Grant::Read));
        assert!(!allows(&signer, &query, Resource::Stream("abd"), Grant::Read));
        assert!(!allows(&signer, &query, abc, Grant::Cancel));
        assert!(!allows(&signer, &query.replace("scope=read", "scope=cancel"), abc, Grant::Cancel));
        assert!(!allows(&signer, &query.replace("expires=", "expires=9"), abc, Grant::Read));
        assert!(!allows(&signer, query.rsplit_once('&').unwrap().0, abc, Grant::Read));
        assert!(!allows(&Signer::new(b"other", MINUTE), &query, abc, Grant::Read));
        for other in [Some("bob"), None] {
            let (query, _) = signer.query(abc, Grant::Read, other);
            assert!(!allows(&signer, &query, abc, Grant::Read), "{other:?}");
        }
        let expired = format!("expires=1&scope=read&owner=0&signature={}", "0".repeat(64));
        assert!(!allows(&signer, &expired, abc, Grant::Read));
    }

    #[test]
    fn a_signature_of_a_channel_is_good_for_its_name_and_for_no_stream() {
        let signer = Signer::new(b"secret", MINUTE);
        let channel = |id, name| Resource::Channel { id, name };
        let (query, _) = signer.query(channel("abc", "job"), Grant::Read, Some("alice"));
        assert!(allows(&signer, &query, channel("abc", "job"), Grant::Read));
        for other in
            [channel("abc", "pay"), channel("abd", "job"), channel("ab", "cjob"), Resource::Stream("abc")]
        {
            assert!(!allows(&signer, &query, other, Grant::Read), "{other:?}");
        }
        let (query, _) = signer.query(Resource::Stream("abc"), Grant::Read, Some("alice"));
        assert!(!allows(&signer, &query, channel("abc", ""), Grant::Read));
    }

    #[test]
    fn replicas_that_share_a_secret_know_each_others_addresses() {
        let (signer, abc) = (Signer::new(b"secret", MINUTE), Resource::Stream("abc"));
        let (query, other) =
            (signer.query(abc, Grant::Read, Some("alice")).0, Signer::new(b"shared", MINUTE));
        signer.adopt(b"shared");
        assert!(allows(&signer, &query, abc, Grant::Read), "it was given before");
        assert!(allows(&signer, &other.query(abc, Grant::Read, Some("alice")).0, abc, Grant::Read));
        assert!(allows(&other, &signer.query(abc, Grant::Read, Some("alice")).0, abc, Grant::Read));
    }
}
