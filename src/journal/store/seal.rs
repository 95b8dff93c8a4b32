//! Sealing: what is stored can be read only with the key, and nothing can be put in the place of something else
//! (AES-256-GCM with a key of its own for every stream; the stream and the number of the frame are authenticated with it).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Seals what belongs to one stream, or leaves it as it is where there is no key.
pub(super) struct Seal {
    stream: String,
    key: Option<LessSafeKey>,
}

/// What was not sealed, and what was.
const PLAIN: u8 = b'0';
const SEALED: u8 = b'1';

impl Seal {
    pub(super) fn new(key: Option<&[u8; 32]>, stream: &str) -> Self {
        // A nonce is drawn for every frame: with one key for all streams it would be drawn twice some day.
        let own = key.and_then(|key| {
            let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            let own: [u8; 32] = mac.chain_update("seal ").chain_update(stream).finalize().into_bytes().into();
            Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &own).ok()?))
        });
        debug_assert_eq!(own.is_some(), key.is_some(), "32 bytes are a key");
        Self { stream: stream.into(), key: own }
    }

    /// `number`: that of the frame, 0 for what is no frame. `None`: there is no randomness.
    pub(super) fn close(&self, number: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let Some(key) = &self.key else {
            let mut out = Vec::with_capacity(bytes.len() + 1);
            out.push(PLAIN);
            out.extend_from_slice(bytes);
            return Some(out);
        };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + bytes.len() + AES_256_GCM.tag_len());
        sealed.push(SEALED);
        sealed.extend_from_slice(&nonce);
        let mut body = bytes.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.about(number), &mut body)
            .ok()?;
        sealed.append(&mut body);
        Some(sealed)
    }

    /// `None`: it is not what was stored under this number, or the key is another.
    pub(super) fn open(&self, number: u64, stored: &Bytes) -> Option<Bytes> {
        match (&self.key, stored.first()?) {
            (None, &PLAIN) => Some(stored.slice(1..)),
            (Some(key), &SEALED) => {
                let (nonce, body) = stored.get(1..)?.split_at_checked(NONCE_LEN)?;
                let mut body = body.to_vec();
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let length = key.open_in_place(nonce, self.about(number), &mut body).ok()?.len();
                body.truncate(length);
                Some(body.into())
            }
            _ => None,
        }
    }

    fn about(&self, number: u64) -> Aad<String> {
        Aad::from(format!("{} {number}", self.stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_own_place_only() {
        let seal = Seal::new(Some(&[7; 32]), "abc");
        let stored = Bytes::from(seal.close(3, b"canary").unwrap());
        assert!(!stored.windows(6).any(|window| window == b"canary"));
        assert_eq!(seal.open(3, &stored).unwrap(), "canary");
        assert_eq!(seal.open(4, &stored), None);
        assert_eq!(Seal::new(Some(&[7; 32]), "abd").open(3, &stored), None);
        assert_eq!(Seal::new(Some(&[8; 32]), "abc").open(3, &stored), None);
        assert_eq!(Seal::new(None, "abc").open(3, &stored), None);
        assert_ne!(stored, seal.close(3, b"canary").unwrap());
    }

    #[test]
    fn where_there_is_a_key_nothing_else_is_taken() {
        let plain = Bytes::from(Seal::new(None, "abc").close(1, b"x").unwrap());
        assert_eq!(Seal::new(None, "abc").open(1, &plain).unwrap(), "x");
        assert_eq!(Seal::new(Some(&[7; 32]), "abc").open(1, &plain), None);
        for junk in ["", "1", "1short", "2", "x"] {
            assert_eq!(Seal::new(Some(&[7; 32]), "abc").open(1, &Bytes::from(junk)), None);
        }
    }
}
