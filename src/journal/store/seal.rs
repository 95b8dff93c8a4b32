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
/// The same of what is only the beginning: there is more of it.
const PLAIN_BEGINNING: u8 = b'2';
const SEALED_BEGINNING: u8 = b'3';

/// What is stored, and where. It opens in no other place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// A frame, by its number; 0 for what is no frame.
    Whole(u64),
    /// The beginning of one that is stored in pieces.
    Beginning(u64),
    /// A further piece, by the name that the beginning gives, and its index.
    Piece { name: &'a [u8; 16], index: u64, last: bool },
    /// Whose it is.
    Owner,
    /// How it ended.
    End,
}

impl Place<'_> {
    /// What is authenticated with the stream's id.
    fn text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Beginning(number) => format!("{number} beginning"),
            Self::Piece { name, index, last } => {
                let name = u128::from_be_bytes(*name);
                format!("{name:032x} {index} {}", if last { "last" } else { "more" })
            }
            Self::Owner => "owner".into(),
            Self::End => "end".into(),
        }
    }

    /// The marks of what is in the plain here, and of what is sealed.
    fn marks(self) -> [u8; 2] {
        match self {
            Self::Beginning(_) | Self::Piece { last: false, .. } => [PLAIN_BEGINNING, SEALED_BEGINNING],
            Self::Whole(_) | Self::Piece { last: true, .. } | Self::Owner | Self::End => [PLAIN, SEALED],
        }
    }
}

/// Is there more of what is stored here? Only a mark: the seal of the place says so too.
pub(super) fn is_beginning(stored: &[u8]) -> bool {
    matches!(stored.first(), Some(&(PLAIN_BEGINNING | SEALED_BEGINNING)))
}

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

    /// Is there a key? Without one nothing that is stored is known to be ours.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// How many bytes closing adds.
    pub(super) fn adds(&self) -> usize {
        if self.has_key() { 1 + NONCE_LEN + AES_256_GCM.tag_len() } else { 1 }
    }

    /// `number`: that of the frame, 0 for what is no frame. `None`: there is no randomness.
    pub(super) fn close(&self, number: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        self.close_at(Place::Whole(number), bytes)
    }

    /// `None`: there is no randomness.
    pub(super) fn close_at(&self, place: Place<'_>, bytes: &[u8]) -> Option<Vec<u8>> {
        let [plain, marked] = place.marks();
        let Some(key) = &self.key else {
            let mut out = Vec::with_capacity(bytes.len() + 1);
            out.push(plain);
            out.extend_from_slice(bytes);
            return Some(out);
        };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + bytes.len() + AES_256_GCM.tag_len());
        sealed.push(marked);
        sealed.extend_from_slice(&nonce);
        let mut body = bytes.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.about(place), &mut body)
            .ok()?;
        sealed.append(&mut body);
        Some(sealed)
    }

    /// `None`: it is not what was stored under this number, or the key is another.
    pub(super) fn open(&self, number: u64, stored: &Bytes) -> Option<Bytes> {
        self.open_at(Place::Whole(number), stored)
    }

    /// `None`: it is not what was stored in this place, or the key is another.
    pub(super) fn open_at(&self, place: Place<'_>, stored: &Bytes) -> Option<Bytes> {
        let [plain, marked] = place.marks();
        let mark = *stored.first()?;
        match &self.key {
            None if mark == plain => Some(stored.slice(1..)),
            Some(key) if mark == marked => {
                let (nonce, body) = stored.get(1..)?.split_at_checked(NONCE_LEN)?;
                let mut body = body.to_vec();
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let length = key.open_in_place(nonce, self.about(place), &mut body).ok()?.len();
                body.truncate(length);
                Some(body.into())
            }
            None | Some(_) => None,
        }
    }

    fn about(&self, place: Place<'_>) -> Aad<String> {
        Aad::from(format!("{} {}", self.stream, place.text()))
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
        assert_eq!(stored.len(), 6 + seal.adds());
    }

    #[test]
    fn every_place_is_another() {
        let seal = Seal::new(Some(&[7; 32]), "abc");
        let (one, two) = ([1; 16], [2; 16]);
        let places = [
            Place::Whole(0),
            Place::Whole(1),
            Place::Beginning(1),
            Place::Beginning(2),
            Place::Piece { name: &one, index: 1, last: false },
            Place::Piece { name: &one, index: 1, last: true },
            Place::Piece { name: &one, index: 2, last: true },
            Place::Piece { name: &two, index: 2, last: true },
            Place::Owner,
            Place::End,
        ];
        for (at, place) in places.into_iter().enumerate() {
            let stored = Bytes::from(seal.close_at(place, b"x").unwrap());
            let opens: Vec<usize> =
                (0..places.len()).filter(|other| seal.open_at(places[*other], &stored).is_some()).collect();
            assert_eq!(opens, [at]);
        }
    }

    #[test]
    fn where_there_is_a_key_nothing_else_is_taken() {
        let plain = Bytes::from(Seal::new(None, "abc").close(1, b"x").unwrap());
        assert_eq!(Seal::new(None, "abc").open(1, &plain).unwrap(), "x");
        assert_eq!(Seal::new(Some(&[7; 32]), "abc").open(1, &plain), None);
        for place in [Place::Beginning(1), Place::Owner, Place::End] {
            assert_eq!(Seal::new(Some(&[7; 32]), "abc").open_at(place, &plain), None);
        }
        for junk in ["", "1", "1short", "2", "3", "x"] {
            assert_eq!(Seal::new(Some(&[7; 32]), "abc").open(1, &Bytes::from(junk)), None);
        }
    }
}
