//! Anything comes back from the store: it is what a gateway has stored there, or nothing.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use streamgate::journal::fuzzing::{appended, claim, close, head, look, open, place_of, stream_of};

const KEY: [u8; 32] = [7; 32];

fuzz_target!(|input: (u8, &[u8])| {
    let (number, stored) = input;
    let bytes = Bytes::copy_from_slice(stored);
    if let Some((meta, Some(written))) = head(bytes.clone()) {
        let (again, _) = head(written).expect("what is written is read");
        assert_eq!(format!("{meta:?}"), format!("{again:?}"));
    }
    let parts: Vec<Bytes> = bytes.split(|byte| *byte == 0xff).map(|part| bytes.slice_ref(part)).collect();
    for key in [None, Some(&KEY)] {
        if let Some((_, _, frames)) = look(key, &parts) {
            assert!(frames < parts.len());
        }
    }
    assert!(!appended(&parts) || !parts.is_empty());
    for part in &parts {
        if let Some((number, index)) = place_of(part) {
            assert_eq!(place_of(format!("{number}-{index}").as_bytes()), Some((number, index)));
        }
        if let Some(stream) = std::str::from_utf8(part).ok().and_then(stream_of) {
            assert_eq!(part, format!("sg:{{{stream}}}").as_bytes());
        }
    }
    if let Some((fingerprint, id)) = claim(stored) {
        assert_eq!([&fingerprint, id.as_bytes()].concat(), stored);
    }
    sealed(number.into(), &bytes);
});

/// Nobody without the key puts anything there, and nothing that is there is moved or changed.
fn sealed(number: u64, bytes: &Bytes) {
    assert_eq!(open(Some(&KEY), "abc", number, bytes), None);
    let stored = Bytes::from(close(Some(&KEY), "abc", number, bytes).expect("there is randomness"));
    assert_eq!(open(Some(&KEY), "abc", number, &stored).as_ref(), Some(bytes));
    assert_eq!(open(Some(&KEY), "abc", number + 1, &stored), None);
    assert_eq!(open(Some(&KEY), "abd", number, &stored), None);
    assert_eq!(open(None, "abc", number, &stored), None);
    let at = bytes.first().map_or(0, |byte| usize::from(*byte)) % stored.len();
    let mut changed = stored.to_vec();
    changed[at] ^= 1;
    assert_eq!(open(Some(&KEY), "abc", number, &changed.into()), None);
    let plain = Bytes::from(close(None, "abc", number, bytes).expect("nothing is needed"));
    assert_eq!(open(None, "abc", number, &plain).as_ref(), Some(bytes));
}
