//! Signed addresses: whoever holds one may read, or cancel, one stream until it expires. A browser's `EventSource` cannot send a
//! key, so the address itself must say that it may (HMAC-SHA256 over id, scope and expiry).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;

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

    /// The query that allows to do something with a stream, and when it expires, in seconds since 1970.
    pub fn query(&self, stream: &str, grant: Grant) -> (String, u64) {
        let expires = seconds().saturating_add(self.lifetime.as_secs());
        let key = self.keys.lock().now.clone();
        let signature = mac(key, stream, grant, expires).finalize().into_bytes();
        let mut query = format!("expires={expires}&scope={}&signature=", grant.name());
        query.extend(signature.iter().flat_map(|byte| {
            [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
        }));
        (query, expires)
    }

    /// Does `query` allow to do that with the stream now?
    pub fn allows(&self, query: &str, stream: &str, grant: Grant) -> bool {
        let field = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| value)
        };
        let (Some(expires), Some(signature)) = (field("expires"), field("signature")) else {
            return false;
        };
        let Ok(expires) = expires.parse::<u64>() else { return false };
        let Some(signature) = unhex(signature) else { return false };
        field("scope") == Some(grant.name())
            && expires >= seconds()
            && self.keys().any(|key| mac(key, stream, grant, expires).verify_slice(&signature).is_ok())
    }

    fn keys(&self) -> impl Iterator<Item = Hmac<Sha256>> {
        let keys = self.keys.lock();
        let all: Vec<_> = std::iter::once(&keys.now).chain(&keys.before).cloned().collect();
        all.into_iter()
    }
}

fn key(secret: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104 section 2).
    Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

fn mac(key: Hmac<Sha256>, stream: &str, grant: Grant, expires: u64) -> Hmac<Sha256> {
    key.chain_update(format!("{stream}\n{}\n{expires}", grant.name()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// By the wall clock, which other replicas share.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_stream_one_thing_and_its_time() {
        let signer = Signer::new(b"secret", Duration::from_mins(1));
        let (query, _) = signer.query("abc", Grant::Read);
        assert!(signer.allows(&query, "abc", Grant::Read));
        assert!(signer.allows(&format!("viewer=1&{query}&last_event_id=abc.1"), "abc", Grant::Read));
        assert!(!signer.allows(&query, "abd", Grant::Read));
        assert!(!signer.allows(&query, "abc", Grant::Cancel));
        assert!(!signer.allows(&query.replace("scope=read", "scope=cancel"), "abc", Grant::Cancel));
        assert!(!signer.allows(&query.replace("expires=", "expires=9"), "abc", Grant::Read));
        assert!(!signer.allows(query.rsplit_once('&').unwrap().0, "abc", Grant::Read));
        assert!(!Signer::new(b"other", Duration::from_mins(1)).allows(&query, "abc", Grant::Read));
        let (query, other) =
            (signer.query("abc", Grant::Read).0, Signer::new(b"shared", Duration::from_mins(1)));
        signer.adopt(b"shared");
        assert!(signer.allows(&query, "abc", Grant::Read), "it was given before");
        assert!(signer.allows(&other.query("abc", Grant::Read).0, "abc", Grant::Read));
        assert!(other.allows(&signer.query("abc", Grant::Read).0, "abc", Grant::Read));
        let expired = format!("expires=1&scope=read&signature={}", "0".repeat(64));
        assert!(!signer.allows(&expired, "abc", Grant::Read));
    }
}
