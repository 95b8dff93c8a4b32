//! A body in any pieces is split into the same frames as in one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgate::wire::Dialect;
use streamgate_fuzz::frames;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, body) = input;
    for dialect in [Dialect::OpenAiChat, Dialect::OllamaChat] {
        let payloads = |size: usize| -> Vec<_> {
            frames(dialect, body, size).into_iter().map(|frame| (frame.event, frame.data)).collect()
        };
        assert_eq!(payloads(usize::from(size)), payloads(usize::MAX), "{dialect:?}");
    }
});
