//! Any server answers the tools of the command line: they read the same events in whatever pieces the body comes.

#![no_main]

use bytes::Bytes;
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use streamgate::client::fuzzing::messages;
use streamgate::client::{Meaning, Message, Next};
use streamgate::doctor::fuzzing::{events, words};
use streamgate::wire::Framing;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, body) = input;
    let body = Bytes::copy_from_slice(body);
    let size = usize::from(size).max(body.len() / 50).max(1);
    let pieces: Vec<Bytes> = body.chunks(size).map(|piece| body.slice_ref(piece)).collect();
    for framing in [Framing::Sse, Framing::Ndjson] {
        let (whole, told) = read(vec![body.clone()], framing);
        let (cut, again) = read(pieces.clone(), framing);
        assert_eq!((&whole, &told), (&cut, &again), "{framing:?}");
        for message in &whole {
            let _ = Meaning::of(&message.name, &message.data);
        }
        let data =
            |pieces: Vec<Bytes>| -> Vec<_> { events(pieces, framing, None).into_iter().flatten().collect() };
        let (one, other) = (data(vec![body.clone()]), data(pieces.clone()));
        assert_eq!(one, other, "{framing:?}");
    }
    drop(events(pieces, Framing::Sse, Some("gzip")));
    for kind in ["text/html", "text/plain; charset=utf-8", "application/json"] {
        let (words, _) = words(kind, &body);
        assert!(
            words.is_none_or(|words| !words.chars().any(char::is_control) && words.chars().count() <= 300)
        );
    }
});

/// The events, and whether the body ended well.
fn read(pieces: Vec<Bytes>, framing: Framing) -> (Vec<Message>, bool) {
    let mut messages = messages(pieces, framing);
    let mut read = Vec::new();
    let ended = loop {
        match messages.next().now_or_never().expect("nothing is waited for") {
            Next::Message(message) => read.push(message),
            Next::Ended => break true,
            Next::Cut(_) | Next::Malformed(_) => break false,
        }
    };
    let _ = messages.retry();
    (read, ended)
}
