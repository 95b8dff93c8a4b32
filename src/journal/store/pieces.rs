//! A value that is too large to be stored at once, put together from its pieces. The beginning stands in the place of the value,
//! and gives the name by which its other pieces are known.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::journal::store::seal::{Place, Seal, is_beginning};

/// What a beginning calls its pieces.
pub(super) type Name = [u8; 16];

/// A value as far as it has come.
#[derive(Debug)]
pub(super) struct Assembly {
    name: Name,
    /// The index of the next piece.
    next: u64,
    bytes: BytesMut,
}

/// What stands in the place of a value.
#[derive(Debug)]
pub(super) enum Stored {
    Whole(Bytes),
    Beginning(Assembly),
}

/// How large a value may be that somebody else has put together: nothing of ours comes near it.
const LARGEST: usize = 256 << 20;

/// The name of the pieces of what has one writer: each number is written once.
pub(super) fn name_of(number: u64) -> Name {
    u128::from(number).to_be_bytes()
}

impl Seal {
    /// The beginning of the value of a place. `None`: there is no randomness.
    pub(super) fn begin(&self, number: u64, name: &Name, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut begun = Vec::with_capacity(name.len() + bytes.len());
        begun.put_slice(name);
        begun.put_slice(bytes);
        self.close_at(Place::Beginning(number), &begun)
    }

    /// One of the pieces of the value of a place, the beginning or another. `None`: there is no randomness.
    pub(super) fn piece(&self, number: u64, (index, last): (u64, bool), bytes: &[u8]) -> Option<Vec<u8>> {
        let name = name_of(number);
        match (index, last) {
            (0, true) => self.close(number, bytes),
            (0, false) => self.begin(number, &name, bytes),
            (_, last) => self.close_at(Place::Piece { name: &name, index, last }, bytes),
        }
    }

    /// `None`: it is not what was stored under this number.
    pub(super) fn read(&self, number: u64, stored: &Bytes) -> Option<Stored> {
        if !is_beginning(stored) {
            return self.open(number, stored).map(Stored::Whole);
        }
        let begun = self.open_at(Place::Beginning(number), stored)?;
        let (name, bytes) = begun.split_first_chunk()?;
        Some(Stored::Beginning(Assembly { name: *name, next: 1, bytes: BytesMut::from(bytes) }))
    }
}

impl Assembly {
    /// The index of the piece that it lacks.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// What there is of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a piece; `true`: it was the last. `None`: it is no piece of this, or there is too much of it.
    pub(super) fn add(&mut self, seal: &Seal, index: u64, stored: &Bytes) -> Option<bool> {
        let last = !is_beginning(stored);
        let piece = seal.open_at(Place::Piece { name: &self.name, index, last }, stored)?;
        if index != self.next || self.bytes.len() + piece.len() > LARGEST {
            return None;
        }
        self.next += 1;
        self.bytes.put_slice(&piece);
        Some(last)
    }

    /// The whole, when its last piece was added.
    pub(super) fn whole(self) -> Bytes {
        self.bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> [Seal; 2] {
        [Seal::new(None, "abc"), Seal::new(Some(&[7; 32]), "abc")]
    }

    fn begun(seal: &Seal, number: u64, stored: Vec<u8>) -> Option<Assembly> {
        match seal.read(number, &stored.into())? {
            Stored::Beginning(assembly) => Some(assembly),
            Stored::Whole(_) => None,
        }
    }

    #[test]
    fn pieces_make_the_whole_in_their_order_only() {
        for seal in seals() {
            let piece = |index, last| {
                Bytes::from(seal.piece(5, (index, last), index.to_string().as_bytes()).unwrap())
            };
            let mut assembly = begun(&seal, 5, piece(0, false).to_vec()).unwrap();
            assert_eq!(assembly.bytes(), b"0");
            assert_eq!(assembly.add(&seal, 2, &piece(2, true)), None);
            assert_eq!(assembly.add(&seal, 1, &piece(1, false)), Some(false));
            assert_eq!(assembly.add(&seal, 1, &piece(1, false)), None);
            assert_eq!((assembly.next(), assembly.add(&seal, 2, &piece(2, true))), (2, Some(true)));
            assert_eq!(assembly.whole(), "012");
            let Some(Stored::Whole(whole)) = seal.read(5, &piece(0, true)) else { panic!("it is whole") };
            assert_eq!(whole, "0");
        }
    }

    #[test]
    fn sealed_pieces_of_another_value_are_none_of_this() {
        let [_, seal] = seals();
        let mut assembly = begun(&seal, 5, seal.piece(5, (0, false), b"a").unwrap()).unwrap();
        let other = Bytes::from(seal.piece(6, (1, true), b"b").unwrap());
        assert_eq!(assembly.add(&seal, 1, &other), None);
        // Cut short: what was not the last is not said to be.
        let mut cut = seal.piece(5, (1, false), b"b").unwrap();
        cut[0] = b'1';
        assert_eq!(assembly.add(&seal, 1, &cut.into()), None);
        assert!(begun(&seal, 6, seal.piece(5, (0, false), b"a").unwrap()).is_none());
    }

    #[test]
    fn junk_is_no_beginning() {
        for seal in seals() {
            for junk in ["", "2", "2short", "3", "3short", "9", "\u{0}"] {
                assert!(begun(&seal, 1, junk.into()).is_none());
            }
        }
    }
}
