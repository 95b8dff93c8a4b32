//! A client of HTTP/1.1 or HTTP/2 sends anything at all, in any pieces: the verdict is the same, and no byte of what is wrong passes.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use streamgate::server::strict::{Flood, Requests};
use tokio::time::Instant;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let pieces = || bytes.chunks(usize::from(size).max(1));
    let whole = Requests::default().look(bytes);
    let mut requests = Requests::default();
    let cut = pieces().try_for_each(|piece| {
        let looked = requests.look(piece);
        if let Err(found) = looked {
            assert!(found.pass < piece.len());
        }
        looked
    });
    assert_eq!(whole.map_err(|found| found.violation), cut.map_err(|found| found.violation));
    let now = Instant::now();
    let (mut whole, mut cut) = (Flood::new(now), Flood::new(now));
    let much = whole.look(bytes, now);
    assert_eq!(much, pieces().any(|piece| cut.look(piece, now)));
    if !much {
        assert_eq!(whole.head_since(), cut.head_since());
        assert!(!whole.look(&[], now + Duration::from_secs(1)));
    }
});
