//! The outside of any body: whoever else reads what is passed on reads the same model and the same wish for a stream, and all that
//! was not to be changed is as it was.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use streamgate::wire::{Ask, Dialect, Edits, Envelope, ModelKey, PassedOn, own_history, streaming};
use streamgate_fuzz::members::Members;

const DEPTH: usize = 64;

/// What is asked of the envelope.
#[derive(Clone, Copy)]
struct Asked {
    key: ModelKey,
    streams: bool,
    model: Option<&'static str>,
    ask: Ask,
}

/// Members that some reader may take for others.
const ADDED: [&str; 12] = [
    r#""model":"x""#,
    r#""Model":"x""#,
    r#""m\u006fdel":"x""#,
    r#""name":"x""#,
    r#""NAME":"x""#,
    r#""stream":true"#,
    r#""stream":null"#,
    r#""Stream":true"#,
    "\"\u{17f}tream\":false",
    r#""\u017FTREAM":true"#,
    r#""stream_options":{"include_usage":true}"#,
    r#""Stream_options":null"#,
];

fuzz_target!(|input: (u8, &[u8])| {
    let (flags, body) = input;
    let bit = |place: u8| flags >> place & 1 == 1;
    let asked = Asked {
        key: if bit(0) { ModelKey::ModelOrName } else { ModelKey::Model },
        streams: bit(1),
        model: bit(2).then_some("a\"b\\c\n"),
        ask: Ask { usage: bit(3), stream: bit(4), progress: bit(5) },
    };
    for member in ADDED {
        let body = added(body, member);
        if let Ok(envelope) = Envelope::parse(&body, asked.key, asked.streams, DEPTH) {
            check(&Members::of(&body).expect("an object"), &envelope, asked);
        }
    }
    let body = Bytes::copy_from_slice(body);
    let Ok(envelope) = Envelope::parse(&body, asked.key, asked.streams, DEPTH) else { return };
    let members = Members::of(&body).expect("an object");
    check(&members, &envelope, asked);
    let same = envelope.rewrite(&body, None, Ask::default(), Edits::default());
    assert_eq!(same, body, "nothing was to be changed");
    for (dialect, history) in [
        (Dialect::OpenAiChat, "messages"),
        (Dialect::Anthropic, "messages"),
        (Dialect::OpenAiResponses, "input"),
    ] {
        let (edits, _) = own_history(dialect, &body, PassedOn::default());
        rewritten(&envelope, &body, asked, (edits, history), &members);
    }
    let stream = streaming(&body).expect("the envelope took it");
    let read = Envelope::parse(&stream, asked.key, false, DEPTH).expect("a body as before");
    assert!(read.stream && read.model == envelope.model);
    check(&Members::of(&stream).expect("an object"), &read, asked);
});

fn rewritten(
    envelope: &Envelope,
    body: &Bytes,
    asked: Asked,
    (edits, history): (Edits, &str),
    before: &Members,
) {
    let written = envelope.rewrite(body, asked.model, asked.ask, edits);
    let read = Envelope::parse(&written, asked.key, asked.streams, DEPTH).expect("a body as before");
    assert_eq!(read.model, asked.model.unwrap_or(&envelope.model));
    assert_eq!(read.stream, envelope.stream || asked.ask.stream);
    assert_eq!(read.usage, envelope.usage || asked.ask.usage);
    let after = Members::of(&written).expect("an object");
    check(&after, &read, asked);
    let changed = ["model", "name", "stream", "stream_options", "return_progress", history];
    assert_eq!(before.without(&changed), after.without(&changed));
    assert_eq!(before.exact(history).is_some(), after.exact(history).is_some());
}

/// The object with one member more, at its end.
fn added(body: &[u8], member: &str) -> Vec<u8> {
    let inside = body.trim_ascii_end().strip_suffix(b"}").unwrap_or(body);
    [inside, b",", member.as_bytes(), b"}"].concat()
}

/// Do others read what the envelope has read?
fn check(members: &Members, envelope: &Envelope, asked: Asked) {
    for read in [Members::exact, Members::folded] {
        let name = || read(members, "name").filter(|_| asked.key == ModelKey::ModelOrName);
        let model = read(members, "model").filter(|model| model != "").or_else(name);
        assert_eq!(model.as_ref().and_then(|model| model.as_str()), Some(envelope.model.as_str()));
        let stream = read(members, "stream").map_or(Some(asked.streams), |stream| stream.as_bool());
        assert_eq!(stream, Some(envelope.stream));
    }
}
